"""What may befall one request for a product, and what the enricher then owes its caller.

The model is written from DESIGN.md section 4 and knows nothing of how the enricher works.
"""

import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

from service.products.domain import (
    Facts,
    Known,
    ProductNotFoundError,
    ProductUnavailableError,
    Reason,
    Status,
)
from service.products.ports import Entry
from tests.fakes import (
    LIFETIMES,
    FakeSource,
    FakeWorld,
    a_product,
    a_review,
    an_entry,
    an_inventory,
    remember,
)

Ages = tuple[float, float | None, float | None]
Reported = list[tuple[Status, Reason | None]]

OLD_PRODUCT = a_product(name="old")
OLD_REVIEWS = (a_review(text="old"),)
OLD_INVENTORY = an_inventory(quantity=1)


class Mood(Enum):
    """What a source does when it is asked."""

    KNOWS = "knows it"
    KNOWS_NOT = "does not know it"
    IS_SLOW = "answers last"
    TIMES_OUT = Reason.TIMEOUT
    IS_UNREACHABLE = Reason.UNREACHABLE
    TALKS_NONSENSE = Reason.BAD_RESPONSE
    IS_CUT_OFF = Reason.CIRCUIT_OPEN

    @property
    def reason(self) -> Reason | None:
        """Why it fails, if it does."""
        return self.value if isinstance(self.value, Reason) else None

    def seize(self, source: FakeSource[Any]) -> None:
        """Put `source` into this mood."""
        if self.reason:
            source.fail(self.reason)
        elif self is Mood.KNOWS_NOT:
            source.known.clear()
        elif self is Mood.IS_SLOW:
            source.dawdle()


class CacheState(Enum):
    """What has become of the cache that the replicas share."""

    ANSWERS = "answers"
    IS_GONE = "is gone, and this process holds nothing"
    IS_GONE_BUT_HELD = "is gone, and this process holds the entry"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Moods in the order of `FACTUAL`; `ages` are those of the cached parts, in seconds.

    None for an age: never fetched. None for all: nothing is cached.
    """

    moods: tuple[Mood, Mood, Mood]
    ages: Ages | None
    cache: CacheState = CacheState.ANSWERS

    def stage(self) -> FakeWorld:
        """A world as the scenario has it; what it has cached differs from what it would fetch."""
        world = FakeWorld()
        sources: tuple[FakeSource[Any], ...] = world.apis
        for source, mood in zip(sources, self.moods, strict=True):
            mood.seize(source)
        if self.ages:
            remember(world, _old_entry(self.ages))
        if self.cache is not CacheState.ANSWERS:
            world.cache.fail()
        if self.cache is CacheState.IS_GONE:
            world.cache.held.clear()
        return world

    @property
    def known_ages(self) -> tuple[float | None, float | None, float | None]:
        """How old that is which the enricher can get hold of."""
        reachable = self.cache is not CacheState.IS_GONE
        return self.ages if self.ages and reachable else (None, None, None)

    def expected(self) -> type[Exception] | Reported:
        """The error that is due, else status and reason of each source."""
        reports = [
            _report(mood, age) for mood, age in zip(self.moods, self.known_ages, strict=True)
        ]
        product_status = reports[0][0]
        if product_status is Status.LIVE and self.moods[0] is Mood.KNOWS_NOT:
            return ProductNotFoundError
        if product_status is Status.UNAVAILABLE:
            return ProductUnavailableError
        return reports


def _report(mood: Mood, age: float | None) -> tuple[Status, Reason | None]:
    if age is not None and age < LIFETIMES.fresh_seconds:
        return Status.CACHED, None
    if mood.reason is None:
        return Status.LIVE, None
    if age is not None and age < LIFETIMES.stale_seconds:
        return Status.STALE, mood.reason
    return Status.UNAVAILABLE, mood.reason


def _old_entry(ages: Ages) -> Entry:
    now = time.time()
    product, reviews, inventory = (None if age is None else now - age for age in ages)
    assert product is not None
    facts = Facts(
        Known(OLD_PRODUCT, product),
        None if reviews is None else Known(OLD_REVIEWS, reviews),
        None if inventory is None else Known(OLD_INVENTORY, inventory),
    )
    return an_entry(facts, fresh_seconds=LIFETIMES.fresh_seconds)
