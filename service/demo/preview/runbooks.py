"""The runbooks as pages; what stands in them as HTML is shown as text."""

from pathlib import Path

from markdown_it import MarkdownIt

INDEX = "README"


class Runbooks:
    """The runbooks in a folder, by their name; a name never becomes part of a path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

    def names(self) -> list[str]:
        """Those of alerts: all but the one about the others."""
        return sorted(self._files().keys() - {INDEX})

    def html_of(self, name: str) -> str | None:
        """One of them, or the one about the others."""
        file = self._files().get(name)
        return None if file is None else self._markdown.render(file.read_text(encoding="utf-8"))

    def _files(self) -> dict[str, Path]:
        return {file.stem: file for file in self._folder.glob("*.md")}
