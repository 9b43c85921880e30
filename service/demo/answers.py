"""What the stand-ins know: reviews and stock of every product, the same ones each time.

Only `Random.random()` is used: the one method whose sequence Python promises to keep.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal, TypeVar

Kind = Literal["reviews", "inventory"]
Item = TypeVar("Item")

LAST_PRODUCT_ID = 10_000
_NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
_AUTHORS = (
    "Alex M.", "Bea", "Carlos R.", "Dana K.", "Emil", "Fatima S.", "Greta L.", "Hugo",
    "Ines P.", "Jonas W.", "Kim T.", "Lena", "Mateo G.", "Nora H.", "Oskar", "Priya N.",
)  # fmt: skip
_TITLES = {
    1: ("Sent it back", "Broke within a week", "Not what was described"),
    2: ("Expected more", "Disappointing", "Cheaply made"),
    3: ("Does the job", "All right for the price", "Neither good nor bad"),
    4: ("Very good", "Happy with it", "Nearly perfect"),
    5: ("Excellent", "Would buy it again", "Better than expected"),
}
_OPENINGS = {
    1: ("It stopped working after a few days.", "The box was damaged and a part was missing."),
    2: ("The finish is rougher than in the pictures.", "It works, but it feels flimsy."),
    3: ("It does what it says, no more.", "Fine for occasional use."),
    4: ("Solid and well made.", "Works as described, and it looks good."),
    5: ("I have used it every day for months.", "By far the best one I have owned."),
}
_REMARKS = (
    "Delivery took three days.",
    "The instructions could be clearer.",
    "It is a little heavier than I thought.",
    "The colour matches the photo.",
    "Support answered my question on the same day.",
    "I bought a second one as a present.",
    "It is easy to clean.",
    "The packaging was free of plastic.",
)
_WAREHOUSES = ("BER1", "HAM2", "MUC1", "LEJ3", "RTM1")


def answer_of(kind: Kind, product_id: int) -> Any:
    """The answer about a product, ready for JSON; None when there is no such product."""
    if not 1 <= product_id <= LAST_PRODUCT_ID:
        return None
    return reviews_of(product_id) if kind == "reviews" else stock_of(product_id)


def reviews_of(product_id: int) -> list[dict[str, Any]]:
    """0 to 8 reviews, the newest first."""
    random = Random(f"reviews {product_id}")
    days_ago = sorted(int(700 * random.random()) for _ in range(int(9 * random.random())))
    return [_review(random, product_id * 10 + place, days) for place, days in enumerate(days_ago)]


def stock_of(product_id: int) -> dict[str, Any]:
    """Stock in one to three warehouses; every eighth product or so is sold out."""
    random = Random(f"inventory {product_id}")
    sold_out = random.random() < 0.12
    first, places = int(len(_WAREHOUSES) * random.random()), 1 + int(3 * random.random())
    warehouses = [
        {"code": code, "quantity": 0 if sold_out else int(120 * random.random())}
        for code in (_WAREHOUSES * 2)[first : first + places]
    ]
    quantity = sum(int(str(warehouse["quantity"])) for warehouse in warehouses)
    return {
        "product_id": product_id,
        "in_stock": quantity > 0,
        "quantity": quantity,
        "warehouses": warehouses,
        "updated_at": _time(timedelta(minutes=int(1440 * random.random()))),
    }


def pick(random: Random, items: Sequence[Item]) -> Item:
    """One of `items`."""
    return items[int(len(items) * random.random())]


def _review(random: Random, review_id: int, days_ago: int) -> dict[str, Any]:
    rating = pick(random, (5, 5, 5, 4, 4, 4, 3, 3, 2, 1))
    return {
        "id": review_id,
        "author": pick(random, _AUTHORS),
        "rating": rating,
        "title": pick(random, _TITLES[rating]),
        "text": f"{pick(random, _OPENINGS[rating])} {pick(random, _REMARKS)}",
        "created_at": _time(timedelta(days=days_ago, seconds=int(86_400 * random.random()))),
    }


def _time(ago: timedelta) -> str:
    return (_NOW - ago).isoformat().replace("+00:00", "Z")
