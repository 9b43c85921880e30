"""Redis through redis.asyncio: measured where all its clients meet, on the pool's connections.

So pipelines, scripts, locks, and clients that a library makes for itself on the same pool are seen,
too. Not measured: clusters, and what has no answer of its own (SUBSCRIBE and its kind, MONITOR).
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, ClassVar

from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection

from .durations import Durations
from .error_types import ErrorTypes
from .operations import OTHER_OPERATION, Operations
from .pools import Occupancy, PoolMetrics, Waiters

SYSTEM = "redis"
_COMMANDS = """
    ACL APPEND AUTH BGSAVE BITCOUNT BITFIELD BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH
    BZMPOP BZPOPMAX BZPOPMIN CLIENT CLUSTER COMMAND CONFIG CONNECT COPY DBSIZE DECR DECRBY DEL
    DISCARD DUMP ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO EXEC EXISTS EXPIRE EXPIREAT EXPIRETIME
    FCALL FCALL_RO FLUSHALL FLUSHDB FUNCTION GEOADD GEODIST GEOHASH GEOPOS GEOSEARCH
    GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HELLO HEXISTS HEXPIRE HGET
    HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET
    HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT INFO KEYS LATENCY LCS LINDEX
    LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MEMORY MGET MIGRATE
    MOVE MSET MSETNX MULTI OBJECT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFMERGE
    PING PIPELINE PSETEX PTTL PUBLISH PUBSUB QUIT RANDOMKEY READONLY READWRITE RENAME RENAMENX
    RESTORE ROLE RPOP RPOPLPUSH RPUSH RPUSHX SADD SCAN SCARD SCRIPT SDIFF SDIFFSTORE SELECT SET
    SETBIT SETEX SETNX SETRANGE SINTER SINTERCARD SINTERSTORE SISMEMBER SLOWLOG SMEMBERS
    SMISMEMBER SMOVE SORT SORT_RO SPOP SPUBLISH SRANDMEMBER SREM SSCAN STRLEN SUNION SUNIONSTORE
    SWAPDB TIME TOUCH TTL TYPE UNLINK UNWATCH WAIT WAITAOF WATCH XACK XADD XAUTOCLAIM XCLAIM
    XDEL XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XTRIM ZADD ZCARD ZCOUNT
    ZDIFF ZDIFFSTORE ZINCRBY ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX
    ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX
    ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION
    ZUNIONSTORE
"""
OPERATIONS = frozenset(_COMMANDS.split())
_UNANSWERED = (
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "MONITOR",
)

ERRORS = ErrorTypes(
    exceptions.RedisError,
    exceptions.ConnectionError,
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.BusyLoadingError,
    exceptions.ClusterDownError,
    exceptions.DataError,
    exceptions.ExecAbortError,
    exceptions.InvalidResponse,
    exceptions.MaxConnectionsError,
    exceptions.NoPermissionError,
    exceptions.NoScriptError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ResponseError,
    exceptions.TryAgainError,
    timeouts=(exceptions.TimeoutError,),
)


def operation_of(command: str | bytes) -> str:
    """The command's name without its subcommand, OTHER when it is none of OPERATIONS."""
    if command in OPERATIONS:
        return str(command)
    text = command.decode() if isinstance(command, bytes) else command
    word = text.partition(" ")[0].upper()
    return word if word in OPERATIONS else OTHER_OPERATION


def observe(
    client: "Redis | ConnectionPool", name: str, durations: Durations, pools: PoolMetrics
) -> None:
    """Measure the client's pool, once."""
    pool = client.connection_pool if isinstance(client, Redis) else client
    if issubclass(pool.connection_class, _MeasuredConnection):
        return
    operations = Operations(durations, SYSTEM, operation_of, ERRORS)
    bases = (_MeasuredConnection, pool.connection_class)
    name_of_class = pool.connection_class.__name__
    pool.connection_class = type(name_of_class, bases, {"operations": operations})
    pools.watch(_Watch(name, pool, pools.waiters(name, _is_timeout)))


