"""While a circuit is open, the same answer again costs nothing; for a moment, and truthfully."""

import gc

import pytest

from service.products import answers
from service.products.answers import Answer, HeldAnswers
from service.products.domain import FACTUAL, ProductId, Reason, Report, Source, Status
from tests.fakes import PRODUCT_ID, FakeWorld, an_entry, enricher_over, known_facts, remember

LIVE = Report(Status.LIVE)


@pytest.fixture(autouse=True)
def a_long_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is that runs the tests."""
    monkeypatch.setattr(answers, "HOLD_SECONDS", 3600.0)


def an_answer(*reasons: Reason) -> Answer:
    """Live in every part but the first ones, which fail for these reasons."""
    failed = [Report(Status.UNAVAILABLE, reason) for reason in reasons]
    reports = dict(zip(FACTUAL, [*failed, LIVE, LIVE, LIVE], strict=False))
    return Answer(b"{}", reports, 1.0, 0.0)


@pytest.mark.parametrize("reasons", [
    (),
    (Reason.TIMEOUT,),
    (Reason.CIRCUIT_OPEN, Reason.TIMEOUT),
    (Reason.CIRCUIT_OPEN, Reason.BAD_RESPONSE, Reason.UNREACHABLE),
])  # fmt: skip
def test_what_another_try_might_better_is_not_held(reasons: tuple[Reason, ...]) -> None:
    held = HeldAnswers()

    held.keep(PRODUCT_ID, an_answer(*reasons))

    assert held.get(PRODUCT_ID) is None


def test_what_lacks_only_what_would_not_be_asked_for_is_held() -> None:
    held, answer = HeldAnswers(), an_answer(Reason.CIRCUIT_OPEN, Reason.CIRCUIT_OPEN)

    held.keep(PRODUCT_ID, answer)

    assert held.get(PRODUCT_ID)
    assert held.get(ProductId(8)) is None


def test_nothing_is_held_for_longer_than_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "HOLD_SECONDS", 0.0)
    held = HeldAnswers()

    held.keep(PRODUCT_ID, an_answer(Reason.CIRCUIT_OPEN))

    assert held.get(PRODUCT_ID) is None


def test_there_is_an_end_to_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_HELD", 2)
    held = HeldAnswers()

    for number in (1, 2, 3):
        held.keep(ProductId(number), an_answer(Reason.CIRCUIT_OPEN))

    assert held.get(ProductId(3))
    assert sum(held.get(ProductId(number)) is not None for number in (1, 2, 3)) <= 2


def test_answers_whose_moment_is_over_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "HOLD_SECONDS", 0.0)
    held, before = HeldAnswers(), answers_in_memory()

    for number in range(1, 1001):
        held.keep(ProductId(number), an_answer(Reason.CIRCUIT_OPEN))

    assert answers_in_memory() - before < 10


async def test_an_open_circuit_costs_no_more_lookups_than_one(world: FakeWorld) -> None:
    world.reviews.fail(Reason.CIRCUIT_OPEN)
    enricher = enricher_over(world)
    answer = await enricher.enrich(PRODUCT_ID)

    again = enricher.remembered(PRODUCT_ID)

    assert again
    assert again.facts == answer.facts
    assert again.reports[Source.REVIEWS].reason is Reason.CIRCUIT_OPEN
    assert (world.cache.lookups, world.calls()) == (1, [1, 1, 1])


async def test_what_is_held_does_not_pretend_to_be_live(world: FakeWorld) -> None:
    world.reviews.fail(Reason.CIRCUIT_OPEN)
    enricher = enricher_over(world)
    await enricher.enrich(PRODUCT_ID)

    again = enricher.remembered(PRODUCT_ID)

    assert again
    assert again.reports[Source.PRODUCT].status is Status.CACHED
    assert again.reports[Source.INVENTORY].status is Status.CACHED


async def test_a_fresh_entry_comes_before_what_is_held(world: FakeWorld) -> None:
    world.reviews.fail(Reason.CIRCUIT_OPEN)
    enricher = enricher_over(world)
    await enricher.enrich(PRODUCT_ID)
    remember(world, an_entry(known_facts()))

    answer = enricher.remembered(PRODUCT_ID)

    assert answer
    assert answer.complete


def answers_in_memory() -> int:
    return sum(type(each) is Answer for each in gc.get_objects())  # a dead proxy has no __class__
