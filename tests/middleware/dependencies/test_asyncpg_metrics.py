"""A pool of asyncpg's, measured, against a real PostgreSQL."""

import asyncio
import gc
import io
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from prometheus_client import generate_latest

from middleware.dependencies import DependencyMetrics
from middleware.dependencies.asyncpg_metrics import MeasuredPool, operation_of
from service.demo.embedded import EmbeddedPostgres
from tests.middleware.dependencies.conftest import Scrape, eventually

Use = Callable[[Any], Awaitable[Any]]


@pytest.fixture
def dsn(postgres: EmbeddedPostgres) -> str:
    postgres.start()
    return postgres.dsn


@pytest.fixture
async def pool(dependencies: DependencyMetrics, dsn: str) -> AsyncIterator[MeasuredPool]:
    async with dependencies.create_pool("products", dsn, min_size=1, max_size=2) as pool:
        yield pool


async def test_a_refused_statement_is_counted_with_its_error(
    pool: MeasuredPool, scrape: Scrape
) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetch("SELECT * FROM nowhere")

    assert scrape.operations()["SELECT", "UndefinedTableError"] == 1


async def test_an_error_outside_the_list_is_counted_as_the_nearest_within(
    pool: MeasuredPool, scrape: Scrape
) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await pool.fetch("SELECT 1 / 0")

    assert scrape.operations()["SELECT", "DataError"] == 1


async def test_the_server_s_limit_on_a_statement_is_a_timeout(
    pool: MeasuredPool, scrape: Scrape
) -> None:
    async with pool.acquire() as connection:
        await connection.execute("SET statement_timeout = '20ms'")

        with pytest.raises(asyncpg.QueryCanceledError):
            await connection.fetch("SELECT pg_sleep(60)")

    assert scrape.operations()["SELECT", "timeout"] == 1


async def test_the_caller_s_limit_on_a_statement_is_a_timeout(
    pool: MeasuredPool, scrape: Scrape
) -> None:
    with pytest.raises(TimeoutError):
        await pool.fetch("SELECT pg_sleep(60)", timeout=0.02)

    assert scrape.operations()["SELECT", "timeout"] == 1
    assert scrape.timeouts("products") == 0


async def test_a_caller_that_is_cancelled_is_counted_as_such(
    pool: MeasuredPool, scrape: Scrape
) -> None:
    asking = asyncio.create_task(pool.fetch("SELECT pg_sleep(60)"))
    await eventually(lambda: scrape.pool("products")[0])

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert scrape.operations()["SELECT", "cancelled"] == 1


async def _enter(pool: MeasuredPool) -> None:
    async with pool.acquire(timeout=0.01):
        pass


@pytest.mark.parametrize("acquire", [_enter, lambda pool: pool.acquire(timeout=0.01)])
async def test_who_gets_no_connection_in_time_is_counted_and_waits_no_more(
    dependencies: DependencyMetrics, dsn: str, scrape: Scrape, acquire: Use
) -> None:
    async with (
        dependencies.create_pool("narrow", dsn, min_size=1, max_size=1) as pool,
        pool.acquire(),
    ):
        with pytest.raises(TimeoutError):
            await acquire(pool)

        assert scrape.timeouts("narrow") == 1
        assert scrape.waits("narrow") == 1
        assert scrape.pool("narrow") == (1, 0, 1, 0)


async def test_who_gives_up_waiting_is_no_timeout(
    dependencies: DependencyMetrics, dsn: str, scrape: Scrape
) -> None:
    async with (
        dependencies.create_pool("narrow", dsn, min_size=1, max_size=1) as pool,
        pool.acquire(),
    ):
        asking = asyncio.create_task(pool.fetch("SELECT 1"))
        await eventually(lambda: scrape.pool("narrow") == (1, 0, 1, 1))

        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        assert scrape.pool("narrow") == (1, 0, 1, 0)
        assert scrape.timeouts("narrow") == 0


async def test_a_server_that_is_gone_is_a_connection_that_failed(
    dependencies: DependencyMetrics, scrape: Scrape, closed_port: int
) -> None:
    dsn = f"postgresql://postgres@127.0.0.1:{closed_port}/postgres?sslmode=disable"

    async with dependencies.create_pool("gone", dsn, min_size=0, max_size=1) as pool:
        with pytest.raises(ConnectionRefusedError):
            await pool.fetch("SELECT 1")

        assert scrape.operations() == {("CONNECT", "ConnectionRefusedError"): 1}
        assert scrape.pool("gone") == (0, 0, 1, 0)


async def test_a_pool_that_never_opened_is_not_shown(
    dependencies: DependencyMetrics, scrape: Scrape, closed_port: int
) -> None:
    dsn = f"postgresql://postgres@127.0.0.1:{closed_port}/postgres?sslmode=disable"

    with pytest.raises(ConnectionRefusedError):
        await dependencies.create_pool("gone", dsn, min_size=1)

    assert scrape.pool("gone") == (None, None, None, None)


