"""How one source's part of an answer comes about: known, fetched, stale or missing."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from service.products.domain import Known, ProductId, Reason, Report, Status
from service.products.ports import SourceError

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Consultation:
    """One round of asking the sources, and what to make of their silence.

    Parts younger than `fresh_seconds` need no asking; up to `stale_seconds` they stand in for a
    source that fails or takes longer than `patience_seconds`, whatever its own limits are. What is
    cached cost the request `cache_ms`.
    """

    fresh_seconds: float
    stale_seconds: float
    patience_seconds: float
    cache_ms: float

    async def part(
        self,
        fetch: Callable[[ProductId], Awaitable[Value]],
        product_id: ProductId,
        known: Known[Value] | None,
    ) -> tuple[Known[Value] | None, Report]:
        """The part as it is known already, else fetched, else stale, else missing."""
        age = time.time() - known.fetched_at if known else math.inf
        if age < self.fresh_seconds:
            return known, Report(Status.CACHED, latency_ms=self.cache_ms)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self.patience_seconds):
                value = await fetch(product_id)
        except (SourceError, TimeoutError) as error:
            reason = error.reason if isinstance(error, SourceError) else Reason.TIMEOUT
            spent_ms = (time.perf_counter() - started) * 1e3
            if age < self.stale_seconds:
                return known, Report(Status.STALE, reason, spent_ms)
            return None, Report(Status.UNAVAILABLE, reason, spent_ms)
        spent_ms = (time.perf_counter() - started) * 1e3
        return Known(value, time.time()), Report(Status.LIVE, latency_ms=spent_ms)
