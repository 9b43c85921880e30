"""Where embedded servers keep their files: short paths, one user's own, one run at a time.

A Unix socket's path has room for some 100 bytes, so none of this may lie deep.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_LONGEST_TEMP_BYTES = 60


class FolderError(Exception):
    """No folder can be had that is both safe and usable; the message says why."""


@contextmanager
def run_folder(parent: Path | None = None) -> Iterator[Path]:
    """An exclusively locked folder of this user's and this installation's, kept between runs.

    The first of the slots 0, 1, 2 … in `parent` that no other run holds. Raises FolderError when
    `parent` belongs to somebody else or is a symbolic link.
    """
    parent = parent or _usable_temp() / f"stallscope-{os.geteuid()}-{_installation()}"
    claim(parent)
    for slot in count():
        lock = os.open(parent / f"{slot}.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            folder = parent / str(slot)
            claim(folder)
            yield folder
        finally:
            os.close(lock)
        return


@contextmanager
def short_temp_folder() -> Iterator[Path]:
    """A fresh folder with a short path that embedded servers can use, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir=_usable_temp()))
    folder.chmod(_mode())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _installation() -> str:
    return hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]


def _mode() -> int:
    # As root the servers run as another user, who has to get through, but not to look around.
    return 0o711 if os.geteuid() == 0 else 0o700


def claim(folder: Path) -> None:
    """Make `folder` ours and nobody else's to read. Raises FolderError when it is not ours."""
    folder.mkdir(mode=_mode(), exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FolderError(
            f"{folder} is not a folder of yours. Remove it, or choose another place: TMPDIR=…"
        )
    folder.chmod(_mode())


def _usable_temp() -> Path:
    wanted = Path(tempfile.gettempdir()).resolve()
    for folder in (wanted, Path("/tmp"), Path("/var/tmp")):
        if len(os.fsencode(folder)) <= _LONGEST_TEMP_BYTES and _servers_may_use(folder):
            return folder
    raise FolderError(
        f"{wanted} will not do for embedded servers: they need a path of at most "
        f"{_LONGEST_TEMP_BYTES} bytes, which as root every user may enter and run programs from. "
        "Choose another: TMPDIR=…"
    )


def _servers_may_use(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    if os.geteuid() != 0:
        return True
    enterable = all(place.stat().st_mode & stat.S_IXOTH for place in (folder, *folder.parents))
    return enterable and not os.statvfs(folder).f_flag & os.ST_NOEXEC
