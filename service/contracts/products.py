"""`GET /product/{product_id}/enriched`: what is known about one product, and from where."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Price(BaseModel):
    """An exact amount: a decimal string on the wire, never a binary float."""

    amount: Decimal = Field(ge=0, examples=["129.90"])
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217.", examples=["EUR"])


class Review(BaseModel):
    """One customer's opinion."""

    id: int
    author: str
    rating: int = Field(ge=1, le=5)
    title: str
    text: str
    created_at: datetime


class Warehouse(BaseModel):
    """How many pieces one warehouse holds."""

    code: str
    quantity: int = Field(ge=0)


class Inventory(BaseModel):
    """Stock, in pieces. Without a statement from the inventory API the object is empty: `{}`."""

    # An empty object has to be an object without members, not one full of nulls.
    model_config = ConfigDict(json_schema_extra={"required": []})

    in_stock: bool
    quantity: int = Field(ge=0)
    warehouses: list[Warehouse]
    updated_at: datetime


class ProductFacts(BaseModel):
    """The product's own fields, its reviews and its stock."""

    id: int = Field(ge=1, examples=[1])
    sku: str = Field(examples=["KIT-000001"])
    name: str
    description: str
    category: str
    brand: str
    price: Price
    rating: float = Field(ge=0, le=5, description="Mean rating in the catalogue, 0 to 5.")
    attributes: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    reviews: list[Review]
    inventory: Inventory | dict[str, Any] = Field(
        description="Empty when nothing is known; `sources.inventory` says why."
    )


class ReviewSentiment(BaseModel):
    """What the reviews say on the whole, by the sentiment model."""

    positive_share: float | None = Field(ge=0, le=1, description="Null without reviews.")
    count: int = Field(ge=0, description="How many reviews were read.")


class SourceReport(BaseModel):
    """How one source's part of the answer came about."""

    status: Literal["live", "cached", "stale", "unavailable"]
    reason: Literal["timeout", "unreachable", "bad_response", "circuit_open"] | None = Field(
        description="Why the part is stale or unavailable; null when all is well."
    )
    latency_ms: float = Field(ge=0, description="Time this source cost the request.")


class EnrichedProduct(ProductFacts):
    """One product out of many sources, saying of each whether it answered."""

    review_sentiment: ReviewSentiment | None = Field(
        default=None,
        description="With `include=review_sentiment`; null when `sources.sentiment` says why.",
    )
    sources: dict[Literal["product", "reviews", "inventory", "sentiment"], SourceReport]
    processing_time_ms: float = Field(ge=0)
