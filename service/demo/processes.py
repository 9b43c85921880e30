"""Child processes that neither outlive this one nor hear its Ctrl-C."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Owner:
    """The user a program runs as."""

    uid: int
    gid: int


def unprivileged_owner() -> Owner | None:
    """The user `nobody` when we are root, because PostgreSQL refuses root; else None: ourselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Owner(nobody.pw_uid, nobody.pw_gid)


def launch(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: IO[bytes] | None = None,
    owner: Owner | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `command` (absolute path first) in a session of its own, as `owner` if given.

    Standard output and error go to `output`, or where ours go. On Linux the program gets
    `death_signal` when the *thread* that calls this ends, however that comes about: call it from
    the main thread.
    """
    user, group = (owner.uid, owner.gid) if owner else (-1, -1)
    ties = (os.getpid(), int(death_signal), user, group)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, ties), *command],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], *, graceful: signal.Signals, grace_seconds: float) -> int:
    """Ask `process` to end, kill it after `grace_seconds`; its exit code."""
    if process.poll() is None:
        process.send_signal(graceful)
        # A stopped process hears nothing until it is continued.
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            kill(process)
    return process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill `process` and what it has started in its session; return at once."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # Until the launcher has run there is no session, and so no group of that number.
        process.kill()
