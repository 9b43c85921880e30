"""Hypothesis strategies for products: all that the sources can possibly say."""

from datetime import timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from service.products.domain import (
    Facts,
    Inventory,
    Known,
    Price,
    Product,
    ProductId,
    Review,
    Warehouse,
)

# Any text that UTF-8 can carry: no lone surrogates.
texts = st.text(st.characters(codec="utf-8"), max_size=20)
moments = st.datetimes(
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
)
pieces = st.integers(0, 2**31)
epochs = st.floats(0, 4e9)
amounts = st.decimals(0, 10**10, places=2)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)

prices = st.builds(Price, amounts, st.from_regex("[A-Z]{3}", fullmatch=True))

products = st.builds(
    Product,
    id=st.integers(1, 2**63 - 1).map(ProductId),
    sku=texts,
    name=texts,
    description=texts,
    category=texts,
    brand=texts,
    price=prices,
    rating=st.floats(0, 5),
    attributes=st.dictionaries(texts, json_values, max_size=4),
    created_at=moments,
    updated_at=moments,
)

reviews = st.builds(
    Review,
    id=st.integers(),
    author=texts,
    rating=st.integers(1, 5),
    title=texts,
    text=texts,
    created_at=moments,
)

inventories = st.builds(
    Inventory,
    in_stock=st.booleans(),
    quantity=pieces,
    warehouses=st.lists(st.builds(Warehouse, texts, pieces), max_size=3).map(tuple),
    updated_at=moments,
)


def facts() -> st.SearchStrategy[Facts]:
    """Whatever may be known about a product."""
    opinions = st.lists(reviews, max_size=3).map(tuple)
    return st.builds(
        Facts,
        product=st.builds(Known, products, epochs),
        reviews=st.none() | st.builds(Known, opinions, epochs),
        inventory=st.none() | st.builds(Known, st.none() | inventories, epochs),
    )
