"""The runbooks, taken apart."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RUNBOOKS = Path(__file__).parents[2] / "dashboards" / "runbooks"
PAGES = {
    file.stem: file.read_text() for file in sorted(RUNBOOKS.glob("*.md")) if file.stem != "README"
}

_Language = Literal["promql", "sh"]
_HEALTHY = r"\s*- Healthy: (nothing or 0|nothing|0|1|below [\d.]+)[.,]"


@dataclass(frozen=True, slots=True)
class Block:
    """A query or a command, as people paste it; `healthy` is what it says while all is well."""

    page: str
    text: str
    healthy: str | None = None

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"

    def is_healthy(self, values: list[float]) -> bool:
        """Whether these are the values that the page speaks of."""
        match (self.healthy or "").split():
            case ["nothing"]:
                return not values
            case ["nothing", "or", "0"]:
                return not any(values)
            case ["below", limit]:
                return bool(values) and max(values) < float(limit)
            case [number]:
                return bool(values) and set(values) == {float(number)}
        raise ValueError(self.healthy)


def blocks(language: _Language) -> Iterator[Block]:
    """All of one language, of every page."""
    fenced = re.compile(rf"^ *```{language}\n(.*?)\n *```\n", re.DOTALL | re.MULTILINE)
    for page, text in PAGES.items():
        for found in fenced.finditer(text):
            said = re.match(_HEALTHY, text[found.end() :])
            yield Block(page, found[1].strip(), said[1] if said else None)


def commands() -> Iterator[Block]:
    """What single programs are called with in them, and in the sentences."""
    for page, text in PAGES.items():
        inline = re.findall(r"`((?:curl|stallscope) [^`]+)`", re.sub(r"\s+", " ", text))
        fenced = (block.text for block in blocks("sh") if block.page == page)
        for command in (*fenced, *inline):
            yield Block(page, command)


def _rehearsals() -> dict[str, set[str]]:
    found = defaultdict(set)
    for block in blocks("sh"):
        for faults in re.findall(r"^stallscope demo --faults (\S+)$", block.text, re.MULTILINE):
            for fault in faults.split(","):
                found[fault].add(block.page)
    return dict(found)


# The pages that say so, by the demo's fault.
REHEARSED_BY = _rehearsals()
