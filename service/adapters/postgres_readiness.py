"""Whether the database is there, and its schema the one that this version needs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from middleware import Check, NotReadyError
from service.adapters.postgres_migrations import MigrationError, pending_migrations
from service.adapters.postgres_pool import borrowed
from service.adapters.postgres_types import ABSENT, Pool, PoolConnection

_SECONDS = 1.0


def readiness_checks(pool: Pool) -> Mapping[str, Check]:
    """The checks by name; each raises NotReadyError within a second or so."""

    async def database() -> None:
        async with _asking(pool) as connection:
            await connection.fetchval("SELECT 1")

    async def migrations() -> None:
        async with _asking(pool) as connection:
            pending = await pending_migrations(connection)
        if pending:
            raise NotReadyError(f"`stallscope migrate` has to apply {', '.join(pending)}")

    return {"database": database, "migrations": migrations}


@asynccontextmanager
async def _asking(pool: Pool) -> AsyncIterator[PoolConnection]:
    try:
        async with asyncio.timeout(_SECONDS), borrowed(pool, _SECONDS) as connection:
            yield connection
    except MigrationError as error:
        raise NotReadyError(str(error)) from error
    except (*ABSENT, asyncpg.PostgresError) as error:
        raise NotReadyError(type(error).__name__) from error
