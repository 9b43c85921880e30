"""What the use case gives back, and the few answers that are good for another moment."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from service.products.domain import ProductId, Reason, Report, Source, Status

# While a circuit is open, an answer without that source is as good as it can be.
HOLD_SECONDS = 0.5
MAX_HELD = 1_000  # products


@dataclass(frozen=True, slots=True)
class Answer:
    """One enriched product: its facts as JSON, and what became of each source."""

    facts: bytes
    reports: Mapping[Source, Report]
    fresh_seconds: float
    cache_ms: float

    @property
    def complete(self) -> bool:
        """Whether every source gave what it has, recently."""
        return all(r.status in (Status.LIVE, Status.CACHED) for r in self.reports.values())


class HeldAnswers:
    """Answers that lack only what would not be asked for anyway: the same again costs nothing.

    Without them, every request for a popular product would go to Redis and through its lock for as
    long as one source's circuit is open.
    """

    def __init__(self) -> None:
        self._held: dict[ProductId, tuple[Answer, float]] = {}

    def get(self, product_id: ProductId) -> Answer | None:
        """The answer held, if its moment is not over."""
        answer, until = self._held.get(product_id, (None, 0.0))
        return answer if time.monotonic() < until else None

    def keep(self, product_id: ProductId, answer: Answer) -> None:
        """Hold the answer, if open circuits are all that is wrong with it."""
        if {report.reason for report in answer.reports.values()} - {None} == {Reason.CIRCUIT_OPEN}:
            self._make_room()
            self._held.pop(product_id, None)  # so that the oldest come first
            self._held[product_id] = _as_found_later(answer), time.monotonic() + HOLD_SECONDS

    def _make_room(self) -> None:
        now = time.monotonic()
        while self._held:
            oldest = next(iter(self._held))
            if len(self._held) < MAX_HELD and now < self._held[oldest][1]:
                return
            del self._held[oldest]


def _as_found_later(answer: Answer) -> Answer:
    """The answer as a request finds it that asked nobody."""
    reports = {
        source: Report(
            Status.CACHED if report.status is Status.LIVE else report.status, report.reason
        )
        for source, report in answer.reports.items()
    }
    return Answer(answer.facts, reports, answer.fresh_seconds, cache_ms=0.0)
