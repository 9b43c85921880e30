"""Whatever fails, in whatever combination: a valid product or the right error, never a lie."""

import itertools
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.contracts import EnrichedProduct
from service.products.answers import Answer
from service.products.domain import (
    FACTUAL,
    Facts,
    ProductNotFoundError,
    ProductUnavailableError,
    Status,
)
from service.products.ports import Entry
from service.products.representation import JsonRepresentation, answer_body
from tests.fakes import (
    LIFETIMES,
    PRODUCT_ID,
    FakeWorld,
    a_product,
    a_review,
    an_inventory,
    enricher_over,
)
from tests.service.products.scenarios import (
    OLD_INVENTORY,
    OLD_PRODUCT,
    OLD_REVIEWS,
    Ages,
    CacheState,
    Mood,
    Scenario,
)

pytestmark = pytest.mark.no_cover  # twice as fast; every line has a test of its own elsewhere

FRESH, STALE, TOO_OLD = 1.5, 100.5, 301.5

EVERY_MOOD: Sequence[tuple[Mood, Mood, Mood]] = list(itertools.product(Mood, Mood, Mood))
EVERY_CACHE: list[tuple[Ages | None, CacheState]] = [
    (None, CacheState.ANSWERS),
    (None, CacheState.IS_GONE),
    *itertools.product(
        [
            (FRESH, FRESH, FRESH),
            (STALE, STALE, STALE),
            (TOO_OLD, TOO_OLD, TOO_OLD),
            (FRESH, None, FRESH),
            (FRESH, STALE, None),
            (STALE, FRESH, TOO_OLD),
            (TOO_OLD, FRESH, STALE),
        ],
        [CacheState.ANSWERS, CacheState.IS_GONE_BUT_HELD],
    ),
]

# Half seconds: far from the limits, whatever the clock does while the test runs.
ages = st.integers(0, 400).map(lambda seconds: seconds + 0.5)


@pytest.mark.parametrize(("cached", "cache"), EVERY_CACHE)
async def test_every_combination_of_failures_is_answered_truthfully(
    cached: Ages | None, cache: CacheState
) -> None:
    for moods in EVERY_MOOD:
        await play(Scenario(moods, cached, cache))


@given(
    moods=st.tuples(*[st.sampled_from(Mood)] * 3),
    cached=st.none() | st.tuples(ages, st.none() | ages, st.none() | ages),
    cache=st.sampled_from(CacheState),
)
async def test_the_age_of_each_part_decides_by_itself(
    moods: tuple[Mood, Mood, Mood], cached: Ages | None, cache: CacheState
) -> None:
    await play(Scenario(moods, cached, cache))


@given(st.lists(st.tuples(*[st.sampled_from(Mood)] * 3), min_size=2, max_size=6), ages)
async def test_no_history_of_failures_leaves_anything_false_in_the_cache(
    history: list[tuple[Mood, Mood, Mood]], age: float
) -> None:
    world = Scenario(history[0], (age, age, age)).stage()
    for moods in history:
        world.catalog, world.reviews, world.stock = Scenario(moods, None).stage().apis
        with suppress(ProductNotFoundError, ProductUnavailableError):
            await enricher_over(world).enrich(PRODUCT_ID)
        for entry in world.cache.written:
            assert_true_as_cached(entry, age)


async def play(scenario: Scenario) -> None:
    """Enrich once; hold the answer and what is cached afterwards against the scenario."""
    world, started, expected = scenario.stage(), time.time(), scenario.expected()
    before = world.cache.peek(PRODUCT_ID)

    if not isinstance(expected, list):
        with pytest.raises(expected):
            await enricher_over(world).enrich(PRODUCT_ID)
        assert world.cache.written == [], scenario
        return
    answer = await enricher_over(world).enrich(PRODUCT_ID)

    assert [(r.status, r.reason) for r in answer.reports.values()] == expected, scenario
    assert list(answer.reports) == list(FACTUAL)
    assert_says_what_it_reports(answer, scenario)
    assert_asked_no_more_than_needed(world, answer)
    assert_keeps_what_it_learned(world, answer, before, started)


def assert_says_what_it_reports(answer: Answer, scenario: Scenario) -> None:
    product = EnrichedProduct.model_validate_json(answer_body(answer.facts, answer.reports, 1.0))
    new = [each is not Mood.KNOWS_NOT for each in scenario.moods]
    names = {Status.LIVE: a_product().name}
    texts = {Status.LIVE: [a_review().text] if new[1] else [], Status.UNAVAILABLE: []}
    pieces = {Status.LIVE: an_inventory().quantity if new[2] else None, Status.UNAVAILABLE: None}
    statuses = [product.sources[name].status for name in ("product", "reviews", "inventory")]

    assert product.name == names.get(Status(statuses[0]), OLD_PRODUCT.name), scenario
    said = [review.text for review in product.reviews]
    assert said == texts.get(Status(statuses[1]), [OLD_REVIEWS[0].text]), scenario
    quantity = None if isinstance(product.inventory, dict) else product.inventory.quantity
    assert quantity == pieces.get(Status(statuses[2]), OLD_INVENTORY.quantity), scenario


def assert_asked_no_more_than_needed(world: FakeWorld, answer: Answer) -> None:
    asked = [0 if r.status is Status.CACHED else 1 for r in answer.reports.values()]
    assert world.calls() == asked


def assert_keeps_what_it_learned(
    world: FakeWorld, answer: Answer, before: Entry | None, started: float
) -> None:
    statuses = [report.status for report in answer.reports.values()]
    if Status.LIVE not in statuses:
        assert world.cache.written == []
        return
    (entry,) = world.cache.written
    assert entry.body == answer.facts
    moments = zip(statuses, moments_of(entry), moments_of(before), strict=True)
    for status, moment, moment_before in moments:
        if status is Status.UNAVAILABLE:
            assert moment is None
        elif status is Status.LIVE:
            assert moment is not None
            assert started <= moment <= time.time()
        else:
            assert moment == moment_before


def assert_true_as_cached(entry: Entry, first_age: float) -> None:
    """Old values bear old times, and are gone when they are too old; new values bear new ones."""
    facts: Facts = JsonRepresentation().decode(entry.body, entry.times)
    olds = (OLD_PRODUCT, OLD_REVIEWS, OLD_INVENTORY)
    for known, old in zip((facts.product, facts.reviews, facts.inventory), olds, strict=True):
        if known is not None:
            assert (known.value == old) == (time.time() - known.fetched_at >= first_age)
            assert time.time() - known.fetched_at < LIFETIMES.stale_seconds


def moments_of(entry: Entry | None) -> tuple[float | None, float | None, float | None]:
    if entry is None:
        return None, None, None
    return entry.times.product, entry.times.reviews, entry.times.inventory


def test_the_model_itself_knows_both_errors() -> None:
    well = Mood.KNOWS
    assert Scenario((Mood.KNOWS_NOT, well, well), None).expected() is ProductNotFoundError
    assert (
        Scenario((Mood.KNOWS_NOT, well, well), (FRESH,) * 3).expected()
        == [(Status.CACHED, None)] * 3
    )
