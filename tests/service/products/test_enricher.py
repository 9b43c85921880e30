"""The use case as its callers see it: who is asked, how often, and who waits for whom."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.background import Background
from service.metrics import ServiceMetrics
from service.products.answers import Answer
from service.products.domain import (
    FACTUAL,
    Facts,
    ProductNotFoundError,
    ProductUnavailableError,
    Reason,
    Source,
    Status,
)
from service.products.enricher import ProductEnricher
from service.products.ports import Entry
from tests.fakes import (
    LIFETIMES,
    PATIENCE_SECONDS,
    PRODUCT_ID,
    UNKNOWN_ID,
    FakeWorld,
    a_product,
    an_entry,
    enricher_over,
    known_facts,
    remember,
)

NEARLY_OVER_SECONDS = LIFETIMES.fresh_seconds - 5
EXPIRED_SECONDS = LIFETIMES.fresh_seconds + 2
HARDLY_ANY_BUDGET = replace(LIFETIMES, budget_seconds=0.01)


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    async with Background(grace_seconds=PATIENCE_SECONDS) as background:
        yield background


@pytest.fixture
def enricher(world: FakeWorld, background: Background) -> ProductEnricher:
    return enricher_over(world, background)


async def test_an_unknown_product_is_an_error_and_nothing_is_cached(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    with pytest.raises(ProductNotFoundError, match="404"):
        await enricher.enrich(UNKNOWN_ID)

    assert world.cache.written == []


async def test_an_unknown_product_is_known_at_once_whoever_hangs(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    world.reviews.hang()
    world.stock.hang()

    with pytest.raises(ProductNotFoundError):
        await enricher.enrich(UNKNOWN_ID)

    assert world.reviews.cancelled.is_set()
    assert world.stock.cancelled.is_set()


@pytest.mark.parametrize("reason", Reason)
async def test_a_product_that_cannot_be_looked_up_is_not_called_unknown(
    enricher: ProductEnricher, world: FakeWorld, reason: Reason
) -> None:
    world.catalog.fail(reason)

    with pytest.raises(ProductUnavailableError, match="7"):
        await enricher.enrich(PRODUCT_ID)


async def test_a_programming_error_in_a_source_comes_out_as_it_is(
    enricher: ProductEnricher, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(product_id: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.stock, "inventory", broken)

    with pytest.raises(ZeroDivisionError):
        await enricher.enrich(PRODUCT_ID)


@pytest.mark.parametrize("hanging", FACTUAL)
async def test_no_request_lasts_longer_than_its_budget(world: FakeWorld, hanging: Source) -> None:
    source = world.apis[FACTUAL.index(hanging)]
    source.hang()

    with pytest.raises(ProductUnavailableError):
        await enricher_over(world, lifetimes=HARDLY_ANY_BUDGET).enrich(PRODUCT_ID)

    assert world.cache.written == []


async def test_a_replica_that_never_finishes_does_not_hold_us_beyond_the_budget(
    world: FakeWorld,
) -> None:
    world.cache.occupy()

    with pytest.raises(ProductUnavailableError):
        await enricher_over(world, lifetimes=HARDLY_ANY_BUDGET).enrich(PRODUCT_ID)


async def test_after_a_budget_ran_out_the_next_request_starts_afresh(world: FakeWorld) -> None:
    world.catalog.hang()
    enricher = enricher_over(world, lifetimes=replace(LIFETIMES, budget_seconds=0.5))
    with pytest.raises(ProductUnavailableError):
        await enricher.enrich(PRODUCT_ID)
    world.catalog.release()

    assert (await enricher.enrich(PRODUCT_ID)).complete


async def test_a_failure_is_told_to_all_who_waited_for_it(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    world.catalog.hang()
    callers = await asking(enricher, world, 10)
    world.catalog.fail()
    world.catalog.release()

    assert [type(each) for each in await outcomes(callers)] == [ProductUnavailableError] * 10
    assert world.calls() == [1, 1, 1]


async def test_an_entry_that_cannot_be_read_is_fetched_anew(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    remember(world, unreadable(known_facts(age_seconds=EXPIRED_SECONDS)))

    answer = await enricher.enrich(PRODUCT_ID)

    assert statuses(answer) == [Status.LIVE] * 3
    assert world.cache.written[-1].body == answer.facts


async def test_an_entry_that_cannot_be_read_replaces_nobody(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    remember(world, unreadable(known_facts(age_seconds=EXPIRED_SECONDS)))
    world.catalog.fail()

    with pytest.raises(ProductUnavailableError):
        await enricher.enrich(PRODUCT_ID)


async def test_a_cancelled_leader_leaves_the_answer_to_its_followers(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    world.reviews.hang()
    leader, *followers = await asking(enricher, world, 5)

    leader.cancel()
    await outcomes([leader])
    world.reviews.release()

    assert [each.complete for each in await outcomes(followers)] == [True] * 4
    assert world.calls() == [1, 1, 1]


async def test_when_nobody_waits_any_more_the_sources_are_called_off(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    for source in world.apis:
        source.hang()
    callers = await asking(enricher, world, 5)

    for caller in callers:
        caller.cancel()
    await outcomes(callers)

    for source in world.apis:
        await source.until_cancelled()
    assert world.cache.written == []


async def test_a_thousand_who_ask_for_one_cold_product_cost_one_call_to_each_source(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    world.reviews.hang()
    callers = await asking(enricher, world, 1000)
    world.reviews.release()

    answers = await outcomes(callers)

    assert {answer.facts for answer in answers} == {an_entry().body}
    assert world.calls() == [1, 1, 1]
    assert len(world.cache.written) == 1


async def test_a_cold_product_asks_all_sources_before_any_has_answered(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    for source in world.apis:
        source.hang()

    (caller,) = await asking(enricher, world, 1)
    for source in world.apis:
        await source.until_called()
        assert not caller.done()
    for source in world.apis:
        source.release()

    assert statuses(await caller) == [Status.LIVE] * 3


async def test_different_products_do_not_wait_for_each_other(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    world.catalog.known[UNKNOWN_ID] = a_product(UNKNOWN_ID)
    world.reviews.hang()
    (first,) = await asking(enricher, world, 1)
    remember(world, an_entry(known_facts(product=a_product(UNKNOWN_ID))), UNKNOWN_ID)

    assert (await enricher.enrich(UNKNOWN_ID)).complete
    assert not first.done()
    world.reviews.release()
    await first


async def test_what_another_replica_has_fetched_meanwhile_is_taken_over(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    world.cache.occupy()
    caller = asyncio.create_task(enricher.enrich(PRODUCT_ID))
    await world.cache.waiting.wait()
    world.cache.shared[PRODUCT_ID] = an_entry()
    world.cache.vacate()

    assert statuses(await caller) == [Status.CACHED] * 3
    assert world.calls() == [0, 0, 0]


async def test_when_the_other_replica_brought_nothing_we_fetch(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    world.cache.occupy()
    caller = asyncio.create_task(enricher.enrich(PRODUCT_ID))
    await world.cache.waiting.wait()
    world.cache.vacate()

    assert statuses(await caller) == [Status.LIVE] * 3


async def test_when_the_cache_goes_while_we_wait_what_it_said_before_still_helps(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    world.cache.shared[PRODUCT_ID] = an_entry(known_facts(age_seconds=EXPIRED_SECONDS))
    world.cache.occupy()
    world.catalog.fail()
    caller = asyncio.create_task(enricher.enrich(PRODUCT_ID))
    await world.cache.waiting.wait()
    world.cache.fail()
    world.cache.held.clear()
    world.cache.vacate()

    assert statuses(await caller) == [Status.STALE, Status.LIVE, Status.LIVE]


async def test_nothing_is_remembered_of_what_was_never_asked(enricher: ProductEnricher) -> None:
    assert enricher.remembered(PRODUCT_ID) is None


@pytest.mark.parametrize("facts", [
    known_facts(age_seconds=EXPIRED_SECONDS),
    replace(known_facts(), reviews=None),
    replace(known_facts(), inventory=None),
])  # fmt: skip
async def test_only_what_is_complete_and_fresh_is_answered_from_memory(
    enricher: ProductEnricher, world: FakeWorld, facts: Facts
) -> None:
    remember(world, an_entry(facts))

    assert enricher.remembered(PRODUCT_ID) is None


async def test_memory_answers_without_asking_anybody(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    remember(world, an_entry())

    answer = enricher.remembered(PRODUCT_ID)

    assert answer
    assert statuses(answer) == [Status.CACHED] * 3
    assert answer.complete
    assert 0 < answer.fresh_seconds <= LIFETIMES.fresh_seconds
    assert (world.cache.lookups, world.calls()) == (0, [0, 0, 0])


async def test_a_product_far_from_its_end_is_not_renewed(world: FakeWorld) -> None:
    remember(world, an_entry())

    async with Background(grace_seconds=PATIENCE_SECONDS) as background:
        enricher_over(world, background).remembered(PRODUCT_ID)

    assert world.cache.written == []


async def test_near_the_end_one_renewal_runs_while_the_old_value_is_served(
    world: FakeWorld,
) -> None:
    remember(world, an_entry(known_facts(age_seconds=NEARLY_OVER_SECONDS)))
    world.catalog.known[PRODUCT_ID] = a_product(name="new")
    world.catalog.hang()

    async with Background(grace_seconds=PATIENCE_SECONDS) as background:
        enricher = enricher_over(world, background)
        at_once = [enricher.remembered(PRODUCT_ID) for _ in range(10)]
        await world.catalog.until_called()
        meanwhile = [enricher.remembered(PRODUCT_ID) for _ in range(10)]
        world.catalog.release()

    for answer in at_once + meanwhile:
        assert answer
        assert answer.facts == an_entry().body
    assert world.calls() == [1, 1, 1]
    renewed = enricher.remembered(PRODUCT_ID)
    assert renewed
    assert b'"name":"new"' in renewed.facts
    assert world.calls() == [1, 1, 1]


async def test_a_renewal_takes_over_what_another_replica_has_renewed(world: FakeWorld) -> None:
    remember(world, an_entry(known_facts(age_seconds=NEARLY_OVER_SECONDS)))
    world.cache.shared[PRODUCT_ID] = an_entry(known_facts(product=a_product(name="new")))

    await renewed(world)

    assert world.calls() == [0, 0, 0]
    assert b'"name":"new"' in world.cache.held[PRODUCT_ID].body


async def test_a_renewal_that_fails_altogether_keeps_the_old_entry(world: FakeWorld) -> None:
    old = an_entry(known_facts(age_seconds=NEARLY_OVER_SECONDS))
    remember(world, old)
    for source in world.apis:
        source.fail()

    await renewed(world)

    assert world.calls() == [1, 1, 1]
    assert (world.cache.written, world.cache.held[PRODUCT_ID]) == ([], old)


async def test_a_renewal_that_fails_in_part_keeps_the_old_part(world: FakeWorld) -> None:
    old = an_entry(known_facts(age_seconds=NEARLY_OVER_SECONDS))
    remember(world, old)
    world.reviews.fail()

    await renewed(world)

    (new,) = world.cache.written
    assert new.body == old.body
    assert new.times.reviews == old.times.reviews
    assert new.times.product > old.times.product


async def test_a_product_that_is_gone_is_forgotten_when_that_is_noticed(world: FakeWorld) -> None:
    remember(world, an_entry(known_facts(age_seconds=NEARLY_OVER_SECONDS)))
    world.catalog.known.clear()

    await renewed(world)

    assert world.cache.written == []
    assert enricher_over(world).remembered(PRODUCT_ID) is None
    assert world.cache.shared == {}


async def test_a_product_that_is_gone_does_not_come_back_when_the_catalogue_fails(
    world: FakeWorld,
) -> None:
    remember(world, an_entry(known_facts(age_seconds=EXPIRED_SECONDS)))
    world.catalog.known.clear()
    enricher = enricher_over(world)
    with pytest.raises(ProductNotFoundError):
        await enricher.enrich(PRODUCT_ID)

    world.catalog.fail()

    with pytest.raises(ProductUnavailableError):
        await enricher.enrich(PRODUCT_ID)


async def test_a_product_that_is_gone_is_said_to_be_so_without_a_cache_too(
    world: FakeWorld,
) -> None:
    remember(world, an_entry(known_facts(age_seconds=EXPIRED_SECONDS)))
    world.catalog.known.clear()
    world.cache.fail()

    with pytest.raises(ProductNotFoundError):
        await enricher_over(world).enrich(PRODUCT_ID)


async def test_an_unreadable_entry_does_not_break_its_renewal(world: FakeWorld) -> None:
    remember(world, unreadable(known_facts(age_seconds=NEARLY_OVER_SECONDS)))
    world.catalog.fail()

    await renewed(world)

    assert world.cache.written == []


async def test_products_cached_together_do_not_expire_together(
    enricher: ProductEnricher, world: FakeWorld
) -> None:
    for number in range(1, 21):
        world.catalog.known[a_product(number).id] = a_product(number)
        await enricher.enrich(a_product(number).id)

    lifetimes = {entry.fresh_seconds for entry in world.cache.written}
    assert len(lifetimes) > 10
    assert all(
        0.9 * LIFETIMES.fresh_seconds <= each <= LIFETIMES.fresh_seconds for each in lifetimes
    )


@pytest.mark.parametrize(("age_seconds", "result"), [
    (None, "miss"),
    (1.0, "hit"),
    (EXPIRED_SECONDS, "stale"),
])  # fmt: skip
async def test_a_lookup_is_counted_by_what_it_found(
    world: FakeWorld, age_seconds: float | None, result: str
) -> None:
    metrics = ServiceMetrics(CollectorRegistry())
    if age_seconds is not None:
        remember(world, an_entry(known_facts(age_seconds=age_seconds)))

    await enricher_over(world, metrics=metrics).enrich(PRODUCT_ID)

    assert lookups(metrics) == {"hit": 0, "stale": 0, "miss": 0, "error": 0} | {result: 1}


async def test_a_lookup_in_a_cache_that_is_gone_is_counted_as_an_error(world: FakeWorld) -> None:
    metrics = ServiceMetrics(CollectorRegistry())
    world.cache.fail()

    answer = await enricher_over(world, metrics=metrics).enrich(PRODUCT_ID)

    assert lookups(metrics) == {"hit": 0, "stale": 0, "miss": 0, "error": 1}
    assert world.cache.held[PRODUCT_ID].body == answer.facts


async def test_memory_counts_as_a_hit(world: FakeWorld) -> None:
    metrics = ServiceMetrics(CollectorRegistry())
    remember(world, an_entry())

    enricher_over(world, metrics=metrics).remembered(PRODUCT_ID)

    assert lookups(metrics)["hit"] == 1
    assert parts(metrics, Source.PRODUCT, Status.CACHED) == 1


async def test_each_part_is_counted_by_where_it_came_from(world: FakeWorld) -> None:
    metrics = ServiceMetrics(CollectorRegistry())
    world.reviews.fail()

    await enricher_over(world, metrics=metrics).enrich(PRODUCT_ID)

    assert parts(metrics, Source.PRODUCT, Status.LIVE) == 1
    assert parts(metrics, Source.REVIEWS, Status.UNAVAILABLE) == 1
    assert parts(metrics, Source.REVIEWS, Status.LIVE) == 0


async def asking(
    enricher: ProductEnricher, world: FakeWorld, callers: int
) -> list[asyncio.Task[Answer]]:
    """Tasks that all wait for the same product, whose catalogue row is being read."""
    tasks = [asyncio.create_task(enricher.enrich(PRODUCT_ID)) for _ in range(callers)]
    for source in world.apis:
        await source.until_called()
    return tasks


async def outcomes(callers: Iterable[asyncio.Task[Answer]]) -> list[Any]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.gather(*callers, return_exceptions=True)


async def renewed(world: FakeWorld) -> None:
    """Ask for what is remembered, and wait until its renewal is over."""
    async with Background(grace_seconds=PATIENCE_SECONDS) as background:
        assert enricher_over(world, background).remembered(PRODUCT_ID)


def statuses(answer: Answer) -> list[Status]:
    return [report.status for report in answer.reports.values()]


def unreadable(facts: Facts) -> Entry:
    return replace(an_entry(facts), body=b'{"written": "by another version"}')


def lookups(metrics: ServiceMetrics) -> dict[str, float | None]:
    return {
        result: metrics.registry.get_sample_value(
            "cache_requests_total", {"cache": "products", "result": result}
        )
        for result in ("hit", "stale", "miss", "error")
    }


def parts(metrics: ServiceMetrics, source: Source, status: Status) -> float | None:
    labels = {"source": source.value, "status": status.value}
    return metrics.registry.get_sample_value("product_sources_total", labels)
