"""What a forked child has to let go of: its parent's threads are not there, its memory is."""

import os
import weakref
from typing import Protocol

_hooked = False


class Forgetful(Protocol):
    """Has something that is its process' alone."""

    def forget_parent(self) -> None:
        """Called in a forked child, before anything else runs there."""


_all: "weakref.WeakSet[Forgetful]" = weakref.WeakSet()


def forget_in_children(each: Forgetful) -> None:
    """Have it forget in every child that is forked while it lives."""
    global _hooked  # noqa: PLW0603  a fork hook cannot be taken back: one for the process
    _all.add(each)
    if not _hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget)
        _hooked = True


def _forget() -> None:
    for each in list(_all):
        each.forget_parent()
