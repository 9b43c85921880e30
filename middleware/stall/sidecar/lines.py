"""Lines through pipes that may be full, and are never waited for."""

import os
from collections import deque

_READ_BYTES = 65536
_LONGEST_LINE = 1 << 20


class LineWriter:
    """Keeps the last lines that did not fit. Forgets them when nobody reads any more."""

    def __init__(self, descriptor: int, kept: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque(maxlen=kept)
        self._rest = b""  # of a line whose beginning is written

    def put(self, line: bytes) -> None:
        """Without its end."""
        self._lines.append(line + b"\n")
        self.flush()

    def flush(self) -> bool:
        """Write what fits. Whether that was all."""
        while self._rest or self._lines:
            text = self._rest or self._lines.popleft()
            try:
                written = os.write(self._descriptor, text)
            except BlockingIOError:
                written = 0
            except OSError:
                self._lines.clear()
                written = len(text)
            self._rest = text[written:]
            if self._rest and not written:
                return False
        return True


class LineReader:
    """Lines as they come; `ended` once nobody can write any more."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False

    def lines(self) -> list[bytes]:
        """What has come since, without the lines' ends."""
        while (text := self._read()) and len(self._rest) < _LONGEST_LINE:
            self._rest += text
        *lines, self._rest = self._rest.split(b"\n")
        return lines

    def _read(self) -> bytes:
        try:
            text = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            text = b""
        self.ended = not text
        return text