async def test_what_cannot_be_measured_is_dropped_and_the_caller_sees_asyncpg_s_own_error(
    pool: MeasuredPool, dsn: str, scrape: Scrape
) -> None:
    plain = await asyncpg.connect(dsn)
    with pytest.raises(Exception) as expected:  # noqa: PT011  # whatever asyncpg raises
        await plain.fetch(None)  # type: ignore[call-overload]
    await plain.close()

    with pytest.raises(expected.type):
        await pool.fetch(None)  # type: ignore[call-overload]

    assert scrape.dropped() == 1


async def test_a_pool_that_breaks_while_it_is_asked_does_not_break_the_scrape(
    pool: MeasuredPool, scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "waiters", None)

    assert scrape.pool("products") == (None, None, None, None)
    assert scrape.dropped() == 4  # scrapes


async def _copy_out(connection: Any) -> None:
    await connection.copy_from_query("SELECT 1", output=io.BytesIO())


async def _copy_table_out(connection: Any) -> None:
    await connection.copy_from_table("t", output=io.BytesIO())


async def _copy_in(connection: Any) -> None:
    await connection.copy_to_table("t", source=io.BytesIO(b"1\n"))


async def _transaction(connection: Any) -> None:
    async with connection.transaction():
        pass


async def _rollback(connection: Any) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await transaction.rollback()


INSERT = "INSERT INTO t VALUES ($1)"


@pytest.mark.parametrize(
    ("use", "names"),
    [
        (lambda c: c.execute("select 1"), ["SELECT"]),
        (lambda c: c.execute(INSERT, 1), ["INSERT"]),
        (lambda c: c.executemany(INSERT, [(1,), (2,)]), ["INSERT"]),
        (lambda c: c.fetch("TABLE t"), ["TABLE"]),
        (lambda c: c.fetchrow("SELECT 1"), ["SELECT"]),
        (lambda c: c.fetchval("SELECT 1"), ["SELECT"]),
        (lambda c: c.fetchmany(f"{INSERT} RETURNING n", [(1,)]), ["INSERT"]),
        (lambda c: c.copy_records_to_table("t", records=[(1,)]), ["COPY"]),
        (_copy_out, ["COPY"]),
        (_copy_table_out, ["COPY"]),
        (_copy_in, ["COPY"]),
        (_transaction, ["BEGIN", "COMMIT"]),
        (_rollback, ["BEGIN", "ROLLBACK"]),
    ],
)
async def test_every_way_to_execute_is_counted_once_under_the_statement_s_name(
    pool: MeasuredPool, scrape: Scrape, use: Use, names: list[str]
) -> None:
    async with pool.acquire() as connection:
        await connection.execute("CREATE TEMPORARY TABLE t (n int)")
        await use(connection)

        counted = scrape.operations()
        counted.pop(("PREPARE", ""), None)  # of asyncpg's own, before 0.32
        assert counted == {(name, ""): 1 for name in ["CONNECT", "CREATE", *names]}


@pytest.mark.parametrize(
    "use",
    [
        lambda statement: statement.fetch(1),
        lambda statement: statement.fetchrow(1),
        lambda statement: statement.fetchval(1),
        lambda statement: statement.fetchmany([(1,)]),
        lambda statement: statement.executemany([(1,)]),
    ],
)
async def test_a_prepared_statement_is_counted_at_each_execution(
    pool: MeasuredPool, scrape: Scrape, use: Use
) -> None:
    async with pool.acquire() as connection:
        statement = await connection.prepare("SELECT $1::int")
        await use(statement)
        await use(statement)

        assert isinstance(statement, asyncpg.prepared_stmt.PreparedStatement)
        assert scrape.operations() == {
            ("CONNECT", ""): 1,
            ("PREPARE", ""): 1,
            ("SELECT", ""): 2,
        }


async def test_a_prepared_statement_that_outlived_its_connection_fails_as_asyncpg_s(
    pool: MeasuredPool, scrape: Scrape
) -> None:
    async with pool.acquire() as connection:
        statement = await connection.prepare("SELECT 1")

    with pytest.raises(asyncpg.InterfaceError, match=r"cannot call PreparedStatement\.fetch"):
        await statement.fetch()

    assert scrape.operations()["SELECT", "InterfaceError"] == 1


