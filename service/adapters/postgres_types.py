"""asyncpg's classes as its stubs know them: generic there, and only there."""

from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    PoolConnection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    Connection, Pool, PoolConnection = asyncpg.Connection, asyncpg.Pool, PoolConnectionProxy

__all__ = ["Connection", "Pool", "PoolConnection"]
