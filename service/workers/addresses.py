"""The ports of a supervisor and its workers."""

import socket
from contextlib import ExitStack

from service.listeners import StartError, bind


def shared_listeners(host: str, port: int, workers: int) -> list[socket.socket]:
    """One socket for each worker, all on the same port. Raises StartError."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise StartError(
            "this platform cannot share a port (SO_REUSEPORT): serve without --workers"
        )
    # Another supervisor of ours would share its port with us, and neither would notice.
    with bind("PORT", host, port) as sole:
        port = sole.getsockname()[1]
    return [bind("PORT", host, port, shared=True) for _ in range(workers)]


def ops_ports(host: str, supervisors: int, workers: int) -> list[tuple[int, int]]:
    """Two ops ports for each worker: when one is relieved, the next has the other one.

    They follow the supervisor's own, first all the first ones; with 0 they are any that are free.
    Raises StartError when one is taken.
    """
    count = 2 * workers
    if supervisors + count > 65535:
        raise StartError(f"the {count} ports after OPS_PORT={supervisors} go beyond 65535")
    wanted = range(supervisors + 1, supervisors + 1 + count) if supervisors else [0] * count
    with ExitStack() as held:
        bound = [held.enter_context(bind("OPS_PORT", host, port)) for port in wanted]
        free = [listener.getsockname()[1] for listener in bound]
    return list(zip(free[:workers], free[workers:], strict=True))
