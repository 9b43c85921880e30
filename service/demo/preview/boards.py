"""The generated boards, read anew each time, so that a reload shows what was just generated."""

import json
from pathlib import Path
from typing import Any


class Boards:
    """The boards in a folder, by their uid; a uid never becomes part of a path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[dict[str, Any]]:
        """Every board, by title; none where there is no folder."""
        boards = [json.loads(file.read_bytes()) for file in self._folder.glob("*.json")]
        return sorted(boards, key=lambda board: board["title"])

    def of(self, uid: str) -> dict[str, Any] | None:
        """One of them."""
        return next((board for board in self.all() if board["uid"] == uid), None)

    def summaries(self) -> list[dict[str, Any]]:
        """What links and lists say of each."""
        told = ("uid", "title", "description", "tags")
        return [{name: board.get(name) for name in told} for board in self.all()]
