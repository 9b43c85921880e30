"""PostgreSQL through asyncpg: its pool and its connection, subclassed.

asyncpg's own query loggers see neither prepared statements nor COPY, and cost a scheduled callback
per statement. Not measured: the fetches of a cursor.
"""

import re
from collections.abc import Generator
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Self

import asyncpg
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy
from asyncpg.prepared_stmt import PreparedStatement

from .durations import Durations
from .error_types import ErrorTypes
from .operations import OTHER_OPERATION, Operations
from .pools import Occupancy, PoolMetrics, Waiters

if TYPE_CHECKING:
    # Generic for the type checker only.
    _Connection = asyncpg.Connection[asyncpg.Record]
    _Pool = asyncpg.Pool[asyncpg.Record]
    _Acquiring = PoolAcquireContext[asyncpg.Record]
    _Statement = PreparedStatement[asyncpg.Record]
    _Proxy = PoolConnectionProxy[asyncpg.Record]
else:
    _Connection, _Pool, _Acquiring = asyncpg.Connection, asyncpg.Pool, PoolAcquireContext
    _Statement = PreparedStatement

SYSTEM = "postgresql"
_KEYWORDS = """
    ABORT ALTER ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT CONNECT COPY CREATE
    DEALLOCATE DECLARE DELETE DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT INSERT LISTEN LOCK
    MERGE MOVE NOTIFY PREPARE REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SELECT SET
    SHOW START TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES WITH
"""
OPERATIONS = frozenset(_KEYWORDS.split())
# The first word after blanks, brackets and comments; possessive, so that no text takes long.
_FIRST_WORD = re.compile(r"(?:[\s(;]|--[^\n]*+|/\*.*?\*/)*+([A-Za-z]+)", re.DOTALL)
_LOOKED_AT = 1000  # characters, comments included
# How asyncpg tidies up a connection that comes back to its pool.
_TIDYING = "SELECT pg_advisory_unlock_all();"

ERRORS = ErrorTypes(
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresError,
    asyncpg.PostgresConnectionError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.AdminShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.UniqueViolationError,
    asyncpg.ForeignKeyViolationError,
    asyncpg.NotNullViolationError,
    asyncpg.CheckViolationError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.PostgresSyntaxError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.TransactionRollbackError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    timeouts=(asyncpg.QueryCanceledError,),  # statement_timeout; pg_cancel_backend() looks the same
)


def operation_of(statement: "str | _Statement") -> str:
    """The statement's first keyword, OTHER when it is none of OPERATIONS."""
    if isinstance(statement, PreparedStatement):
        # get_query() would refuse once the connection is released.
        return _keyword_of(statement._query[:_LOOKED_AT])  # type: ignore[attr-defined]
    return _keyword_of(statement[:_LOOKED_AT])


@lru_cache(maxsize=500)
def _keyword_of(beginning: str) -> str:
    if beginning.startswith(_TIDYING):
        return "RESET"
    found = _FIRST_WORD.match(beginning)
    word = found[1].upper() if found else ""
    return word if word in OPERATIONS else OTHER_OPERATION


def create_pool(
    name: str,
    dsn: str | None,
    options: dict[str, Any],
    durations: Durations,
    pools: PoolMetrics,
) -> "MeasuredPool":
    """A pool that `pools` show once it is open; not yet connected, as asyncpg's."""
    operations = Operations(durations, SYSTEM, operation_of, ERRORS)
    defaults = signature(asyncpg.create_pool).parameters.values()
    chosen = {each.name: each.default for each in defaults if each.kind is each.KEYWORD_ONLY}
    chosen |= options
    chosen["connection_class"] = _measured(chosen["connection_class"], operations)
    connect = chosen["connect"] or asyncpg.connect

    async def measured_connect(*args: Any, **kwargs: Any) -> Any:
        with operations.timed("CONNECT"):
            return await connect(*args, **kwargs)

    chosen["connect"] = measured_connect
    pool = MeasuredPool(dsn, **chosen)
    pool.name, pool.pools, pool.waiters = name, pools, pools.waiters(name, _is_timeout)
    return pool


class MeasuredPool(_Pool):
    """A pool that knows who waits for it."""

    __slots__ = ("__weakref__", "name", "pools", "waiters")
    name: str
    pools: PoolMetrics
    waiters: Waiters

    def __await__(self) -> Generator[Any, None, Any]:
        opened = yield from super().__await__()
        self.pools.watch(self)
        return opened

    async def __aenter__(self) -> Self:
        await self
        return self

    def acquire(self, *, timeout: float | None = None) -> "_MeasuredAcquiring":
        """As asyncpg's."""
        return _MeasuredAcquiring(self, timeout)

    def occupancy(self) -> Occupancy | None:
        """Read from any thread; None once closed."""
        if self.is_closing():
            return None
        idle = self.get_idle_size()
        used = max(0, self.get_size() - idle)  # one may have come back in between
        return Occupancy(used, idle, self.get_max_size(), self.waiters.pending)


class _MeasuredAcquiring(_Acquiring):
    __slots__ = ()
    pool: MeasuredPool

    async def __aenter__(self) -> "_Proxy":
        with self.pool.waiters.waiting():
            return await super().__aenter__()

    def __await__(self) -> Generator[Any, None, "_Proxy"]:
        with self.pool.waiters.waiting():
            return (yield from super().__await__())


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError)


class _MeasuredStatement(_Statement):
    __slots__ = ()
    operations: ClassVar[Operations]

    async def fetch(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed(self):
            return await super().fetch(*args, **options)

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed(self):
            return await super().fetchval(*args, **options)

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed(self):
            return await super().fetchrow(*args, **options)

    async def fetchmany(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed(self):
            return await super().fetchmany(*args, **options)

    async def executemany(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed(self):
            return await super().executemany(*args, **options)


class _MeasuredConnection(_Connection):
    __slots__ = ()
    operations: ClassVar[Operations]
    statement_class: ClassVar[type[_MeasuredStatement]]

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        with self.operations.timed(query):
            return await super().execute(query, *args, **options)

    async def executemany(self, command: str, *args: Any, **options: Any) -> Any:
        with self.operations.timed(command):
            return await super().executemany(command, *args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        with self.operations.timed(query):
            return await super().fetch(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        with self.operations.timed(query):
            return await super().fetchval(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        with self.operations.timed(query):
            return await super().fetchrow(query, *args, **options)

    async def fetchmany(self, query: str, *args: Any, **options: Any) -> Any:
        with self.operations.timed(query):
            return await super().fetchmany(query, *args, **options)

    async def prepare(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed("PREPARE"):
            statement = await super().prepare(*args, **options)
        with self.operations.guard:
            # asyncpg makes it; only its class can be chosen, and only afterwards.
            statement.__class__ = self.statement_class
        return statement

    async def copy_from_table(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed("COPY"):
            return await super().copy_from_table(*args, **options)

    async def copy_from_query(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed("COPY"):
            return await super().copy_from_query(*args, **options)

    async def copy_to_table(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed("COPY"):
            return await super().copy_to_table(*args, **options)

    async def copy_records_to_table(self, *args: Any, **options: Any) -> Any:
        with self.operations.timed("COPY"):
            return await super().copy_records_to_table(*args, **options)


def _measured(connection_class: type, operations: Operations) -> type:
    """`connection_class`, measured: what it overrides is still called, and counted in."""
    here = {"__slots__": (), "operations": operations}
    statement = type(PreparedStatement.__name__, (_MeasuredStatement,), here)
    bases = (_MeasuredConnection, connection_class)
    return type(connection_class.__name__, bases, here | {"statement_class": statement})
