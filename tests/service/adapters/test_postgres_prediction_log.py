"""What was answered is in PostgreSQL once, or counted as lost, and holds nobody up."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

import asyncpg
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from service.adapters import postgres_prediction_log
from service.adapters.postgres_prediction_log import (
    BATCH_ROWS,
    WAITING_BYTES,
    PostgresPredictionLog,
    open_prediction_log,
)
from service.adapters.postgres_types import Connection
from service.demo.embedded import EmbeddedPostgres
from service.metrics import ServiceMetrics
from service.predictions.ports import LoggedPrediction
from service.settings import DatabaseSettings
from tests.service.adapters.conftest import eventually, eventually_told, suspended
from tests.service.adapters.lossy_road import lossy_road

BEGINNING = datetime(2025, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
MEBIBYTE = bytes(1024 * 1024)
OURS = """
SELECT pid FROM pg_stat_activity
 WHERE application_name = 'stallscope' AND datname = current_database()
"""


def a_prediction(number: int = 0, **changes: Any) -> LoggedPrediction:
    """One answer, `number` milliseconds after the first, with `changes`."""
    prediction = LoggedPrediction(
        at=BEGINNING + timedelta(milliseconds=number),
        model="sentiment_analysis",
        version="v1.0",
        input_sha256=number.to_bytes(32),
        output={"label": "positive", "probabilities": {"negative": 0.25, "positive": 0.75}},
        confidence=0.75,
        latency_seconds=0.0125,
        request_id=f"request-{number}",
        trace_id=f"{number:032x}",
    )
    return replace(prediction, **changes)


def predictions(*numbers: int) -> list[LoggedPrediction]:
    """The answers from the one number up to the other."""
    return [a_prediction(number) for number in range(*numbers)]


class Bench:
    """A log, and what it counts."""

    def __init__(self, log: PostgresPredictionLog, registry: CollectorRegistry) -> None:
        self.log = log
        self._registry = registry

    def append(self, rows: Sequence[LoggedPrediction]) -> None:
        for row in rows:
            self.log.append(row)

    @property
    def counts(self) -> tuple[int, int]:
        """Rows written, rows dropped."""
        return self._count("written"), self._count("dropped")

    def _count(self, outcome: str) -> int:
        labels = {"outcome": outcome}
        counted = self._registry.get_sample_value("ml_prediction_log_rows_total", labels)
        assert counted is not None
        return int(counted)

    async def until(self, *, written: int, dropped: int = 0) -> None:
        await eventually(lambda: self.counts == (written, dropped))


OpenLog = Callable[..., AbstractAsyncContextManager[Bench]]


@asynccontextmanager
async def bench_over(url: str, *, raw_inputs: bool = False) -> AsyncIterator[Bench]:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry).models
    # Patient where a busy machine makes a connection take its time.
    settings = DatabaseSettings(acquire_timeout_seconds=20)
    async with open_prediction_log(settings, url, metrics, raw_inputs=raw_inputs) as log:
        yield Bench(log, registry)


@pytest.fixture
def open_log(database_url: str) -> OpenLog:
    return partial(bench_over, database_url)


@pytest.fixture
async def observer(database_url: str) -> AsyncIterator[Connection]:
    """A session of its own beside the log's."""
    connection = await asyncpg.connect(database_url)
    yield connection
    connection.terminate()


async def logged(database: Connection) -> list[str]:
    """The requests in the table, as they were written."""
    rows = await database.fetch("SELECT request_id FROM prediction_log ORDER BY ctid")
    return [row["request_id"] for row in rows]


