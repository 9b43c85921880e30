"""In-memory implementations of the products' ports, which fail and hang when told to.

`FakeWorld` holds one of each; `enricher_over` puts the use case on it, `open_fake_adapters` the
whole application. `a_product`, `a_review` and `an_inventory` are plausible values to begin with.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from prometheus_client import CollectorRegistry
from pydantic import HttpUrl

from middleware import Check
from middleware.settings import Switches
from service.app import OpenAdapters
from service.background import Background
from service.edge.access import RateLimiter
from service.lifespan import Adapters
from service.metrics import ServiceMetrics
from service.products.domain import (
    Facts,
    Inventory,
    Known,
    Price,
    Product,
    ProductId,
    Reason,
    Review,
    Warehouse,
)
from service.products.enricher import Lifetimes, ProductEnricher, Sources
from service.products.ports import CacheUnavailableError, Entry, SourceError
from service.products.representation import JsonRepresentation
from service.settings import Settings, UpstreamSettings
from tests.fake_models import FakeModels

PRODUCT_ID = ProductId(7)
UNKNOWN_ID = ProductId(404)

# What no test waits for unless it is about to fail.
PATIENCE_SECONDS = 30.0

Value = TypeVar("Value")


def a_product(product_id: int = PRODUCT_ID, **changes: Any) -> Product:
    """A row of the catalogue, with `changes`."""
    product = Product(
        id=ProductId(product_id),
        sku=f"KIT-{product_id:06}",
        name="Kettle, 1.7 l",
        description="Boils water; whistles when it is done.",
        category="kitchen",
        brand="Nordlicht",
        price=Price(Decimal("129.90"), "EUR"),
        rating=4.3,
        attributes={"colour": "blue", "watts": 2200, "tags": ["steel", "größer"]},
        created_at=datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
        updated_at=datetime(2025, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC),
    )
    return replace(product, **changes)


def a_review(**changes: Any) -> Review:
    """One opinion, with `changes`."""
    written = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
    return replace(Review(31, "Ada", 5, "Splendid", "It boils. 🫖", written), **changes)


def an_inventory(**changes: Any) -> Inventory:
    """Five pieces in two warehouses, with `changes`."""
    warehouses = (Warehouse("HAM-1", 3), Warehouse("LEJ-2", 2))
    counted = datetime(2025, 6, 1, 8, tzinfo=UTC)
    return replace(Inventory(True, 5, warehouses, counted), **changes)


class FakeSource(Generic[Value]):
    """Knows the values in `known`; notes the ids asked for, and whether a call was cancelled."""

    def __init__(self, known: Mapping[ProductId, Value]) -> None:
        self.known = dict(known)
        self.calls: list[ProductId] = []
        self.cancelled = asyncio.Event()
        self.called = asyncio.Event()
        self._reason: Reason | None = None
        self._turns = 0
        self._open = asyncio.Event()
        self._open.set()

    def fail(self, reason: Reason = Reason.UNREACHABLE) -> None:
        """Raise SourceError from now on."""
        self._reason = reason

    def recover(self) -> None:
        """Answer again."""
        self._reason = None

    def hang(self) -> None:
        """Answer nobody until released."""
        self._open.clear()

    def dawdle(self) -> None:
        """Answer some turns of the event loop later than sources that do not."""
        self._turns = 5

    def release(self) -> None:
        """Answer those who wait, and whoever comes."""
        self._open.set()

    async def until_called(self) -> None:
        """Return when somebody has asked."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.called.wait()

    async def until_cancelled(self) -> None:
        """Return when a call has been called off."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.cancelled.wait()

    async def _ask(self, product_id: ProductId) -> Value | None:
        self.calls.append(product_id)
        self.called.set()
        try:
            for _ in range(self._turns):
                await asyncio.sleep(0)
            await self._open.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self._reason is not None:
            raise SourceError(self._reason)
        return self.known.get(product_id)


class FakeCatalog(FakeSource[Product]):
    """Product rows."""

    async def product(self, product_id: ProductId) -> Product | None:
        """The row, None when there is none."""
        return await self._ask(product_id)


class FakeReviews(FakeSource[tuple[Review, ...]]):
    """What customers say."""

    async def reviews(self, product_id: ProductId) -> tuple[Review, ...]:
        """All reviews, perhaps none."""
        return await self._ask(product_id) or ()


class FakeStock(FakeSource[Inventory]):
    """What the warehouses hold."""

    async def inventory(self, product_id: ProductId) -> Inventory | None:
        """The stock, None when the product is not known here."""
        return await self._ask(product_id)


class FakeCache:
    """`held` is this process' part, `shared` what the replicas have in common."""

    def __init__(self) -> None:
        self.held: dict[ProductId, Entry] = {}
        self.shared: dict[ProductId, Entry] = {}
        self.lookups = 0
        self.written: list[Entry] = []
        self.unavailable = False
        self.waiting = asyncio.Event()
        self._other_replica: asyncio.Event | None = None

    def fail(self) -> None:
        """Raise CacheUnavailableError from now on; what this process holds stays."""
        self.unavailable = True

    def occupy(self) -> None:
        """Another replica fetches every product until `vacate`."""
        self._other_replica = asyncio.Event()

    def vacate(self) -> None:
        """The other replica is done."""
        if self._other_replica is not None:
            self._other_replica.set()

    def peek(self, product_id: ProductId) -> Entry | None:
        """What this process holds."""
        return self.held.get(product_id)

    async def get(self, product_id: ProductId) -> Entry | None:
        """What the replicas share, held here from now on."""
        self.lookups += 1
        self._check()
        entry = self.shared.get(product_id)
        if entry is not None:
            self.held[product_id] = entry
        return entry

    async def put(self, product_id: ProductId, entry: Entry) -> None:
        """Keep an entry here, and there unless the cache is unavailable."""
        self.written.append(entry)
        self.held[product_id] = entry
        self._check()
        self.shared[product_id] = entry

    async def forget(self, product_id: ProductId) -> None:
        """Keep nothing, here and there unless the cache is unavailable."""
        self.held.pop(product_id, None)
        self._check()
        self.shared.pop(product_id, None)

    @asynccontextmanager
    async def exclusive(self, product_id: ProductId) -> AsyncIterator[bool]:
        """True after having waited for the other replica."""
        if self._other_replica is None or self.unavailable:
            yield False
        else:
            self.waiting.set()
            await self._other_replica.wait()
            yield True

    def _check(self) -> None:
        if self.unavailable:
            raise CacheUnavailableError("told to fail")


