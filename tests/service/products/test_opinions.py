"""What reviewers think is added to a product for who asks, and never waited for long."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from service.background import Background
from service.metrics import ServiceMetrics
from service.products import opinions
from service.products.answers import Answer
from service.products.domain import FACTUAL, Reason, Report, Source, Status
from service.products.opinions import MAX_HELD, Opinions
from service.products.ports import SourceError
from service.products.representation import JsonRepresentation
from tests.fakes import PATIENCE_SECONDS, a_review, known_facts

REPRESENTATION = JsonRepresentation()
LIVE = {source: Report(Status.LIVE) for source in FACTUAL}


class FakeSentiment:
    """Half of all reviews praise; fails and hangs when told to."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.reason: Reason | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def positive_share(self, texts: Sequence[str]) -> float:
        self.asked.append(texts)
        await self.answers.wait()
        if self.reason is not None:
            raise SourceError(self.reason)
        return 0.5


@pytest.fixture
def sentiment() -> FakeSentiment:
    return FakeSentiment()


@pytest.fixture
async def added(sentiment: FakeSentiment) -> AsyncIterator[Opinions]:
    metrics = ServiceMetrics(CollectorRegistry())
    async with Background(grace_seconds=PATIENCE_SECONDS) as background:
        yield Opinions(sentiment, REPRESENTATION, background, metrics)


def an_answer(number: int = 0, **reports: Report) -> Answer:
    reviews = (a_review(title=f"Splendid {number}"), a_review(title="", text=" "))
    facts = known_facts(reviews=reviews)
    changed = {Source(name): report for name, report in reports.items()}
    return Answer(REPRESENTATION.encode(facts), LIVE | changed, 30.0, 0.1)


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.UNREACHABLE])
async def test_a_model_that_fails_costs_the_opinion_and_nothing_else(
    added: Opinions, sentiment: FakeSentiment, reason: Reason
) -> None:
    sentiment.reason = reason

    answer = await added.added_to(an_answer())

    assert answer.facts.endswith(b',"review_sentiment":null}')
    assert answer.reports[Source.SENTIMENT].status is Status.UNAVAILABLE
    assert answer.reports[Source.SENTIMENT].reason is reason
    assert not answer.complete


async def test_a_slow_model_is_not_waited_for_but_its_opinion_is_there_next_time(
    added: Opinions, sentiment: FakeSentiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opinions, "PATIENCE_SECONDS", 0.01)
    sentiment.answers.clear()

    first = await added.added_to(an_answer())
    sentiment.answers.set()
    monkeypatch.setattr(opinions, "PATIENCE_SECONDS", PATIENCE_SECONDS)
    second = await added.added_to(an_answer())

    assert first.reports[Source.SENTIMENT].reason is Reason.TIMEOUT
    assert second.facts.endswith(b'"review_sentiment":{"positive_share":0.5,"count":1}}')
    assert len(sentiment.asked) == 1


async def test_without_the_reviews_there_is_no_opinion(
    added: Opinions, sentiment: FakeSentiment
) -> None:
    gone = Report(Status.UNAVAILABLE, Reason.CIRCUIT_OPEN)

    answer = await added.added_to(an_answer(reviews=gone))

    assert answer.reports[Source.SENTIMENT].reason is Reason.CIRCUIT_OPEN
    assert sentiment.asked == []


async def test_a_product_that_nobody_reviewed_has_an_opinion_of_nobody(
    added: Opinions, sentiment: FakeSentiment
) -> None:
    facts = REPRESENTATION.encode(known_facts(reviews=()))

    answer = await added.added_to(Answer(facts, LIVE, 30.0, 0.1))

    assert answer.facts.endswith(b'"review_sentiment":{"positive_share":null,"count":0}}')
    assert sentiment.asked == []


async def test_reviews_are_read_once_until_the_facts_change(
    added: Opinions, sentiment: FakeSentiment
) -> None:
    first, again, changed = [await added.added_to(an_answer(number)) for number in (1, 1, 2)]

    assert first.reports[Source.SENTIMENT].status is Status.LIVE
    assert again.reports[Source.SENTIMENT].status is Status.CACHED
    assert changed.reports[Source.SENTIMENT].status is Status.LIVE
    assert sentiment.asked == [["Splendid 1. It boils. 🫖"], ["Splendid 2. It boils. 🫖"]]


async def test_who_asks_at_the_same_time_shares_one_reading(
    added: Opinions, sentiment: FakeSentiment
) -> None:
    await asyncio.gather(*(added.added_to(an_answer()) for _ in range(5)))

    assert len(sentiment.asked) == 1


async def test_only_so_many_opinions_are_kept(
    added: Opinions, sentiment: FakeSentiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opinions, "MAX_HELD", 2)

    for number in (1, 2, 3, 3, 1):
        await added.added_to(an_answer(number))

    assert len(sentiment.asked) == 4
    assert MAX_HELD >= 1_000