class _Watch:
    """One pool's; lives as long as the pool, whose own two methods it stands before."""

    def __init__(self, name: str, pool: ConnectionPool, waiters: Waiters) -> None:
        self.name = name
        self._pool = pool
        self._waiters = waiters
        self._open = True
        self._get_connection: Callable[..., Any] = pool.get_connection
        self._disconnect: Callable[..., Any] = pool.disconnect
        pool.get_connection = self.get_connection  # type: ignore[method-assign]  # of this one pool
        pool.disconnect = self.disconnect  # type: ignore[method-assign]  # likewise

    async def get_connection(self, *args: Any, **options: Any) -> Any:
        self._open = True  # redis-py lets a closed pool be used again
        with self._waiters.waiting():
            return await self._get_connection(*args, **options)

    async def disconnect(self, *args: Any, **options: Any) -> None:
        self._open = False
        await self._disconnect(*args, **options)

    def occupancy(self) -> Occupancy | None:
        """Read from any thread; None while it is closed."""
        pool = self._pool
        if not self._open:
            return None
        # There is no public way to tell which are connected. list() is one copy.
        idle = sum(each.is_connected for each in list(pool._available_connections))
        used = len(pool._in_use_connections)
        return Occupancy(used, idle, pool.max_connections, self._waiters.pending)


def _is_timeout(error: BaseException) -> bool:
    if not isinstance(error, exceptions.ConnectionError):
        return isinstance(error, exceptions.TimeoutError)
    # What a BlockingConnectionPool makes of it, and one that does not wait (a class of its own
    # since redis-py 7.1).
    return isinstance(error.__cause__, TimeoutError) or str(error) == "Too many connections"


class _UnderWay:
    """What was sent and has `missing` answers to come."""

    __slots__ = ("command", "error", "missing", "started")

    def __init__(self, command: Any, missing: int = 1) -> None:
        self.command = command
        self.missing = missing
        self.error: BaseException | None = None
        self.started = perf_counter()


class _MeasuredConnection(AbstractConnection):
    operations: ClassVar[Operations]
    _under_way: _UnderWay | None = None
    _packed = 0
    _connecting = False

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        if self.is_connected:
            return
        self._connecting = True
        try:
            with self.operations.timed("CONNECT"):  # the greetings are part of it
                await super().connect_check_health(*args, **options)
        finally:
            self._connecting = False

    async def send_command(self, *args: Any, **options: Any) -> None:
        sending = super().send_command(*args, **options)
        if self._connecting or args[0] in _UNANSWERED:
            await sending
        else:
            await self._send(_UnderWay(args[0]), sending)

    def pack_commands(self, commands: Any) -> Any:
        commands = list(commands)
        self._packed = len(commands)
        return super().pack_commands(commands)

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        packed, self._packed = self._packed, 0
        sending = super().send_packed_command(*args, **options)
        if self._connecting or not packed:
            await sending
        else:
            await self._send(_UnderWay("PIPELINE", packed), sending)

    async def _send(self, what: _UnderWay, sending: Any) -> None:
        try:
            await sending
        except BaseException as error:
            self.operations.ended(what.command, what.started, error)
            raise
        # Only now: sending may have sent and answered others before, to connect or to check.
        self._under_way = what

    async def read_response(self, *args: Any, **options: Any) -> Any:
        if self._under_way is None:
            return await super().read_response(*args, **options)
        try:
            answer = await super().read_response(*args, **options)
        except exceptions.ResponseError as error:
            self._answered(error)
            raise
        except BaseException as error:
            self._lost(error)
            raise
        self._answered(_error_in(answer))
        return answer

    def _answered(self, error: BaseException | None) -> None:
        what = self._under_way
        if what is None:
            return
        what.missing -= 1
        what.error = what.error or error
        if what.missing == 0:
            self._lost(what.error)

    def _lost(self, error: BaseException | None) -> None:
        what, self._under_way = self._under_way, None
        if what is not None:
            self.operations.ended(what.command, what.started, error)


def _error_in(answer: Any) -> BaseException | None:
    """The first error within a transaction's answers, which redis-py raises later."""
    if not isinstance(answer, list):
        return None
    return next((each for each in answer if isinstance(each, exceptions.ResponseError)), None)
