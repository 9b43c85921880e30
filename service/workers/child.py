"""What makes a process a worker: its supervisor's socket, and an end when the supervisor's comes.

Standard library only: it runs before everything else is imported.
"""

import ctypes
import os
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1


def inherit_listener(supervisor: int, file_descriptor: int) -> socket.socket:
    """Tie this process to the process `supervisor`, which started it, and take over its socket."""
    _end_with(supervisor)
    listener = socket.socket(fileno=file_descriptor)
    listener.set_inheritable(False)
    return listener


def _end_with(parent: int) -> None:
    """Get SIGTERM, and so finish what was begun, when `parent` ends. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("The supervisor ended before this worker could start.")
