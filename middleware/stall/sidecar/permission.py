"""Yama's leave for our own children to read this process."""

import os
import threading

_PR_SET_PTRACER = 0x59616D61
_lock = threading.Lock()
_holders = 0
_hooked = False


def allow_children() -> None:
    """Until `forbid_children` was called as often. Nothing happens where there is no Yama."""
    global _holders, _hooked  # noqa: PLW0603  the leave is the process'
    with _lock:
        _holders += 1
        if _holders == 1:
            # Yama lets the descendants of the named process, too: ourselves will do.
            _name_tracer(os.getpid())
        if not _hooked:  # a fork hook cannot be taken back: one for the process
            os.register_at_fork(after_in_child=_forget)
            _hooked = True


def forbid_children() -> None:
    """Take one leave back."""
    global _holders  # noqa: PLW0603
    with _lock:
        if _holders:
            _holders -= 1
            if not _holders:
                _name_tracer(0)


def _name_tracer(pid: int) -> None:
    try:
        import ctypes  # noqa: PLC0415  a Python built without libffi has none
    except ImportError:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(pid), 0, 0, 0)


def _forget() -> None:
    """In a forked child: the leave is not inherited."""
    global _holders, _lock
    _holders, _lock = 0, threading.Lock()
