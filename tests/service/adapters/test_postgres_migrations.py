"""Migrations are applied once, in order, whoever comes first, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import asyncpg
import pytest

from service.adapters.postgres_migrations import (
    Migration,
    MigrationError,
    migrate,
    pending_migrations,
    shipped_migrations,
)
from service.adapters.postgres_types import Connection
from service.demo.embedded import EmbeddedPostgres
from tests.service.adapters.conftest import eventually_told

FIRST = Migration("0001_a.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1)")
SECOND = Migration("0002_b.sql", "INSERT INTO a VALUES (2)")
WRONG = Migration("0002_wrong.sql", "INSERT INTO a VALUES (3); CREATE TABEL b (id int)")
FAILING = Migration("0002_failing.sql", "INSERT INTO a VALUES (3); SELECT 1 / 0")

A_IS_WAITED_FOR = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'a'::regclass"

_numbers = count(1)


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database with nothing in it."""
    postgres.start()
    name = f"empty_{next(_numbers)}"
    administration = await asyncpg.connect(postgres.dsn)
    await administration.execute(f"CREATE DATABASE {name}")
    yield postgres.dsn_of(name)
    await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await administration.close()


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(empty_url)
    yield connection
    connection.terminate()


async def history(database: Connection) -> list[str]:
    rows = await database.fetch("SELECT name FROM schema_migrations ORDER BY applied_at, name")
    return [row["name"] for row in rows]


async def values(database: Connection) -> list[int]:
    return [row["id"] for row in await database.fetch("SELECT id FROM a ORDER BY id")]


async def test_a_database_that_cannot_be_reached_is_told(
    postgres: EmbeddedPostgres, empty_url: str
) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await migrate(postgres.dsn_of("nowhere"))


async def test_a_changed_file_is_refused_by_name_and_nothing_is_applied(
    empty_url: str, database: Connection
) -> None:
    await migrate(empty_url, [FIRST])

    changed = Migration(FIRST.name, FIRST.sql + " ")
    with pytest.raises(MigrationError, match=r"0001_a\.sql was changed"):
        await migrate(empty_url, [changed, SECOND])

    assert await history(database) == ["0001_a.sql"]
    assert await values(database) == [1]


@pytest.mark.parametrize(("migration", "reason"), [(WRONG, "TABEL"), (FAILING, "division by zero")])
async def test_a_wrong_file_is_named_and_rolled_back_and_leaves_the_earlier_ones_applied(
    empty_url: str, database: Connection, migration: Migration, reason: str
) -> None:
    third = Migration("0003_c.sql", "INSERT INTO a VALUES (4)")

    with pytest.raises(MigrationError, match=f"{migration.name}: .*{reason}"):
        await migrate(empty_url, [FIRST, migration, third])

    assert await history(database) == ["0001_a.sql"]
    assert await values(database) == [1]


async def test_a_corrected_file_is_applied_where_the_wrong_one_was_not(
    empty_url: str, database: Connection
) -> None:
    with pytest.raises(MigrationError):
        await migrate(empty_url, [FIRST, WRONG])

    applied = await migrate(empty_url, [FIRST, Migration(WRONG.name, SECOND.sql)])

    assert applied == [WRONG.name]
    assert await values(database) == [1, 2]


async def test_a_failure_does_not_hold_up_the_next_one(empty_url: str) -> None:
    with pytest.raises(MigrationError):
        await migrate(empty_url, [FIRST, FAILING])

    async with asyncio.timeout(20):
        assert await migrate(empty_url, [FIRST, SECOND]) == ["0002_b.sql"]


async def test_a_cancelled_migration_is_rolled_back_and_frees_its_place(
    empty_url: str, database: Connection
) -> None:
    await migrate(empty_url, [FIRST])
    async with database.transaction():
        await database.execute("LOCK TABLE a")
        stuck = asyncio.create_task(migrate(empty_url, [FIRST, SECOND]))
        await eventually_told(lambda: database.fetchval(A_IS_WAITED_FOR))
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck

    async with asyncio.timeout(20):
        assert await migrate(empty_url, [FIRST, SECOND]) == ["0002_b.sql"]
    assert await values(database) == [1, 2]


@pytest.mark.parametrize("replicas", [2, 10])
async def test_replicas_that_migrate_at_once_apply_every_file_once(
    empty_url: str, database: Connection, replicas: int
) -> None:
    async with asyncio.timeout(60):
        applied = await asyncio.gather(
            *(migrate(empty_url, [FIRST, SECOND]) for _ in range(replicas))
        )

    assert sorted(applied) == [[]] * (replicas - 1) + [["0001_a.sql", "0002_b.sql"]]
    assert await values(database) == [1, 2]


async def test_replicas_wait_for_one_that_is_at_it(empty_url: str, database: Connection) -> None:
    await migrate(empty_url, [FIRST])
    slow = Migration("0002_slow.sql", "SELECT pg_sleep(0.2); INSERT INTO a VALUES (2)")

    applied = await asyncio.gather(*(migrate(empty_url, [FIRST, slow]) for _ in range(3)))

    assert sorted(applied) == [[], [], ["0002_slow.sql"]]
    assert await values(database) == [1, 2]


async def test_files_are_applied_in_the_order_of_their_names(
    empty_url: str, database: Connection
) -> None:
    assert await migrate(empty_url, [FIRST, SECOND]) == ["0001_a.sql", "0002_b.sql"]

    names = [migration.name for migration in shipped_migrations()]
    assert names == sorted(names)
    assert names[0] == "0001_products.sql"
    assert await history(database) == ["0001_a.sql", "0002_b.sql"]


async def test_an_older_version_leaves_a_newer_schema_alone(
    empty_url: str, database: Connection
) -> None:
    await migrate(empty_url, [FIRST, SECOND])

    assert await migrate(empty_url, [FIRST]) == []
    assert await history(database) == ["0001_a.sql", "0002_b.sql"]


async def test_the_shipped_files_make_the_schema_and_nothing_is_pending_then(
    empty_url: str, database: Connection
) -> None:
    shipped = [migration.name for migration in shipped_migrations()]
    before = await pending_migrations(database)

    applied = await migrate(empty_url)

    assert before == applied == shipped
    assert await pending_migrations(database) == []
    assert await database.fetchval("SELECT count(*) FROM products") == 0


BAD_ROWS = {
    "id": "0, 's', 'n', '', 'c', 'b', 1, 'EUR', 5",
    "price": "1, 's', 'n', '', 'c', 'b', -1, 'EUR', 5",
    "currency": "1, 's', 'n', '', 'c', 'b', 1, 'eur', 5",
    "rating": "1, 's', 'n', '', 'c', 'b', 1, 'EUR', 5.1",
    "attributes": "1, 's', 'n', '', 'c', 'b', 1, 'EUR', 5, '[]'",
}


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS.keys())
async def test_the_schema_refuses_a_product_that_cannot_be(
    empty_url: str, database: Connection, row: str
) -> None:
    await migrate(empty_url)

    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute(f"INSERT INTO products VALUES ({row})")
