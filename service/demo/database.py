"""The demo's database: created, brought up to date, filled."""

import asyncpg

from service.adapters.postgres_migrations import MigrationError, migrate
from service.demo.catalog import fill_products
from service.demo.embedded import EmbeddedPostgres


async def prepare_database(postgres: EmbeddedPostgres, name: str = "stallscope") -> int:
    """Have a migrated database `name` with 10,000 products; how many had to be written.

    One that another version of this project has left behind is dropped and made anew.
    """
    dsn = postgres.dsn_of(name)
    administration = await asyncpg.connect(postgres.dsn)
    try:
        if not await administration.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await administration.execute(f'CREATE DATABASE "{name}"')
        try:
            await migrate(dsn)
        except MigrationError:
            await administration.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            await administration.execute(f'CREATE DATABASE "{name}"')
            await migrate(dsn)
    finally:
        await administration.close()
    return await fill_database(dsn)


async def fill_database(dsn: str) -> int:
    """Write the 10,000 products unless they are there; how many had to be written."""
    connection = await asyncpg.connect(dsn)
    try:
        return await fill_products(connection)
    finally:
        await connection.close()
