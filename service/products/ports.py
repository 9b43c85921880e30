"""What the enricher needs of the world, and the errors it may meet there."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from service.products.domain import (
    Facts,
    FetchTimes,
    Inventory,
    Opinion,
    Product,
    ProductId,
    Reason,
    Review,
)


class SourceError(Exception):
    """A source did not give its part; `reason` is what the consumer is told."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class CacheUnavailableError(Exception):
    """The cache did not answer; everything goes on without it."""


class Catalog(Protocol):
    """The product rows; they decide which products exist."""

    async def product(self, product_id: ProductId) -> Product | None:
        """The row, None when there is none. Raises SourceError."""


class Reviews(Protocol):
    """What customers say."""

    async def reviews(self, product_id: ProductId) -> tuple[Review, ...]:
        """All reviews of a product, perhaps none. Raises SourceError."""


class Stock(Protocol):
    """What the warehouses hold."""

    async def inventory(self, product_id: ProductId) -> Inventory | None:
        """The stock, None when the product is not known there. Raises SourceError."""


class Sentiment(Protocol):
    """What a text says of its subject."""

    async def positive_share(self, texts: Sequence[str]) -> float:
        """The share of texts, of which there is at least one, that praise. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached product: its facts as the JSON that goes to the client, made once, sent often.

    `fresh_seconds` is how long each part counts as fresh after it was fetched; it differs a little
    from entry to entry, so that products cached together do not expire together.
    """

    times: FetchTimes
    fresh_seconds: float
    body: bytes

    def remaining_seconds(self, now: float) -> float:
        """How long all of it stays fresh; negative when a part is old or missing."""
        oldest = self.times.oldest()
        return -1.0 if oldest is None else oldest + self.fresh_seconds - now


class SharedCache(Protocol):
    """Products that any replica has fetched."""

    async def get(self, product_id: ProductId) -> Entry | None:
        """What the replicas share. Raises CacheUnavailableError."""

    async def put(self, product_id: ProductId, entry: Entry) -> None:
        """Keep an entry for all. Raises CacheUnavailableError."""

    async def forget(self, product_id: ProductId) -> None:
        """Keep nothing of a product that is no more. Raises CacheUnavailableError."""

    def exclusive(self, product_id: ProductId) -> AbstractAsyncContextManager[bool]:
        """Be the only replica that fetches a product; waits while another one does.

        Gives True when it had to wait: the other replica's result is then worth a look. The wait is
        bounded, and a cache that is gone lets everybody in at once: it never raises.
        """


class Cache(SharedCache, Protocol):
    """Products seen before: the hottest in this process, more of them shared by all replicas."""

    def peek(self, product_id: ProductId) -> Entry | None:
        """What this process holds; no I/O."""


class Representation(Protocol):
    """Facts to and from the JSON object that clients get."""

    def encode(self, facts: Facts) -> bytes:
        """Facts as JSON; what is not known is empty."""

    def decode(self, body: bytes, times: FetchTimes) -> Facts:
        """The facts back; without a fetch time a part is None. Raises ValueError."""

    def review_texts(self, body: bytes) -> Sequence[str]:
        """What the reviews say, title and text."""

    def with_opinion(self, body: bytes, opinion: Opinion | None) -> bytes:
        """The facts, and what reviewers think on the whole."""
