"""The `stallscope` command as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def environment_of(**settings: str) -> dict[str, str]:
    """A process' whole environment; of ours, only what programs and coverage need."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("COV") or name == "PATH"
    }
    return {**ours, **settings}


def command(*arguments: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "service", *arguments]


def run(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder`, to its end, for which it has a minute."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment_of(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
