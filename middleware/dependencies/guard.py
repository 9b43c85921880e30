"""Observing may fail; what is observed must not."""

from ..drops import Drops


class Guard:
    """`with guard:` swallows what the block raises, and counts it; interruptions pass."""

    def __init__(self, drops: Drops | None) -> None:
        self.drops = drops

    def count(self) -> None:
        """One observation is lost."""
        if self.drops is not None:
            self.drops.add("metrics")

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.count()
        return True
