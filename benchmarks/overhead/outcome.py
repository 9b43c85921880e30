"""The outcome: one row per variant, and what was hoped for of ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.overhead.in_process import Cost
from benchmarks.overhead.throughput import Share
from benchmarks.overhead.variants import ALL_AT_1, ALL_AT_1_MANY_ROUTES, ALL_AT_100
from benchmarks.report import VERDICTS, table

ADDED_LIMIT_US = 20.0
# As precise as this is on two shared cores.
FLAT_WITHIN_US = 3.0
SHARE_LIMIT, SHARE_LIMIT_AT_100 = 0.90, 0.60
_HEAD = [
    "",
    "added in process, µs",
    "min … max",
    "of it on the event loop's thread",
    "best block",
    "requests/s of bare",
    "min … max",
    "added over a socket, µs",
    "spans that arrived per request",
]
_UNKNOWN = float("nan")


@dataclass(frozen=True)
class Outcome:
    """All runs, by the variant's name; who was not measured is missing."""

    names: Sequence[str]
    costs: Mapping[str, Sequence[Cost]]
    shares: Mapping[str, Sequence[Share]]

    def as_markdown(self) -> str:
        """What the bare app takes, the variants, the criteria."""
        rows = [self._row(name) for name in self.names]
        return f"{self._bare()}\n\n{table(_HEAD, rows)}\n\n{self._verdicts()}"

    def added(self, name: str) -> float:
        """Median over the rounds, in process; not a number when it was not measured."""
        return _median([cost.added for cost in self.costs.get(name, ())])

    def share(self, name: str) -> float:
        """Median over the rounds of what is left of the bare app's throughput."""
        return _median([share.of_rate for share in self.shares.get(name, ())])

    def _bare(self) -> str:
        in_process = _median([cost.bare for costs in self.costs.values() for cost in costs])
        loads = [share.bare for shares in self.shares.values() for share in shares]
        rate, cpu = _median([load.rate for load in loads]), _median([load.cpu for load in loads])
        return (
            f"The bare app takes {in_process:.0f} µs of CPU time per request in process "
            f"and {cpu:.0f} µs over a socket, at {rate:,.0f} requests/s."
        )

    def _row(self, name: str) -> list[str]:
        costs, shares = self.costs.get(name, ()), self.shares.get(name, ())
        return [
            name,
            _signed([cost.added for cost in costs]),
            _range([cost.added for cost in costs], "+.1f"),
            _signed([cost.on_path for cost in costs]),
            _signed([cost.on_path_least for cost in costs]),
            f"{self.share(name):.2f}" if shares else "–",
            _range([share.of_rate for share in shares], ".2f"),
            _signed([share.added for share in shares]),
            f"{_median([share.spans for share in shares]):.2g}" if shares else "–",
        ]

    def _verdicts(self) -> str:
        one, many = self.added(ALL_AT_1.name), self.added(ALL_AT_1_MANY_ROUTES.name)
        share, at_100 = self.share(ALL_AT_1.name), self.share(ALL_AT_100.name)
        limit = f"≤ {ADDED_LIMIT_US:.0f} µs"
        rows = [
            verdict("all signals at 1 %, µs in process", one, limit, one <= ADDED_LIMIT_US),
            verdict("… with 107 routes, µs", many, limit, many <= ADDED_LIMIT_US),
            verdict(
                "… what 100 more routes change, µs",
                many - one,
                f"within {FLAT_WITHIN_US:.0f} µs",
                abs(many - one) <= FLAT_WITHIN_US,
            ),
            verdict(
                "… throughput, of the bare app's",
                share,
                f"≥ {SHARE_LIMIT:.2f}",
                share >= SHARE_LIMIT,
            ),
            verdict(
                "… with every request sampled",
                at_100,
                f"≥ {SHARE_LIMIT_AT_100:.2f}",
                at_100 >= SHARE_LIMIT_AT_100,
            ),
        ]
        return table(["", "ours", "criterion", "holds"], rows)


def verdict(label: str, value: float, criterion: str, holds: bool) -> list[str]:
    """A row of the criteria; no verdict on what was not measured."""
    measured = value == value  # noqa: PLR0124 - else it is not a number
    shown = f"{value:.2f}" if measured else "–"
    return [label, shown, criterion, VERDICTS[holds if measured else None]]


def _median(values: Sequence[float]) -> float:
    return median(values) if values else _UNKNOWN


def _signed(values: Sequence[float]) -> str:
    return f"{median(values):+.1f}" if values else "–"


def _range(values: Sequence[float], how: str) -> str:
    return f"{min(values):{how}} … {max(values):{how}}" if values else "–"
