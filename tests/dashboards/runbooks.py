"""The runbooks, taken apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RUNBOOKS = Path(__file__).parents[2] / "dashboards" / "runbooks"
PAGES = {
    file.stem: file.read_text() for file in sorted(RUNBOOKS.glob("*.md")) if file.stem != "README"
}


@dataclass(frozen=True, slots=True)
class Block:
    """A query or a command, as somebody would paste it."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def blocks(language: Literal["promql", "sh"]) -> Iterator[Block]:
    """All of one language, of every page."""
    for page, text in PAGES.items():
        for found in re.findall(rf"^ *```{language}\n(.*?)\n *```", text, re.DOTALL | re.MULTILINE):
            yield Block(page, found.strip())


def commands() -> Iterator[Block]:
    """What single programs are called with in them, and in the sentences."""
    for page, text in PAGES.items():
        inline = re.findall(r"`((?:curl|stallscope) [^`]+)`", re.sub(r"\s+", " ", text))
        fenced = (block.text for block in blocks("sh") if block.page == page)
        for command in (*fenced, *inline):
            yield Block(page, command)
