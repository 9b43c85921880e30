"""Ports: taken, or refused with one clear message."""

import socket
import sys


class StartError(Exception):
    """The service cannot start; the message says why and what to do."""


def bind(setting: str, host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A TCP socket that does not listen yet, to be closed by the caller. Raises StartError.

    `setting` is the environment variable that `port` came from. `shared` ones of the same user may
    have the same port, if all of them are; those that listen get a part of the connections each.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise StartError(f"{setting.replace('PORT', 'HOST')}: {host}: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two processes share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise StartError(
            f"port {port} on {host} cannot be used ({error.strerror}): "
            f"choose another one with {setting}={port + 1 if port < 65535 else 8001}"
        ) from None
    return listener
