"""What an enriched product is, and the rules of merging sources and of doing without one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, NewType, TypeVar

ProductId = NewType("ProductId", int)
Value = TypeVar("Value")


class Source(StrEnum):
    """Where the parts of an answer come from."""

    PRODUCT = "product"
    REVIEWS = "reviews"
    INVENTORY = "inventory"
    SENTIMENT = "sentiment"  # of the reviews; told only to who asks for it


FACTUAL = (Source.PRODUCT, Source.REVIEWS, Source.INVENTORY)


class Status(StrEnum):
    """How a source's part came about."""

    LIVE = "live"
    CACHED = "cached"
    STALE = "stale"
    UNAVAILABLE = "unavailable"


class Reason(StrEnum):
    """Why a source did not give its part."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BAD_RESPONSE = "bad_response"
    CIRCUIT_OPEN = "circuit_open"


@dataclass(frozen=True, slots=True)
class Price:
    """An exact amount in a currency (ISO 4217)."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Product:
    """A row of the catalogue; `rating` 0 to 5."""

    id: ProductId
    sku: str
    name: str
    description: str
    category: str
    brand: str
    price: Price
    rating: float
    attributes: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Review:
    """One customer's opinion; `rating` 1 to 5."""

    id: int
    author: str
    rating: int
    title: str
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Warehouse:
    """How many pieces one warehouse holds."""

    code: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """Stock of one product, in pieces."""

    in_stock: bool
    quantity: int
    warehouses: tuple[Warehouse, ...]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Opinion:
    """What reviewers think on the whole; without reviews there is no share."""

    positive_share: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Known(Generic[Value]):
    """A source's statement and when it was made (seconds since the epoch)."""

    value: Value
    fetched_at: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a product; None where a source has not said anything yet.

    `inventory.value` is None when the inventory API does not know the product.
    """

    product: Known[Product]
    reviews: Known[tuple[Review, ...]] | None
    inventory: Known[Inventory | None] | None

    def fetched_at(self) -> "FetchTimes":
        """When each part was fetched."""
        return FetchTimes(
            self.product.fetched_at,
            self.reviews.fetched_at if self.reviews else None,
            self.inventory.fetched_at if self.inventory else None,
        )


@dataclass(frozen=True, slots=True)
class FetchTimes:
    """When each part was fetched (seconds since the epoch); None: never."""

    product: float
    reviews: float | None
    inventory: float | None

    def oldest(self) -> float | None:
        """The oldest part's time; None when a part is missing."""
        if self.reviews is None or self.inventory is None:
            return None
        return min(self.product, self.reviews, self.inventory)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one source in one request."""

    status: Status
    reason: Reason | None = None
    latency_ms: float = 0.0


class ProductNotFoundError(Exception):
    """The catalogue has no such product."""

    def __init__(self, product_id: ProductId) -> None:
        super().__init__(f"There is no product {product_id}.")


class ProductUnavailableError(Exception):
    """The catalogue did not answer in time, and nothing is cached: whether it exists is unknown."""

    def __init__(self, product_id: ProductId) -> None:
        super().__init__(f"Product {product_id} cannot be looked up right now.")
