"""What a sidecar is started from. Raises UnavailableError where there can be none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from ..pulse import Pulse

# Gives it the packages without what their __init__ imports: that would be a hundred megabytes.
_BOOT = """import sys
for name, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    package = sys.modules[name] = type(sys)(name)
    package.__path__ = [folder]
__import__(sys.argv[-2] + ".program", fromlist=["run"]).run()
"""


class UnavailableError(Exception):
    """There can be no sidecar here; the text says why."""


def shared_descriptor(pulse: Pulse) -> int:
    """What the sidecar opens the pulse from."""
    if pulse.descriptor is None or sys.platform != "linux":
        raise UnavailableError("the sidecar is for Linux")
    return pulse.descriptor


def py_spy() -> str:
    """The program's path, as installed beside us, or on the PATH."""
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("py-spy") or ():
            path = Path(str(file.locate())).resolve()
            if file.name == "py-spy" and os.access(path, os.X_OK):
                return str(path)
    program = shutil.which("py-spy")
    if program is None:
        raise UnavailableError("py-spy is not installed")
    return program


def interpreter() -> str:
    """That of this process; not what only embeds one."""
    python = sys.executable or ""
    if getattr(sys, "frozen", False) or "python" not in Path(python).name:
        raise UnavailableError(f"{python!r} is no Python interpreter")
    return python


@contextmanager
def pidfd_of_this_process() -> Iterator[list[int]]:
    """What tells who inherits it of our end; none with an old kernel or in a strict sandbox."""
    try:
        descriptor = os.pidfd_open(os.getpid())
    except (OSError, AttributeError):
        yield []
        return
    try:
        yield [descriptor]
    finally:
        os.close(descriptor)


def spawned(python: str, descriptors: Collection[int]) -> "subprocess.Popen[bytes]":
    """The child, with these descriptors and two pipes. It waits for its Config."""
    here = Path(__file__).parent
    package = __name__.rpartition(".")[0]
    packages = [package.rpartition(".")[0], str(here.parent), package, str(here)]
    return subprocess.Popen(
        [python, "-I", "-S", "-c", _BOOT, *packages],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        pass_fds=descriptors,
        start_new_session=True,
    )