async def test_a_cursor_works_as_ever(pool: MeasuredPool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        rows = [row["n"] async for row in connection.cursor("SELECT generate_series(1, 3) AS n")]

    assert rows == [1, 2, 3]


async def test_a_connection_is_measured_again_after_it_went_back_to_the_pool(
    pool: MeasuredPool, scrape: Scrape
) -> None:
    for _ in range(3):
        await pool.fetch("SELECT 1")

    assert scrape.operations() == {("CONNECT", ""): 1, ("SELECT", ""): 3, ("RESET", ""): 3}
    assert scrape.waits("products") == 3


async def test_the_adopter_s_own_connection_class_stays_in_effect(
    dependencies: DependencyMetrics, dsn: str, scrape: Scrape
) -> None:
    class Own(asyncpg.Connection):
        def get_reset_query(self) -> str:
            return ""

        async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
            return f"own {await super().fetchval(query, *args, **options)}"

    async with dependencies.create_pool("own", dsn, min_size=1, connection_class=Own) as pool:
        assert await pool.fetchval("SELECT 1") == "own 1"

    assert scrape.operations() == {("CONNECT", ""): 1, ("SELECT", ""): 1}


async def test_the_adopter_s_own_ways_to_connect_and_to_begin_are_used(
    dependencies: DependencyMetrics, dsn: str, scrape: Scrape
) -> None:
    async def connect(*args: Any, **options: Any) -> Any:
        return await asyncpg.connect(dsn, **options)

    async def init(connection: Any) -> None:
        await connection.execute("SET application_name = 'own'")

    pool = await dependencies.create_pool("own", min_size=1, connect=connect, init=init)
    async with pool:
        assert await pool.fetchval("SHOW application_name") == "own"

    assert scrape.operations()["CONNECT", ""] == 1
    assert scrape.operations()["SHOW", ""] == 1


async def test_a_pool_shows_who_uses_it_and_who_waits(
    dependencies: DependencyMetrics, dsn: str, scrape: Scrape
) -> None:
    async with dependencies.create_pool("busy", dsn, min_size=2, max_size=2) as pool:
        assert scrape.pool("busy") == (0, 2, 2, 0)

        async with pool.acquire():
            assert scrape.pool("busy") == (1, 1, 2, 0)

            async with pool.acquire():
                asking = [asyncio.create_task(pool.fetch("SELECT 1")) for _ in range(3)]
                await eventually(lambda: scrape.pool("busy") == (2, 0, 2, 3))

        await asyncio.gather(*asking)
        assert scrape.pool("busy") == (0, 2, 2, 0)
        assert scrape.waits("busy") == 5
        assert scrape.timeouts("busy") == 0


async def test_a_scrape_on_another_thread_does_not_disturb(
    dependencies: DependencyMetrics, dsn: str, scrape: Scrape
) -> None:
    done = threading.Event()

    def scrape_on() -> int:
        scrapes = 0
        while not done.is_set():
            scrapes += len(generate_latest(scrape.registry)) > 0
        return scrapes

    scraping = asyncio.create_task(asyncio.to_thread(scrape_on))
    for _ in range(10):
        async with dependencies.create_pool("busy", dsn, min_size=1, max_size=3) as pool:
            await asyncio.gather(*(pool.fetch("SELECT 1") for _ in range(20)))
    done.set()

    assert await scraping > 0
    assert scrape.operations()["SELECT", ""] == 200
    assert scrape.dropped() == 0


async def test_pools_of_one_name_add_up_and_each_leaves_when_it_is_closed(
    dependencies: DependencyMetrics, dsn: str, scrape: Scrape
) -> None:
    first = await dependencies.create_pool("twin", dsn, min_size=1, max_size=2)
    second = await dependencies.create_pool("twin", dsn, min_size=2, max_size=3)

    assert scrape.pool("twin") == (0, 3, 5, 0)
    await first.close()
    assert scrape.pool("twin") == (0, 2, 3, 0)
    second.terminate()
    assert scrape.pool("twin") == (None, None, None, None)


async def test_fifty_pools_that_came_and_went_leave_nothing_behind(
    dependencies: DependencyMetrics, dsn: str, scrape: Scrape
) -> None:
    # asyncpg before 0.32 keeps a closed pool as long as an idle connection would have lived.
    options = {"min_size": 1, "max_size": 1, "max_inactive_connection_lifetime": 0}
    gone = []
    for _ in range(50):
        async with dependencies.create_pool("brief", dsn, **options) as pool:
            await pool.fetch("SELECT 1")
        gone.append(weakref.ref(pool))
        gone.append(weakref.ref(pool._connection_class))  # type: ignore[attr-defined]
        del pool
    gc.collect()

    assert [reference for reference in gone if reference() is not None] == []
    assert scrape.pool("brief") == (None, None, None, None)
    assert scrape.waits("brief") == 50


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("select 1", "SELECT"),
        ("\n\t SELECT 1", "SELECT"),
        ("-- why\nUPDATE t SET n = 1", "UPDATE"),
        ("/* who; SELECT */ DELETE FROM t", "DELETE"),
        ("(SELECT 1) UNION (SELECT 2)", "SELECT"),
        ("with a as (select 1) select * from a", "WITH"),
        ("SELECTED", "OTHER"),
        ("", "OTHER"),
        ("/* never closed", "OTHER"),
        ("/*" * 50_000, "OTHER"),
        (";;", "OTHER"),
    ],
)
def test_an_operation_is_the_first_keyword(statement: str, name: str) -> None:
    assert operation_of(statement) == name


async def test_a_thousand_different_statements_make_few_series(
    pool: MeasuredPool, scrape: Scrape
) -> None:
    async with pool.acquire() as connection:
        for number in range(1000):
            with pytest.raises(asyncpg.PostgresSyntaxError):
                await connection.execute(f"NONSENSE{number} {number}")

    assert scrape.operations()["OTHER", "PostgresSyntaxError"] == 1000
    assert len(scrape.operations()) <= 3
