"""Where the system keeps what it says of the process' cgroup."""

import os
from collections.abc import Iterator
from contextlib import suppress


def cgroup_folders(controller: str, root: str = "") -> Iterator[str]:
    """Of versions 1 and 2: the process' own folder, then those that it is in, up to the mount.

    Not all of them need be there: in a container with a namespace of its own, the path that the
    system names is not below the mount.
    """
    with suppress(OSError, ValueError), open(f"{root}/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if not controllers or controller in controllers.split(","):
                mount = f"{root}/sys/fs/cgroup/{controllers}".rstrip("/")
                folder = f"{mount}{path}".rstrip("/")
                while folder.startswith(mount):
                    yield folder
                    folder = os.path.dirname(folder)
