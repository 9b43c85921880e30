"""The demo's products: always the same, written only when they are not there yet."""

import hashlib
from collections.abc import AsyncIterator
from decimal import Decimal

import asyncpg
import pytest

from service.demo.catalog import COLUMNS, fill_products, product_rows

# Of every Python: whoever changes the products changes this on purpose.
DIGEST = "a07124886e32fafd5b3d6f9c9d2860c16bd6748528ebc1098d4f8a8e3b288bd0"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def test_the_products_are_the_same_on_every_python() -> None:
    assert hashlib.sha256(repr(product_rows(10_000)).encode()).hexdigest() == DIGEST


def test_products_are_plausible_and_not_all_alike() -> None:
    products = [dict(zip(COLUMNS, row, strict=True)) for row in product_rows(10_000)]

    assert len({product["sku"] for product in products}) == 10_000
    assert len({product["category"] for product in products}) == 12
    assert {product["price_currency"] for product in products} == {"EUR", "USD", "GBP"}
    assert all(product["price_amount"] > 3 for product in products)
    assert all(Decimal("2.5") <= product["rating"] <= 5 for product in products)
    assert all(product["created_at"] <= product["updated_at"] for product in products)
    assert {product["description"].count(". ") for product in products} == {0, 1, 2}


async def test_filling_again_writes_nothing(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    assert await fill_products(connection) == 0


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM products WHERE id = 5000",
        "UPDATE products SET price_amount = price_amount + 0.01 WHERE id = 1",
        'UPDATE products SET attributes = attributes || \'{"colour": "?"}\' WHERE id = 10000',
        "TRUNCATE products",
    ],
)
async def test_a_table_that_holds_anything_else_is_written_anew(
    connection: "asyncpg.Connection[asyncpg.Record]", damage: str
) -> None:
    await connection.execute(damage)

    assert await fill_products(connection) == 10_000
    assert await fill_products(connection) == 0


async def test_products_beyond_the_demos_stay(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await connection.execute(
        "INSERT INTO products SELECT 10001, 'MINE-1', name, description, category, brand,"
        " price_amount, price_currency, rating FROM products WHERE id = 1"
    )
    await connection.execute("DELETE FROM products WHERE id = 1")

    await fill_products(connection)

    assert await connection.fetchval("SELECT sku FROM products WHERE id = 10001") == "MINE-1"
