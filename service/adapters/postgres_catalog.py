"""The catalogue in PostgreSQL: one pool, one prepared statement."""

import json

import asyncpg

from service.adapters.circuit_breaker import CircuitBreaker, CircuitOpenError
from service.adapters.postgres_pool import borrowed
from service.adapters.postgres_types import ABSENT, Pool
from service.products.domain import Price, Product, ProductId, Reason
from service.products.ports import SourceError
from service.settings import DatabaseSettings

_PRODUCT = """
SELECT id, sku, name, description, category, brand, price_amount, price_currency, rating,
       attributes, created_at, updated_at
  FROM products
 WHERE id = $1
"""


class PostgresCatalog:
    """Reads products; slow and absent servers become SourceError within the time limits."""

    def __init__(self, pool: Pool, settings: DatabaseSettings, breaker: CircuitBreaker) -> None:
        self._pool = pool
        self._settings = settings
        self._breaker = breaker

    async def product(self, product_id: ProductId) -> Product | None:
        """The row, None when there is none. Raises SourceError."""
        try:
            with self._breaker.call(SourceError):
                row = await self._fetch(product_id)
        except CircuitOpenError:
            raise SourceError(Reason.CIRCUIT_OPEN) from None
        return _product(row) if row else None

    async def _fetch(self, product_id: ProductId) -> asyncpg.Record | None:
        try:
            async with borrowed(self._pool, self._settings.acquire_timeout_seconds) as connection:
                return await connection.fetchrow(
                    _PRODUCT, product_id, timeout=self._settings.statement_timeout_seconds
                )
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            raise SourceError(Reason.TIMEOUT) from error
        except ABSENT as error:
            raise SourceError(Reason.UNREACHABLE) from error
        except asyncpg.PostgresError as error:
            raise SourceError(Reason.BAD_RESPONSE) from error


def _product(row: asyncpg.Record) -> Product:
    return Product(
        id=ProductId(row["id"]),
        sku=row["sku"],
        name=row["name"],
        description=row["description"],
        category=row["category"],
        brand=row["brand"],
        price=Price(row["price_amount"], row["price_currency"]),
        rating=float(row["rating"]),
        attributes=json.loads(row["attributes"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
