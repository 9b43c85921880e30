"""A replica is ready when its database is there and has the schema of this version."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from middleware import NotReadyError
from service.adapters.postgres_migrations import shipped_migrations
from service.adapters.postgres_pool import open_pool
from service.adapters.postgres_readiness import readiness_checks
from service.adapters.postgres_types import Pool
from service.demo.embedded import EmbeddedPostgres
from service.settings import DatabaseSettings
from tests.service.adapters.conftest import suspended

SETTINGS = DatabaseSettings(pool_min_size=1, pool_max_size=1)
CHECKS = ["database", "migrations"]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(SETTINGS, database_url) as pool:
        yield pool


async def why_not(pool: Pool, check: str) -> str:
    with pytest.raises(NotReadyError) as caught:
        # "within two seconds", and some more for a slow machine
        await asyncio.wait_for(readiness_checks(pool)[check](), timeout=6)
    return str(caught.value)


@pytest.mark.parametrize("check", CHECKS)
async def test_a_stopped_database_is_not_ready_and_no_address_leaks(
    postgres: EmbeddedPostgres, pool: Pool, check: str
) -> None:
    await asyncio.to_thread(postgres.stop)

    reason = await why_not(pool, check)

    assert reason.isidentifier()


@pytest.mark.parametrize("check", CHECKS)
async def test_a_database_that_hangs_is_not_ready(pool: Pool, check: str) -> None:
    backend = await pool.fetchval("SELECT pg_backend_pid()")

    with suspended(backend):
        reason = await why_not(pool, check)

    assert reason == "TimeoutError"


@pytest.mark.parametrize("check", CHECKS)
async def test_an_exhausted_pool_is_not_ready_within_the_promised_time(
    pool: Pool, check: str
) -> None:
    async with pool.acquire():
        assert await why_not(pool, check)


async def test_an_empty_database_says_which_migrations_are_pending(
    postgres: EmbeddedPostgres, pool: Pool
) -> None:
    await pool.execute("DROP TABLE schema_migrations")

    reason = await why_not(pool, "migrations")

    assert "stallscope migrate" in reason
    assert all(migration.name in reason for migration in shipped_migrations())


async def test_a_file_changed_after_it_was_applied_is_not_ready(pool: Pool) -> None:
    await pool.execute("UPDATE schema_migrations SET sha256 = 'another'")

    assert "was changed after it had been applied" in await why_not(pool, "migrations")


async def test_a_history_that_may_not_be_read_is_not_ready(pool: Pool, database_url: str) -> None:
    await pool.execute("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")

    url = database_url.replace("postgres@", "stranger@")
    async with open_pool(SETTINGS, url) as theirs:
        reason = await why_not(theirs, "migrations")

    assert reason == asyncpg.InsufficientPrivilegeError.__name__


async def test_a_database_with_our_schema_is_ready(pool: Pool) -> None:
    for check in readiness_checks(pool).values():
        await check()


async def test_it_is_ready_again_after_a_restart(postgres: EmbeddedPostgres, pool: Pool) -> None:
    postgres.stop()
    await why_not(pool, "database")

    postgres.start()

    for check in readiness_checks(pool).values():
        await check()
