"""What a process writes, line by line, while it runs."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

Event = dict[str, Any]


class Output:
    """Both streams of a process; lines of each in their order."""

    def __init__(self, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self._lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._written = threading.Condition()
        self._threads = [
            threading.Thread(target=self._read, args=pair, name=f"output-{pair[0]}", daemon=True)
            for pair in (("stdout", stdout), ("stderr", stderr))
        ]
        for thread in self._threads:
            thread.start()

    def text(self) -> str:
        """All of it, for people."""
        with self._written:
            return "\n".join(
                f"{name}: {line}" for name in self._lines for line in self._lines[name]
            )

    def events(self, stream: str | None = None, **fields: object) -> list[Event]:
        """The JSON lines, of one stream or both, that have these fields."""
        with self._written:
            lines = [line for name in self._lines for line in self._of(name, stream)]
        return [event for event in _events(lines) if fields.items() <= event.items()]

    def await_event(
        self, fits: Callable[[Event], bool], seconds: float, stream: str | None = None
    ) -> Event:
        """The first that fits; waits for it."""

        def found() -> list[Event]:
            return [event for event in self.events(stream) if fits(event)]

        with self._written:
            assert self._written.wait_for(found, seconds), f"no such line:\n{self.text()}"
            return found()[0]

    def join(self, seconds: float) -> None:
        """Wait until nobody has either stream open any more, children included."""
        for thread in self._threads:
            thread.join(seconds)
            assert not thread.is_alive(), f"somebody still has {thread.name} open:\n{self.text()}"

    def _of(self, name: str, stream: str | None) -> list[str]:
        return self._lines[name] if stream in {None, name} else []

    def _read(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                with self._written:
                    self._lines[name].append(line.decode(errors="replace").rstrip("\n"))
                    self._written.notify_all()


def _events(lines: list[str]) -> Iterator[Event]:
    for line in lines:
        if line.startswith("{"):
            with suppress(ValueError):  # what was cut off by the writer's death
                yield json.loads(line)
