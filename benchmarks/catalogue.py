"""The products table, as the service's own migrations make it, with the demo's products."""

import os
import subprocess

import asyncpg

from benchmarks.programs import ROOT, module
from service.demo.catalog import fill_products


def migrate(database_url: str) -> None:
    """Bring the schema up to date."""
    environment = {**os.environ, "DATABASE_URL": database_url}
    subprocess.run(module("service", "migrate"), cwd=ROOT, env=environment, check=True)


async def fill(database_url: str, products: int) -> None:
    """As many products as said, ids from 1."""
    connection = await asyncpg.connect(database_url)
    try:
        await fill_products(connection, products)
        await connection.execute("ANALYZE products")
    finally:
        await connection.close()
