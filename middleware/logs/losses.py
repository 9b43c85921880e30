"""Lines that were lost: counted from every thread, also before there is a counter to tell."""

from ..drops import Drops


class Losses:
    """Keeps its own count until there are Drops that can take it; all of them are told."""

    def __init__(self, *drops: Drops | None) -> None:
        self._drops = tuple(each for each in drops if each is not None)
        self._untold = 0
        self._telling = False

    def attach(self, drops: Drops) -> None:
        self._drops += (drops,)
        self.add(0)

    def detach(self, drops: Drops) -> None:
        self._drops = tuple(each for each in self._drops if each is not drops)

    def add(self, lines: int = 1) -> None:
        self._untold += lines
        # A destructor may log while this thread is inside a counter, whose lock cannot be taken
        # twice: such a line is told with the next one.
        if not self._untold or self._telling or not self._drops:
            return
        self._telling = True
        try:
            lines, self._untold = self._untold, 0
            for drops in self._drops:
                drops.add("logs", lines)
        finally:
            self._telling = False
