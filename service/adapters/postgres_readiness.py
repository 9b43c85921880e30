"""Whether the database is there, and its schema the one that this version needs."""

from collections.abc import Mapping

import asyncpg

from service.adapters.postgres_migrations import MigrationError, pending_migrations
from service.adapters.postgres_types import Pool
from service.lifecycle import Check, NotReadyError

_SECONDS = 1.0


def readiness_checks(pool: Pool) -> Mapping[str, Check]:
    """The checks by name; each raises NotReadyError within two seconds."""

    async def database() -> None:
        try:
            await pool.fetchval("SELECT 1", timeout=_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotReadyError(type(error).__name__) from error

    async def migrations() -> None:
        try:
            pending = await pending_migrations(pool)
        except MigrationError as error:
            raise NotReadyError(str(error)) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotReadyError(type(error).__name__) from error
        if pending:
            raise NotReadyError(f"`stallscope migrate` has to apply {', '.join(pending)}")

    return {"database": database, "migrations": migrations}
