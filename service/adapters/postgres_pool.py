"""Connections to PostgreSQL: few, lasting, and given up rather than waited for."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from service.adapters.postgres_types import Connection, Pool, PoolConnection
from service.settings import DatabaseSettings

# All of a pool's at once, of a server that may have just started. A request gives up sooner: it
# has `acquire_timeout_seconds` for the wait and the connecting together.
CONNECT_SECONDS = 10.0


class _Connection(Connection):
    """Single reads leave nothing behind that a reset, one more round trip, would have to undo."""

    def get_reset_query(self) -> str:
        return ""


@asynccontextmanager
async def open_pool(
    settings: DatabaseSettings, url: str, create_pool: Callable[..., Any] = asyncpg.create_pool
) -> AsyncIterator[Pool]:
    """A pool whose every statement is limited in time. Connects; raises what asyncpg raises."""
    statement_ms = int(settings.statement_timeout_seconds * 1000)
    pool = await create_pool(
        url,
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        max_inactive_connection_lifetime=0,  # an idle pool stays warm
        timeout=CONNECT_SECONDS,
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


@asynccontextmanager
async def borrowed(pool: Pool, acquire_seconds: float) -> AsyncIterator[PoolConnection]:
    """A connection of the pool. Raises TimeoutError when none is free within `acquire_seconds`.

    Unlike the pool's own `async with` it does not wait for a server that hangs: a connection whose
    work was not finished is closed.
    """
    connection = await pool.acquire(timeout=acquire_seconds)
    try:
        yield connection
    except BaseException:
        with suppress(asyncpg.InterfaceError):  # the server has ended it, and the pool knows
            connection.terminate()
        raise
    finally:
        await pool.release(connection)
