"""What the sidecar is told first: what it watches, and how."""

import json
from dataclasses import asdict, dataclass

from ..culprit import Territory
from .finding import Function


@dataclass(frozen=True, slots=True)
class Config:
    """`pulse` and `pidfd` are descriptors that it inherits; `pidfd` -1: there is none.

    `roots` are where the watched process imports from, `base` are the functions that run its loop.
    """

    pid: int
    pidfd: int
    pulse: int
    py_spy: str
    roots: tuple[str, ...]
    threshold_seconds: float
    territory: Territory
    base: frozenset[Function]

    def to_json(self) -> bytes:
        """For `from_json` on the other side."""
        return json.dumps({**asdict(self), "base": list(self.base)}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Config":
        """Raises KeyError or TypeError when it is none."""
        facts = json.loads(text)
        return cls(
            **{
                **facts,
                "roots": tuple(facts["roots"]),
                "territory": _territory(**facts["territory"]),
                "base": functions(facts["base"]),
            }
        )


def functions(pairs: list[list[str]]) -> frozenset[Function]:
    """As JSON has them, as we have them."""
    return frozenset((file, name) for file, name in pairs)


def _territory(ours: str, **folders: list[str]) -> Territory:
    return Territory(ours, **{name: tuple(listed) for name, listed in folders.items()})
