"""What reviewers think on the whole: added to a product for who asks, and never waited for long."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from service.background import Background
from service.metrics import ServiceMetrics
from service.products.answers import Answer
from service.products.domain import Opinion, Reason, Report, Source, Status
from service.products.ports import Representation, Sentiment, SourceError
from service.products.single_flight import SingleFlight

PATIENCE_SECONDS = 0.5
MAX_HELD = 10_000  # products' reviews

_Digest = bytes


class Opinions:
    """Remembers an opinion for as long as the product's facts stay what they are.

    What takes longer than PATIENCE_SECONDS is finished in the background, for whoever asks next.
    """

    def __init__(
        self,
        sentiment: Sentiment,
        representation: Representation,
        background: Background,
        metrics: ServiceMetrics,
    ) -> None:
        self._sentiment, self._representation = sentiment, representation
        self._background = background
        self._held: dict[_Digest, Opinion] = {}
        self._flights = SingleFlight[_Digest, Opinion]()
        self._answered = {
            status: metrics.product_sources.labels(Source.SENTIMENT, status) for status in Status
        }

    async def added_to(self, answer: Answer) -> Answer:
        """The answer with the opinion in its facts, or with the reason why there is none."""
        started = time.perf_counter()
        opinion, report = await self._opinion(answer)
        self._answered[report.status].inc()
        report = replace(report, latency_ms=(time.perf_counter() - started) * 1e3)
        return replace(
            answer,
            facts=self._representation.with_opinion(answer.facts, opinion),
            reports={**answer.reports, Source.SENTIMENT: report},
        )

    async def _opinion(self, answer: Answer) -> tuple[Opinion | None, Report]:
        reviews = answer.reports[Source.REVIEWS]
        if reviews.status is Status.UNAVAILABLE:
            return None, Report(Status.UNAVAILABLE, reviews.reason)
        digest = blake2b(answer.facts, digest_size=16).digest()
        if held := self._held.get(digest):
            return held, Report(Status.CACHED)
        try:
            return await self._computed(digest, answer.facts), Report(Status.LIVE)
        except SourceError as error:
            return None, Report(Status.UNAVAILABLE, error.reason)
        except TimeoutError:
            return None, Report(Status.UNAVAILABLE, Reason.TIMEOUT)

    async def _computed(self, digest: _Digest, facts: bytes) -> Opinion:
        def join() -> Coroutine[Any, Any, Opinion]:
            return self._flights.join(digest, lambda: self._compute(digest, facts))

        self._background.start(_regardless(join()), name="review_sentiment")
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await join()

    async def _compute(self, digest: _Digest, facts: bytes) -> Opinion:
        texts = self._representation.review_texts(facts)
        opinion = Opinion(await self._share_of_positive(texts), len(texts))
        if len(self._held) >= MAX_HELD:
            del self._held[next(iter(self._held))]  # the oldest
        self._held[digest] = opinion
        return opinion

    async def _share_of_positive(self, texts: Sequence[str]) -> float | None:
        return await self._sentiment.positive_share(texts) if texts else None


async def _regardless(work: Coroutine[Any, Any, object]) -> None:
    """Keep a flight going; those who wait for it are told of its failure."""
    with suppress(SourceError):
        await work
