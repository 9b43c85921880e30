"""The use case: one enriched product out of a cache and three sources that may each fail."""

import asyncio
import random
import time
from dataclasses import dataclass

from service.background import Background
from service.metrics import ServiceMetrics
from service.products.answers import Answer, HeldAnswers
from service.products.consultation import Consultation
from service.products.domain import (
    FACTUAL,
    Facts,
    Known,
    Product,
    ProductId,
    ProductNotFoundError,
    ProductUnavailableError,
    Report,
    Status,
)
from service.products.ports import (
    Cache,
    CacheUnavailableError,
    Catalog,
    Entry,
    Representation,
    Reviews,
    Stock,
)
from service.products.single_flight import SingleFlight

RENEW_FRACTION = 0.2  # an entry in the last fifth of its life is renewed in the background
PATIENCE_FRACTION = 0.9  # of the budget; what is left is for doing without the source
JITTER_FRACTION = 0.1  # fresh lifetimes differ by up to a tenth


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the parts come from."""

    catalog: Catalog
    reviews: Reviews
    stock: Stock


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """In seconds: how long parts count as fresh, are kept for bad times, a request may take."""

    fresh_seconds: float
    stale_seconds: float
    budget_seconds: float


class ProductEnricher:
    """Answers from memory, else from the shared cache, else from the sources, once for all."""

    def __init__(
        self,
        sources: Sources,
        cache: Cache,
        representation: Representation,
        lifetimes: Lifetimes,
        background: Background,
        metrics: ServiceMetrics,
    ) -> None:
        self._sources = sources
        self._cache = cache
        self._representation = representation
        self._lifetimes = lifetimes
        self._background = background
        self._flights = SingleFlight[ProductId, Answer]()
        self._renewing: set[ProductId] = set()
        self._held = HeldAnswers()
        self._found = {
            result: metrics.cache_requests.labels("products", result)
            for result in ("hit", "stale", "miss", "error")
        }
        self._answered = {
            (source, status): metrics.product_sources.labels(source, status)
            for source in FACTUAL
            for status in Status
        }

    def remembered(self, product_id: ProductId) -> Answer | None:
        """The answer, if this process holds a fresh one: no I/O, no waiting."""
        started = time.perf_counter()
        now = time.time()
        entry = self._cache.peek(product_id)
        remaining = entry.remaining_seconds(now) if entry else 0.0
        if entry is None or remaining <= 0:
            held = self._held.get(product_id)
            return self._count(held) if held else None
        self._found["hit"].inc()
        if remaining < self._lifetimes.fresh_seconds * RENEW_FRACTION:
            self._renew_once(product_id)
        return self._count(_cached(entry, remaining, (time.perf_counter() - started) * 1e3))

    async def enrich(self, product_id: ProductId) -> Answer:
        """The product, joined with everybody else who asks for it now.

        Raises ProductNotFoundError, or ProductUnavailableError when the catalogue does not answer
        within the request's budget and nothing is cached.
        """
        try:
            async with asyncio.timeout(self._lifetimes.budget_seconds):
                fetch = self._flights.join(product_id, lambda: self._find(product_id, margin=0))
                return self._count(await fetch)
        except TimeoutError:
            raise ProductUnavailableError(product_id) from None

    def _renew_once(self, product_id: ProductId) -> None:
        if product_id in self._renewing or self._held.get(product_id):
            return
        self._renewing.add(product_id)
        self._background.start(self._renew(product_id), name="renew_product")

    async def _renew(self, product_id: ProductId) -> None:
        margin = self._lifetimes.fresh_seconds * RENEW_FRACTION
        try:
            await self._flights.join(product_id, lambda: self._find(product_id, margin=margin))
        except (ProductNotFoundError, ProductUnavailableError):
            pass  # the next request that finds the entry expired will be told
        finally:
            self._renewing.discard(product_id)

    async def _find(self, product_id: ProductId, margin: float) -> Answer:
        """The shared entry if it stays fresh for longer than `margin` seconds, else a fetch."""
        started = time.perf_counter()
        entry = await self._look_up(product_id)
        cache_ms = (time.perf_counter() - started) * 1e3
        if entry and (remaining := entry.remaining_seconds(time.time())) > margin:
            return _cached(entry, remaining, cache_ms)
        async with self._cache.exclusive(product_id) as waited:
            if waited:  # another replica was at it
                entry = await self._look_up(product_id) or entry
                if entry and (remaining := entry.remaining_seconds(time.time())) > margin:
                    return _cached(entry, remaining, cache_ms)
            return await self._fetch(product_id, entry, margin, cache_ms)

    async def _look_up(self, product_id: ProductId) -> Entry | None:
        try:
            entry = await self._cache.get(product_id)
        except CacheUnavailableError:
            self._found["error"].inc()
            return self._cache.peek(product_id)
        if entry is None:
            self._found["miss"].inc()
        else:
            fresh = entry.remaining_seconds(time.time()) > 0
            self._found["hit" if fresh else "stale"].inc()
        return entry

    async def _fetch(
        self, product_id: ProductId, entry: Entry | None, margin: float, cache_ms: float
    ) -> Answer:
        known = self._decoded(entry)
        consult = Consultation(
            fresh_seconds=entry.fresh_seconds - margin if entry else 0.0,
            stale_seconds=self._lifetimes.stale_seconds,
            patience_seconds=self._lifetimes.budget_seconds * PATIENCE_FRACTION,
            cache_ms=cache_ms,
        )
        row_known, opinions_known, stock_known = (
            (known.product, known.reviews, known.inventory) if known else (None, None, None)
        )
        try:
            async with asyncio.TaskGroup() as group:
                product = group.create_task(self._product(consult, product_id, row_known))
                reviews = group.create_task(
                    consult.part(self._sources.reviews.reviews, product_id, opinions_known)
                )
                inventory = group.create_task(
                    consult.part(self._sources.stock.inventory, product_id, stock_known)
                )
        except BaseExceptionGroup as failures:
            # The catalogue alone fails a request, and ends the other branches when it does.
            failure = failures.exceptions[0]
            if entry is not None and isinstance(failure, ProductNotFoundError):
                await self._forget(product_id)
            raise failure from None
        tasks = (product, reviews, inventory)
        facts = Facts(product.result()[0], reviews.result()[0], inventory.result()[0])
        reports = {source: task.result()[1] for source, task in zip(FACTUAL, tasks, strict=True)}
        fetched = self._entry(facts)
        if any(report.status is Status.LIVE for report in reports.values()):
            await self._keep(product_id, fetched)
        fresh_seconds = fetched.remaining_seconds(time.time())
        answer = Answer(fetched.body, reports, fresh_seconds, cache_ms)
        self._held.keep(product_id, answer)
        return answer

    async def _product(
        self, consult: Consultation, product_id: ProductId, known: Known[Product] | None
    ) -> tuple[Known[Product], Report]:
        product, report = await consult.part(self._row, product_id, known)
        if product is None:
            raise ProductUnavailableError(product_id)
        return product, report

    async def _row(self, product_id: ProductId) -> Product:
        product = await self._sources.catalog.product(product_id)
        if product is None:
            raise ProductNotFoundError(product_id)
        return product

    def _entry(self, facts: Facts) -> Entry:
        jitter = 1 - JITTER_FRACTION * random.random()
        return Entry(
            facts.fetched_at(),
            self._lifetimes.fresh_seconds * jitter,
            self._representation.encode(facts),
        )

    def _decoded(self, entry: Entry | None) -> Facts | None:
        if entry is None:
            return None
        try:
            return self._representation.decode(entry.body, entry.times)
        except ValueError:  # written by another version of the service
            return None

    async def _keep(self, product_id: ProductId, entry: Entry) -> None:
        try:
            await self._cache.put(product_id, entry)
        except CacheUnavailableError:
            pass  # counted where it was noticed

    async def _forget(self, product_id: ProductId) -> None:
        try:
            await self._cache.forget(product_id)
        except CacheUnavailableError:
            pass  # the shared entry ends by itself

    def _count(self, answer: Answer) -> Answer:
        for source, report in answer.reports.items():
            self._answered[source, report.status].inc()
        return answer


def _cached(entry: Entry, remaining_seconds: float, cache_ms: float) -> Answer:
    report = Report(Status.CACHED, latency_ms=cache_ms)
    return Answer(entry.body, dict.fromkeys(FACTUAL, report), remaining_seconds, cache_ms)
