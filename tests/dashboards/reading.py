"""The committed boards, read as Grafana reads them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dashboards.generate import GENERATED

BOARDS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text()) for file in sorted(GENERATED.glob("*.json"))
}
# What Grafana puts in for everything chosen; the times are of a board that shows 5 minutes.
VALUES = {
    **dict.fromkeys(("job", "instance", "route", "cause"), ".+"),
    "__rate_interval": "4s",
    "__interval": "1s",
    "__range": "5m",
    "__range_s": "300",
    "__from": "0",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of one panel."""

    board: str
    panel: dict[str, Any]
    target: dict[str, Any]

    @property
    def expression(self) -> str:
        """As it is committed."""
        expression: str = self.target["expr"]
        return expression

    @property
    def name(self) -> str:
        """For people, and for lists of exceptions."""
        return f"{self.board}: {self.panel['title']} {self.target['refId']}"


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All but the rows' titles."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def asked() -> Iterator[Asked]:
    """Every query of every panel."""
    for uid, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Asked(uid, panel, target)


def filled_in(expression: str, **values: str) -> str:
    """Without Grafana's variables."""
    known = {**VALUES, **values}
    return re.sub(r"\$(\w+)", lambda found: known[found[1]], expression)


def strings(value: object, key: str) -> Iterator[str]:
    """Everything that is called `key`, at any depth."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name == key and isinstance(member, str):
                yield member
            yield from strings(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member, key)
