"""Ports for servers whose address nobody has chosen."""

import random
import socket
from contextlib import suppress
from itertools import count

# Below those that systems give to outgoing connections: such a one may be gone before a server that
# is starting takes it. Each process begins somewhere else.
_PORTS = range(10_000, 32_768)
_turns = count(random.randrange(len(_PORTS)))


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on at this moment, each time another one."""
    while True:
        port = _PORTS[next(_turns) % len(_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
