"""The catalogue in PostgreSQL: one pool, one prepared statement."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from service.adapters.circuit_breaker import CircuitBreaker, CircuitOpenError
from service.adapters.postgres_types import Connection, Pool, PoolConnection
from service.products.domain import Price, Product, ProductId, Reason
from service.products.ports import SourceError
from service.settings import DatabaseSettings

_PRODUCT = """
SELECT id, sku, name, description, category, brand, price_amount, price_currency, rating,
       attributes, created_at, updated_at
  FROM products
 WHERE id = $1
"""


_ABSENT = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it is starting or stopping
    asyncpg.InsufficientResourcesError,  # it has no connection left
)


class _Connection(Connection):
    """Single reads leave nothing behind that a reset, one more round trip, would have to undo."""

    def get_reset_query(self) -> str:
        return ""


@asynccontextmanager
async def open_pool(settings: DatabaseSettings, url: str) -> AsyncIterator[Pool]:
    """A pool whose every statement is limited in time. Connects; raises what asyncpg raises."""
    statement_ms = int(settings.statement_timeout_seconds * 1000)
    pool = await asyncpg.create_pool(
        url,
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        max_inactive_connection_lifetime=0,  # an idle pool stays warm
        timeout=settings.acquire_timeout_seconds,
        connection_class=_Connection,
        server_settings={
            "application_name": "stallscope",
            "jit": "off",
            "statement_timeout": str(statement_ms),
        },
    )
    try:
        yield pool
    finally:
        pool.terminate()  # every request has ended by now; a server that hangs must not hold us


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
            async with self._connection() as connection:
                return await connection.fetchrow(
                    _PRODUCT, product_id, timeout=self._settings.statement_timeout_seconds
                )
        except (TimeoutError, asyncpg.QueryCanceledError) as error:
            raise SourceError(Reason.TIMEOUT) from error
        except _ABSENT as error:
            raise SourceError(Reason.UNREACHABLE) from error
        except asyncpg.PostgresError as error:
            raise SourceError(Reason.BAD_RESPONSE) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnection]:
        # Not the pool's own `async with`: that waits for a server that hangs when it is cancelled.
        connection = await self._pool.acquire(timeout=self._settings.acquire_timeout_seconds)
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection)


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
