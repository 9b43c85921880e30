"""The schema, brought up to date by plain SQL files that are applied once, in order."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from service.adapters.postgres_types import Connection, PoolConnection

# Any number will do, as long as every replica takes the same: "stallsco" in ASCII.
_ADVISORY_LOCK = 0x7374616C6C73636F

_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       text        PRIMARY KEY,
    sha256     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The database and the migrations that ship with this version do not fit together."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """What tells a file that was changed after it had been applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped_migrations() -> list[Migration]:
    """The SQL files of this version, in the order of their names."""
    folder = files("service").joinpath("migrations")
    found = [each for each in folder.iterdir() if each.name.endswith(".sql")]
    return [Migration(e.name, e.read_text("utf-8")) for e in sorted(found, key=lambda e: e.name)]


async def migrate(database_url: str, migrations: list[Migration] | None = None) -> list[str]:
    """Apply what is missing, each file in a transaction; gives the names applied.

    Replicas may start at once: an advisory lock lets one work while the others wait, and what it
    did is then nothing left to do for them. Raises MigrationError when a file was changed after it
    had been applied or is wrong, and what asyncpg raises when the database cannot be reached.
    """
    shipped = shipped_migrations() if migrations is None else migrations
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        async with _locked(connection):
            await connection.execute(_HISTORY)
            missing = _missing(shipped, await _applied(connection))
            for migration in missing:
                await _apply(connection, migration)
            return [migration.name for migration in missing]
    finally:
        await connection.close(timeout=5)


async def pending_migrations(database: Connection | PoolConnection) -> list[str]:
    """The names of shipped migrations that the database lacks. Raises MigrationError."""
    try:
        applied = await _applied(database)
    except asyncpg.UndefinedTableError:
        applied = {}
    return [migration.name for migration in _missing(shipped_migrations(), applied)]


@asynccontextmanager
async def _locked(connection: Connection) -> AsyncIterator[None]:
    await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _ADVISORY_LOCK)


async def _applied(database: Connection | PoolConnection) -> dict[str, str]:
    rows = await database.fetch("SELECT name, sha256 FROM schema_migrations")
    return {row["name"]: row["sha256"] for row in rows}


def _missing(shipped: list[Migration], applied: dict[str, str]) -> list[Migration]:
    for migration in shipped:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationError(f"{migration.name} was changed after it had been applied")
    return [migration for migration in shipped if migration.name not in applied]


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)",
                migration.name,
                migration.sha256,
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration.name}: {error}") from error
