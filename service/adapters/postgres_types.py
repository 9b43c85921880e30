"""asyncpg's classes as its stubs know them, generic there and only there; its errors, sorted."""

from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    PoolConnection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    Connection, Pool, PoolConnection = asyncpg.Connection, asyncpg.Pool, PoolConnectionProxy

# What asyncpg raises when there is no server to talk to.
ABSENT = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection broke between two states of the protocol
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it is starting or stopping
    asyncpg.InsufficientResourcesError,  # it has no connection left
)

__all__ = ["ABSENT", "Connection", "Pool", "PoolConnection"]
