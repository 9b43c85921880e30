"""Products come out of PostgreSQL whole, or the caller learns in time why not."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from service.adapters.circuit_breaker import CircuitBreaker, CircuitState
from service.adapters.postgres_catalog import PostgresCatalog
from service.adapters.postgres_pool import open_pool
from service.adapters.postgres_types import Connection, Pool
from service.demo.catalog import COLUMNS, product_rows
from service.demo.embedded import EmbeddedPostgres
from service.products.domain import Price, Product, ProductId, Reason
from service.products.ports import SourceError
from service.settings import DatabaseSettings
from tests.service.adapters.conftest import Clock, eventually, eventually_told, suspended
from tests.service.adapters.lossy_road import lossy_road

SEVEN = ProductId(7)
NOBODYS = ProductId(999_999)
PATIENT = DatabaseSettings(
    pool_min_size=2, pool_max_size=2, acquire_timeout_seconds=20, statement_timeout_seconds=20
)
HASTY = DatabaseSettings(
    pool_min_size=2, pool_max_size=2, acquire_timeout_seconds=0.5, statement_timeout_seconds=0.5
)
OURS = """
SELECT count(*) FROM pg_stat_activity
 WHERE application_name = 'stallscope' AND datname = current_database()
"""
WAITING = f"{OURS} AND wait_event_type = 'Lock'"


class Bench:
    """A catalogue, its pool and its circuit, whose clock the test holds."""

    def __init__(self, pool: Pool, settings: DatabaseSettings) -> None:
        self.pool = pool
        self.clock = Clock()
        self.breaker = CircuitBreaker("postgresql", clock=self.clock)
        self.catalog = PostgresCatalog(pool, settings, self.breaker)

    async def reason(self) -> Reason:
        with pytest.raises(SourceError) as caught:
            # No request hangs, whatever the server does.
            await asyncio.wait_for(self.catalog.product(SEVEN), timeout=20)
        return caught.value.reason

    async def finds_it_again(self) -> None:
        async with asyncio.timeout(20):
            while True:
                self.clock.advance(10)
                try:
                    assert await self.catalog.product(SEVEN)
                except SourceError:
                    await asyncio.sleep(0.02)
                else:
                    return


@asynccontextmanager
async def bench_over(url: str, settings: DatabaseSettings) -> AsyncIterator[Bench]:
    async with open_pool(settings, url) as pool:
        yield Bench(pool, settings)


@pytest.fixture
async def patient(database_url: str) -> AsyncIterator[Bench]:
    async with bench_over(database_url, PATIENT) as bench:
        yield bench


@pytest.fixture
async def hasty(database_url: str) -> AsyncIterator[Bench]:
    async with bench_over(database_url, HASTY) as bench:
        yield bench


@pytest.fixture
async def observer(database_url: str) -> AsyncIterator[Connection]:
    """A session of its own beside the pool."""
    connection = await asyncpg.connect(database_url)
    yield connection
    connection.terminate()


Lock = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
async def locked_products(database_url: str) -> AsyncIterator[Lock]:
    """Nobody else reads the products for as long as the block lasts."""
    # Not the observer's: within a transaction pg_stat_activity does not change.
    locker = await asyncpg.connect(database_url)

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        async with locker.transaction():
            await locker.execute("LOCK TABLE products")
            yield

    yield locked
    locker.terminate()


async def until_waiting(observer: Connection, queries: int) -> None:
    async def are_waiting() -> bool:
        return bool(await observer.fetchval(WAITING) == queries)

    await eventually_told(are_waiting)


async def server_pids(postgres: EmbeddedPostgres) -> list[int]:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        return [postgres.pid, *(row["pid"] for row in rows)]
    finally:
        await connection.close()


async def test_a_stopped_database_is_unreachable_then_the_circuit_opens_then_it_recovers(
    postgres: EmbeddedPostgres, patient: Bench
) -> None:
    await patient.catalog.product(SEVEN)

    await asyncio.to_thread(postgres.stop)
    reasons = [await patient.reason() for _ in range(7)]
    # From this thread: PostgreSQL ends with the thread that starts it.
    postgres.start()

    assert reasons == [Reason.UNREACHABLE] * 5 + [Reason.CIRCUIT_OPEN] * 2
    await patient.finds_it_again()
    assert patient.breaker.state is CircuitState.CLOSED


async def test_queries_under_way_when_the_database_stops_are_unreachable(
    postgres: EmbeddedPostgres, patient: Bench, observer: Connection, locked_products: Lock
) -> None:
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # of the lock's end
        async with locked_products():
            queries = [asyncio.create_task(patient.catalog.product(SEVEN)) for _ in range(2)]
            await until_waiting(observer, 2)

            await asyncio.to_thread(postgres.stop)

    for outcome in await asyncio.gather(*queries, return_exceptions=True):
        # The lock's session may be told to end so long before the others that they get through.
        assert isinstance(outcome, Product | SourceError)
        assert isinstance(outcome, Product) or outcome.reason is Reason.UNREACHABLE


async def test_connections_that_an_administrator_ends_are_replaced(
    patient: Bench, observer: Connection
) -> None:
    for _ in range(10):  # the next query may come at any moment of the goodbye
        await patient.catalog.product(SEVEN)

        await observer.execute(OURS.replace("count(*)", "pg_terminate_backend(pid)"))

        await patient.finds_it_again()


async def test_a_database_that_hangs_is_a_timeout_and_recovers_by_itself(
    postgres: EmbeddedPostgres, hasty: Bench
) -> None:
    await hasty.catalog.product(SEVEN)

    with suspended(*await server_pids(postgres)):
        first = await asyncio.gather(*(hasty.reason() for _ in range(4)))
        # The broken connections are gone by now, and new ones are not answered either.
        second = await hasty.reason()
        third = await hasty.reason()

    assert first == [Reason.TIMEOUT] * 4
    assert (second, third) == (Reason.TIMEOUT, Reason.CIRCUIT_OPEN)
    await hasty.finds_it_again()


async def test_closing_the_pool_does_not_wait_for_a_database_that_hangs(
    postgres: EmbeddedPostgres, database_url: str
) -> None:
    pids = await server_pids(postgres)
    async with asyncio.timeout(20):
        async with bench_over(database_url, PATIENT) as bench:
            await bench.catalog.product(SEVEN)
            stack = suspended(*pids, *await _pids_of(bench.pool))
            stack.__enter__()
        stack.__exit__(None, None, None)


async def _pids_of(pool: Pool) -> list[int]:
    async with pool.acquire() as one, pool.acquire() as other:
        return [one.get_server_pid(), other.get_server_pid()]


async def test_an_exhausted_pool_is_a_timeout(
    database_url: str, observer: Connection, locked_products: Lock
) -> None:
    settings = PATIENT.model_copy(update={"acquire_timeout_seconds": 0.3})
    async with bench_over(database_url, settings) as bench:
        async with locked_products():
            queries = [asyncio.create_task(bench.catalog.product(SEVEN)) for _ in range(2)]
            await until_waiting(observer, 2)

            reason = await bench.reason()

        assert reason is Reason.TIMEOUT
        assert all(await asyncio.gather(*queries))


async def test_a_query_that_takes_too_long_is_a_timeout(
    hasty: Bench, locked_products: Lock
) -> None:
    async with locked_products():
        reason = await hasty.reason()

    assert reason is Reason.TIMEOUT
    await hasty.finds_it_again()


async def test_the_server_itself_ends_a_query_whose_client_forgot_it(
    database_url: str, locked_products: Lock
) -> None:
    settings = DatabaseSettings(pool_min_size=1, pool_max_size=1, statement_timeout_seconds=0.2)
    async with open_pool(settings, database_url) as pool:
        patient = settings.model_copy(update={"statement_timeout_seconds": 20.0})
        bench = Bench(pool, patient)
        async with locked_products():
            reason = await bench.reason()

    assert reason is Reason.TIMEOUT


async def test_a_cancelled_query_leaves_the_pool_usable_and_no_session_behind(
    patient: Bench, observer: Connection, locked_products: Lock
) -> None:
    for _ in range(3):
        async with locked_products():
            queries = [asyncio.create_task(patient.catalog.product(SEVEN)) for _ in range(2)]
            await until_waiting(observer, 2)
            for query in queries:
                query.cancel()
            ended = await asyncio.gather(*queries, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)

    found = await asyncio.gather(*(patient.catalog.product(SEVEN) for _ in range(10)))

    assert all(found)
    assert patient.breaker.state is CircuitState.CLOSED
    await _until_sessions(observer, at_most=2)


async def test_cancellation_at_any_moment_leaves_the_pool_usable(
    patient: Bench, observer: Connection
) -> None:
    for turns in range(60):
        query = asyncio.create_task(patient.catalog.product(SEVEN))
        for _ in range(turns):
            await asyncio.sleep(0)
        query.cancel()
        await asyncio.gather(query, return_exceptions=True)

    assert await patient.catalog.product(SEVEN)
    assert patient.pool.get_size() <= 2
    await _until_sessions(observer, at_most=2)


async def test_waiting_for_a_connection_can_be_cancelled(
    patient: Bench, observer: Connection, locked_products: Lock
) -> None:
    async with locked_products():
        queries = [asyncio.create_task(patient.catalog.product(SEVEN)) for _ in range(20)]
        await until_waiting(observer, 2)
        for query in queries[10:]:
            query.cancel()

    ended = await asyncio.gather(*queries, return_exceptions=True)
    assert sum(isinstance(each, Product) for each in ended) >= 8
    assert await patient.catalog.product(SEVEN)


async def _until_sessions(observer: Connection, *, at_most: int) -> None:
    async def are_few() -> bool:
        return bool(await observer.fetchval(OURS) <= at_most)

    await eventually_told(are_few)


@pytest.mark.parametrize(
    "fault",
    ["DROP TABLE products", "ALTER TABLE products DROP COLUMN brand"],
    ids=["no table", "no column"],
)
async def test_a_schema_that_is_not_ours_is_a_bad_response(
    patient: Bench, observer: Connection, fault: str
) -> None:
    await observer.execute(fault)

    assert await patient.reason() is Reason.BAD_RESPONSE


async def test_a_missing_right_is_a_bad_response(database_url: str, observer: Connection) -> None:
    await observer.execute("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")

    async with bench_over(database_url.replace("postgres@", "stranger@"), PATIENT) as bench:
        assert await bench.reason() is Reason.BAD_RESPONSE


@pytest.mark.parametrize("value", ["7", "7 OR true", "7; DROP TABLE products", [7], 2**63])
async def test_what_is_not_an_id_never_reaches_the_database(patient: Bench, value: Any) -> None:
    with pytest.raises(SourceError) as caught:
        await patient.catalog.product(value)

    assert caught.value.reason is Reason.BAD_RESPONSE
    assert await patient.catalog.product(SEVEN)


async def test_a_product_that_does_not_exist_is_none(patient: Bench) -> None:
    assert await patient.catalog.product(NOBODYS) is None
    assert await patient.catalog.product(ProductId(-1)) is None
    assert patient.breaker.state is CircuitState.CLOSED


async def test_a_row_becomes_a_product_without_loss(patient: Bench, observer: Connection) -> None:
    attributes = {"ø": "Größe 🫖", "sizes": [1, 2.5, None], "deep": {"flag": True}, "quote": "'\""}
    created = datetime(2024, 2, 29, 12, 30, 0, 123456, tzinfo=UTC)
    updated = datetime(2025, 1, 1, tzinfo=UTC)
    await observer.execute(
        "INSERT INTO products VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        *(2**62, "SKU'; --", "Näme", "", "kitchen", "Møller", Decimal("9999999999.90"), "EUR"),
        *(Decimal("4.3"), json.dumps(attributes), created, updated),
    )

    found = await patient.catalog.product(ProductId(2**62))

    assert found == Product(
        id=ProductId(2**62),
        sku="SKU'; --",
        name="Näme",
        description="",
        category="kitchen",
        brand="Møller",
        price=Price(Decimal("9999999999.90"), "EUR"),
        rating=4.3,
        attributes=attributes,
        created_at=created,
        updated_at=updated,
    )
    assert found.price.amount.as_tuple().exponent == -2
    assert found.created_at.tzinfo is not None


async def test_the_demos_products_are_found_by_their_ids(patient: Bench) -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in product_rows(50)]

    found = await asyncio.gather(*(patient.catalog.product(ProductId(r["id"])) for r in rows))

    assert [(p.id, p.sku, p.price.amount) for p in found if p] == [
        (row["id"], row["sku"], row["price_amount"]) for row in rows
    ]


async def test_many_requests_share_the_connections_of_the_pool(
    patient: Bench, observer: Connection
) -> None:
    found = await asyncio.gather(*(patient.catalog.product(SEVEN) for _ in range(300)))

    assert all(found)
    assert await observer.fetchval(OURS) == 2


async def test_closing_the_pool_ends_its_sessions(database_url: str, observer: Connection) -> None:
    async with bench_over(database_url, PATIENT) as bench:
        await bench.catalog.product(SEVEN)
        assert await observer.fetchval(OURS) == 2

    await _until_sessions(observer, at_most=0)


async def test_a_database_that_is_not_there_is_refused_at_start(
    postgres: EmbeddedPostgres, database_url: str
) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        async with open_pool(PATIENT, postgres.dsn_of("nowhere")):
            pass
    postgres.stop()
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        async with open_pool(PATIENT, database_url):
            pass


async def test_a_server_that_is_slow_to_let_us_in_only_delays_the_start(database_url: str) -> None:
    async with lossy_road(database_url) as (road, url):
        road.seconds_to_connect = HASTY.acquire_timeout_seconds * 2
        async with open_pool(HASTY, url) as pool:
            assert pool.get_size() == HASTY.pool_max_size


async def test_every_session_is_limited_in_time(patient: Bench) -> None:
    assert await patient.pool.fetchval("SHOW statement_timeout") == "20s"
    await eventually(lambda: patient.pool.get_idle_size() == 2)
