"""Products as the JSON that clients get: encoded once per fetch, not once per request.

The domain's own dataclasses are written and read; a test holds the result against
`service.contracts.EnrichedProduct`, which is what clients are promised.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pydantic import TypeAdapter

from service.products.domain import (
    Facts,
    FetchTimes,
    Inventory,
    Known,
    Opinion,
    Product,
    Report,
    Review,
    Source,
    Status,
)


@dataclass(frozen=True, slots=True)
class _Parts:
    reviews: tuple[Review, ...]
    inventory: Inventory | dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Reviewed:
    reviews: tuple[Review, ...]


_PRODUCT = TypeAdapter(Product)
_REVIEWS = TypeAdapter(tuple[Review, ...])
_INVENTORY = TypeAdapter(Inventory)
_PARTS = TypeAdapter(_Parts)
_REVIEWED = TypeAdapter(_Reviewed)
_OPINION = TypeAdapter(Opinion | None)


class JsonRepresentation:
    """Facts to and from one JSON object, the shape of `service.contracts.ProductFacts`."""

    def encode(self, facts: Facts) -> bytes:
        """Facts as JSON; what is not known is empty."""
        inventory = facts.inventory.value if facts.inventory else None
        return b'%b,"reviews":%b,"inventory":%b}' % (
            _PRODUCT.dump_json(facts.product.value)[:-1],
            _REVIEWS.dump_json(facts.reviews.value if facts.reviews else ()),
            _INVENTORY.dump_json(inventory) if inventory else b"{}",
        )

    def decode(self, body: bytes, times: FetchTimes) -> Facts:
        """The facts of an encoded product. Raises ValueError when `body` is not one."""
        parts = _PARTS.validate_json(body)
        inventory = parts.inventory if isinstance(parts.inventory, Inventory) else None
        return Facts(
            product=Known(_PRODUCT.validate_json(body), times.product),
            reviews=None if times.reviews is None else Known(parts.reviews, times.reviews),
            inventory=None if times.inventory is None else Known(inventory, times.inventory),
        )

    def review_texts(self, body: bytes) -> list[str]:
        """What the reviews say, title and text; those that say nothing are left out."""
        reviews = _REVIEWED.validate_json(body).reviews
        said = ([part for part in (each.title, each.text) if part.strip()] for each in reviews)
        return [". ".join(parts) for parts in said if parts]

    def with_opinion(self, body: bytes, opinion: Opinion | None) -> bytes:
        """The facts, and what reviewers think on the whole."""
        written = _OPINION.dump_json(opinion)
        return b'%b,"review_sentiment":%b}' % (body[:-1], written)


def answer_body(facts: bytes, reports: Mapping[Source, Report], processing_ms: float) -> bytes:
    """The encoded facts with how they came about: the body of one `EnrichedProduct`."""
    sources = ",".join([f'"{source}":{_report_json(report)}' for source, report in reports.items()])
    end = f',"sources":{{{sources}}},"processing_time_ms":{processing_ms:.3f}}}'
    return facts[:-1] + end.encode()


def entity_tag(facts: bytes, reports: Mapping[Source, Report]) -> str:
    """A weak entity tag: equal for equal facts, however long each answer took to make."""
    missing = "".join(s[0] for s, report in reports.items() if report.status is Status.UNAVAILABLE)
    return f'W/"{blake2b(facts, digest_size=8, person=missing.encode()).hexdigest()}"'


def _report_json(report: Report) -> str:
    reason = f'"{report.reason}"' if report.reason else "null"
    return f'{{"status":"{report.status}","reason":{reason},"latency_ms":{report.latency_ms:.3f}}}'