async def logged_at(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return await logged(connection)
    finally:
        await connection.close()


def requests_of(rows: Sequence[LoggedPrediction]) -> list[str]:
    return [row.request_id for row in rows]


async def test_the_log_catches_up_when_the_database_is_back(
    postgres: EmbeddedPostgres, database_url: str, open_log: OpenLog
) -> None:
    rows = predictions(3 * BATCH_ROWS)
    with capture_logs() as lines:
        async with open_log() as bench:
            bench.append(rows[:10])
            await bench.until(written=10)

            await asyncio.to_thread(postgres.stop)
            bench.append(rows[10:])
            await eventually(lambda: lines)
            # From this thread: PostgreSQL ends with the thread that starts it.
            postgres.start()

            await bench.until(written=len(rows))

    assert await logged_at(database_url) == requests_of(rows)
    events = [line["event"] for line in lines]
    assert events == ["prediction_log_unavailable", "prediction_log_recovered"]


async def test_a_database_that_comes_after_the_service_is_waited_for(
    postgres: EmbeddedPostgres, database_url: str, open_log: OpenLog
) -> None:
    rows = predictions(10)
    await asyncio.to_thread(postgres.stop)

    with capture_logs() as lines:
        async with open_log() as bench:
            bench.append(rows)
            await eventually(lambda: lines)
            postgres.start()
            await bench.until(written=10)

    assert await logged_at(database_url) == requests_of(rows)


async def test_what_waits_too_long_gives_way_to_what_is_new_and_is_counted(
    postgres: EmbeddedPostgres, database_url: str, open_log: OpenLog
) -> None:
    fit = WAITING_BYTES // len(MEBIBYTE) - 1  # a row is a little more than its input
    rows = [replace(row, raw_input=MEBIBYTE) for row in predictions(fit + 9)]
    await asyncio.to_thread(postgres.stop)

    with capture_logs() as lines:
        async with open_log(raw_inputs=True) as bench:
            bench.append(rows)
            assert bench.counts == (0, 9)
            postgres.start()
            await bench.until(written=fit, dropped=9)

    assert await logged_at(database_url) == requests_of(rows[9:])
    assert {"event": "prediction_log_rows_dropped", "reason": "too much waits"}.items() <= (
        lines[0].items()
    )


async def test_memory_stays_within_its_bound(
    postgres: EmbeddedPostgres, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = 2 * 1024 * 1024  # tracing is slow
    monkeypatch.setattr(postgres_prediction_log, "WAITING_BYTES", bound)
    await asyncio.to_thread(postgres.stop)
    with capture_logs():
        async with open_log() as bench:
            tracemalloc.start()
            try:
                bench.append(predictions(5000))
                held_bytes, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            _, dropped = bench.counts

    assert 1000 < dropped < 4000
    assert bound / 2 < held_bytes < bound * 1.2


async def test_a_table_that_is_missing_is_waited_for(
    open_log: OpenLog, observer: Connection
) -> None:
    await observer.execute("ALTER TABLE prediction_log RENAME TO hidden")
    with capture_logs() as lines:
        async with open_log() as bench:
            bench.append(predictions(10))
            await eventually(lambda: lines)
            await observer.execute("ALTER TABLE hidden RENAME TO prediction_log")

            await bench.until(written=10)

    assert "prediction_log" in lines[0]["error"]


async def test_a_missing_right_is_waited_for(database_url: str, observer: Connection) -> None:
    await observer.execute("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
    with capture_logs() as lines:
        async with bench_over(database_url.replace("postgres@", "stranger@")) as bench:
            bench.append(predictions(10))
            await eventually(lambda: lines)
            await observer.execute("GRANT INSERT, SELECT ON prediction_log TO stranger")

            await bench.until(written=10)


REFUSED = {
    "a NUL in a text": {"request_id": "a\0b"},
    "half a character": {"request_id": "\ud800"},
    "half a character in the output": {"output": {"label": "\ud800"}},
    "an output with NaN": {"output": {"label": float("nan")}},
    "an output that is no JSON": {"output": {"label": np.float32(0.5)}},
    "an output that is a list": {"output": [0.5]},
    "no number": {"confidence": "0.5"},
    "no probability": {"confidence": 1.5},
    "no probability at all": {"confidence": float("nan")},
    "no duration": {"latency_seconds": -1.0},
    "half a digest": {"input_sha256": bytes(16)},
    "no trace": {"trace_id": "0"},
    "more than an index takes": {"request_id": np.random.default_rng(7).bytes(9000).hex()},
    "more than may wait": {"request_id": "x" * WAITING_BYTES},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED.keys())
async def test_a_row_that_cannot_be_written_is_dropped_and_no_other(
    open_log: OpenLog, observer: Connection, changes: dict[str, Any]
) -> None:
    rows = predictions(20)
    with capture_logs() as lines:
        async with open_log() as bench:
            bench.append([*rows[:7], a_prediction(7, **changes), *rows[7:]])

    assert bench.counts == (20, 1)
    assert await logged(observer) == requests_of(rows)
    assert [line["event"] for line in lines] == ["prediction_log_rows_dropped"]


async def test_of_a_batch_with_many_bad_rows_the_good_ones_are_written_and_little_is_said(
    open_log: OpenLog, observer: Connection
) -> None:
    good, bad = predictions(0, 60, 3), [replace(a_prediction(n), confidence=9) for n in range(40)]
    with capture_logs() as lines:
        async with open_log() as bench:
            bench.append([row for pair in zip(good, bad, strict=False) for row in pair])
            bench.append(bad[len(good) :])
            await bench.until(written=20, dropped=40)

    assert await logged(observer) == requests_of(good)
    assert len(lines) < 20


async def test_a_batch_whose_confirmation_got_lost_is_not_written_twice(
    database_url: str, observer: Connection
) -> None:
    rows = predictions(20)
    async with lossy_road(database_url) as (road, url):
        with capture_logs() as lines:
            async with bench_over(url) as bench:
                bench.append(rows[:10])
                await bench.until(written=10)
                road.loses_answers = True
                bench.append(rows[10:])
                await eventually_told(partial(_all_are_logged, observer, rows))

                road.loses_answers = False
                road.break_off()
                await bench.until(written=20)

    assert await logged(observer) == requests_of(rows)
    assert lines[0]["event"] == "prediction_log_unavailable"


async def _all_are_logged(observer: Connection, rows: Sequence[LoggedPrediction]) -> bool:
    return len(await logged(observer)) == len(rows)


async def test_connections_that_an_administrator_ends_lose_nothing(
    open_log: OpenLog, observer: Connection
) -> None:
    rows = predictions(40 * BATCH_ROWS)
    with capture_logs():
        async with open_log() as bench:
            for begin in range(0, len(rows), BATCH_ROWS):
                bench.append(rows[begin : begin + BATCH_ROWS])
                await observer.execute(OURS.replace("pid", "pg_terminate_backend(pid)", 1))

            await bench.until(written=len(rows))

    assert await logged(observer) == requests_of(rows)


async def test_a_table_that_is_locked_holds_nobody_up(
    open_log: OpenLog, observer: Connection
) -> None:
    rows = predictions(3 * BATCH_ROWS)
    async with open_log() as bench:
        async with observer.transaction():
            await observer.execute("LOCK TABLE prediction_log")
            bench.append(rows)
        await bench.until(written=len(rows))

    assert await logged(observer) == requests_of(rows)


async def test_what_waits_is_written_at_the_end(open_log: OpenLog, observer: Connection) -> None:
    rows = predictions(2 * BATCH_ROWS + 1)

    async with open_log() as bench:
        bench.append(rows)

    assert bench.counts == (len(rows), 0)
    assert await logged(observer) == requests_of(rows)


async def test_the_end_does_not_wait_for_a_database_that_is_gone(
    postgres: EmbeddedPostgres, open_log: OpenLog
) -> None:
    with capture_logs() as lines:
        async with asyncio.timeout(20), open_log() as bench:
            bench.append(predictions(10))
            await bench.until(written=10)
            await asyncio.to_thread(postgres.stop)
            bench.append(predictions(2 * BATCH_ROWS - 1))
            # A loss that has just been reported does not silence the last one.
            bench.append([a_prediction(output={"label": float("nan")})])

    assert bench.counts == (10, 2 * BATCH_ROWS)
    assert lines[-1] == {
        "event": "prediction_log_rows_dropped",
        "log_level": "warning",
        "reason": "the service ends",
        "rows_so_far": 2 * BATCH_ROWS,
    }


async def test_the_end_does_not_wait_for_a_database_that_hangs(
    open_log: OpenLog, observer: Connection
) -> None:
    with capture_logs(), ExitStack() as until_the_end:
        async with asyncio.timeout(20), open_log() as bench:
            bench.append(predictions(10))
            await bench.until(written=10)
            backends = [row["pid"] for row in await observer.fetch(OURS)]
            until_the_end.enter_context(suspended(*backends))
            bench.append(predictions(10))

    assert bench.counts == (10, 10)


async def test_an_error_of_the_service_is_no_reason_to_lose_what_waits(
    open_log: OpenLog, observer: Connection
) -> None:
    rows = predictions(10)

    async def serve() -> None:
        async with open_log() as bench:
            bench.append(rows)
            raise KeyError

    with pytest.raises(KeyError):
        await serve()

    assert await logged(observer) == requests_of(rows)


async def test_no_raw_input_is_stored_unless_told(open_log: OpenLog, observer: Connection) -> None:
    secret = a_prediction(raw_input=b"a secret")
    async with open_log() as silent:
        silent.append([secret])
    async with open_log(raw_inputs=True) as told:
        told.append([secret])

    rows = await observer.fetch("SELECT raw_input FROM prediction_log ORDER BY ctid")
    assert [row["raw_input"] for row in rows] == [None, b"a secret"]


async def test_a_refused_raw_input_does_not_get_into_the_logs(open_log: OpenLog) -> None:
    with capture_logs() as lines:
        async with open_log(raw_inputs=True) as bench:
            bench.append([a_prediction(raw_input=b"a secret", confidence=9)])
            await bench.until(written=0, dropped=1)

    assert lines
    assert "secret" not in repr(lines)
    assert b"a secret".hex() not in repr(lines)


async def test_a_row_arrives_without_loss(open_log: OpenLog, observer: Connection) -> None:
    output = {"label": "größer 🫖", "probabilities": {"a": 1e-30, "b": 0.1}, "warnings": []}
    # Its Mapping may be any.
    given = MappingProxyType(output)
    prediction = a_prediction(7, output=given, confidence=0.1 + 0.2, trace_id=None)

    async with open_log() as bench:
        bench.append([prediction])

    row = dict(await observer.fetchrow("SELECT * FROM prediction_log") or {})
    assert row.pop("id").version == 7
    assert json.loads(row.pop("output")) == output
    assert row == {
        "at": prediction.at,
        "model": "sentiment_analysis",
        "model_version": "v1.0",
        "input_sha256": prediction.input_sha256,
        "confidence": 0.1 + 0.2,
        "latency_seconds": 0.0125,
        "request_id": "request-7",
        "trace_id": None,
        "raw_input": None,
    }


async def test_the_output_is_what_it_was_when_it_was_appended(
    open_log: OpenLog, observer: Connection
) -> None:
    output = {"label": "positive"}
    async with open_log() as bench:
        bench.append([a_prediction(output=output)])
        output["label"] = "negative"

    assert await observer.fetchval("SELECT output->>'label' FROM prediction_log") == "positive"


async def test_the_log_has_one_session_which_it_opens_when_it_has_something_to_write(
    open_log: OpenLog, observer: Connection
) -> None:
    async with open_log() as bench:
        assert await observer.fetch(OURS) == []

        for end in range(BATCH_ROWS, 5 * BATCH_ROWS, BATCH_ROWS):
            bench.append(predictions(BATCH_ROWS))
            await bench.until(written=end)

        assert len(await observer.fetch(OURS)) == 1

    await eventually_told(partial(_nobody_of_us_is_there, observer))


async def _nobody_of_us_is_there(observer: Connection) -> bool:
    return not await observer.fetch(OURS)


async def test_both_series_are_there_before_the_first_row(open_log: OpenLog) -> None:
    async with open_log() as bench:
        assert bench.counts == (0, 0)