@dataclass(slots=True)
class FakeWorld:
    """All that products stand on; product 7 is known everywhere, 404 nowhere."""

    catalog: FakeCatalog = field(default_factory=lambda: FakeCatalog({PRODUCT_ID: a_product()}))
    reviews: FakeReviews = field(default_factory=lambda: FakeReviews({PRODUCT_ID: (a_review(),)}))
    stock: FakeStock = field(default_factory=lambda: FakeStock({PRODUCT_ID: an_inventory()}))
    cache: FakeCache = field(default_factory=FakeCache)

    @property
    def apis(self) -> tuple[FakeCatalog, FakeReviews, FakeStock]:
        """The three sources, in the order of `FACTUAL`."""
        return self.catalog, self.reviews, self.stock

    def calls(self) -> list[int]:
        """How often each source was asked, in the order of `FACTUAL`."""
        return [len(source.calls) for source in self.apis]


def remember(world: FakeWorld, entry: Entry, product_id: ProductId = PRODUCT_ID) -> None:
    """Let this process and the replicas hold `entry`."""
    world.cache.held[product_id] = world.cache.shared[product_id] = entry


def an_entry(facts: Facts | None = None, *, fresh_seconds: float = 30.0) -> Entry:
    """`facts`, just fetched unless given, as the cache keeps them."""
    facts = facts or known_facts()
    return Entry(facts.fetched_at(), fresh_seconds, JsonRepresentation().encode(facts))


def known_facts(
    *,
    age_seconds: float = 0.0,
    product: Product | None = None,
    reviews: tuple[Review, ...] | None = None,
    inventory: Inventory | None = None,
) -> Facts:
    """Facts that are all `age_seconds` old."""
    fetched_at = time.time() - age_seconds
    return Facts(
        Known(product or a_product(), fetched_at),
        Known((a_review(),) if reviews is None else reviews, fetched_at),
        Known(inventory or an_inventory(), fetched_at),
    )


LIFETIMES = Lifetimes(fresh_seconds=30.0, stale_seconds=300.0, budget_seconds=PATIENCE_SECONDS)


def enricher_over(
    world: FakeWorld,
    background: Background | None = None,
    *,
    lifetimes: Lifetimes = LIFETIMES,
    metrics: ServiceMetrics | None = None,
) -> ProductEnricher:
    """The use case on fakes. Without a `background` of the test's own nothing may be renewed."""
    return ProductEnricher(
        Sources(*world.apis),
        world.cache,
        JsonRepresentation(),
        lifetimes,
        background or Background(grace_seconds=0),
        metrics or ServiceMetrics(CollectorRegistry()),
    )


def fake_settings(**changes: Any) -> Settings:
    """Settings for an application on fakes, with `changes`; the addresses lead nowhere."""
    settings: dict[str, Any] = {
        "database_url": "postgresql://nowhere.invalid/products",
        "reviews": UpstreamSettings(url=HttpUrl("http://reviews.invalid")),
        "inventory": UpstreamSettings(url=HttpUrl("http://inventory.invalid")),
        "observability": Switches(ops=False, logs=False, stalls=False),
    }
    return Settings(_env_file=None, **(settings | changes))


def open_fake_adapters(
    world: FakeWorld,
    *,
    rate_limiter: RateLimiter | None = None,
    checks: Mapping[str, Check] | None = None,
    models: FakeModels | None = None,
) -> OpenAdapters:
    """For `create_app(settings, open_adapters=...)`: adapters that reach nothing but `world`."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Adapters]:
        yield Adapters(
            Sources(*world.apis),
            world.cache,
            (models or FakeModels()).adapters,
            rate_limiter,
            checks or {},
        )

    def open_adapters(
        settings: Settings, metrics: ServiceMetrics
    ) -> AbstractAsyncContextManager[Adapters]:
        return opened()

    return open_adapters
