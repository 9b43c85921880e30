"""The prediction log in PostgreSQL: answers wait for nothing, rows go there in batches.

A COPY is written as a whole or not at all, and rows carry ids of our making. So a batch whose
answer got lost is sent again: either it is written then, or it is refused because it already was.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from service.adapters.postgres_pool import borrowed, open_pool
from service.adapters.postgres_types import ABSENT, Pool
from service.background import Background
from service.metrics import ModelMetrics
from service.predictions.ports import LoggedPrediction
from service.settings import DatabaseSettings

log = structlog.get_logger()

WAITING_BYTES = 32 * 1024 * 1024  # about 40,000 rows without raw inputs
GRACE_SECONDS = 3.0
BATCH_ROWS = 500  # encoding them holds the event loop for 3 ms
_BATCH_BYTES = 1024 * 1024
_FLUSH_SECONDS = 1.0
_WRITE_SECONDS = 10.0  # nobody waits for it, and a raw input may be large
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 2.0  # below the grace: there is one more attempt at the end
_SILENCE_SECONDS = 10.0

_ENCODER = json.JSONEncoder(allow_nan=False, default=dict)  # a Mapping need not be a dict
_TABLE = "prediction_log"
_COLUMNS = (
    *("id", "at", "model", "model_version", "input_sha256", "output", "confidence"),
    *("latency_seconds", "request_id", "trace_id", "raw_input"),
)
# What lies in the rows and will not get better.
_REFUSED = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)


@dataclass(frozen=True, slots=True)
class _Row:
    values: tuple[Any, ...]
    size_bytes: int


class PostgresPredictionLog:
    """Keeps rows until PostgreSQL has them; belongs to one event loop.

    When too much waits the oldest rows give way, since the newest tell more of what is going on.
    Raw inputs stay out unless `raw_inputs`.
    """

    def __init__(
        self,
        pool: Pool,
        metrics: ModelMetrics,
        *,
        acquire_seconds: float,
        raw_inputs: bool,
    ) -> None:
        self._pool = pool
        self._acquire_seconds = acquire_seconds
        self._raw_inputs = raw_inputs
        self._written = metrics.logged.labels("written")
        self._dropped = metrics.logged.labels("dropped")
        self._report = _Report()
        self._waiting: deque[_Row] = deque()
        self._waiting_bytes = 0
        self._unsettled_rows = 0
        self._due = asyncio.Event()
        self._closed = False

    def append(self, prediction: LoggedPrediction) -> None:
        """Take it and return at once, after some 15 µs; what cannot be kept is counted."""
        self._unsettled_rows += 1
        try:
            row = _row_of(prediction, raw_input=prediction.raw_input if self._raw_inputs else None)
        except (TypeError, ValueError) as error:
            self._drop(1, type(error).__name__)
        else:
            self._keep(row)

    async def write(self) -> None:
        """Write what is appended, until closed and done."""
        while self._waiting or not self._closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._due.wait()
            self._due.clear()
            while self._waiting:
                await self._store(self._batch())

    def close(self) -> None:
        """Let `write` end as soon as nothing waits."""
        self._closed = True
        self._due.set()

    def give_up(self) -> None:
        """Count what `write` has left behind."""
        if self._unsettled_rows:
            self._drop(self._unsettled_rows, "the service ends")

    def _keep(self, row: _Row) -> None:
        if row.size_bytes > WAITING_BYTES:
            self._drop(1, "too large")
            return
        self._waiting.append(row)
        self._waiting_bytes += row.size_bytes
        while self._waiting_bytes > WAITING_BYTES:
            self._take()
            self._drop(1, "too much waits")
        if len(self._waiting) >= BATCH_ROWS or self._waiting_bytes >= _BATCH_BYTES:
            self._due.set()

    def _take(self) -> _Row:
        row = self._waiting.popleft()
        self._waiting_bytes -= row.size_bytes
        return row

    def _batch(self) -> list[_Row]:
        rows = [self._take()]
        size_bytes = rows[0].size_bytes
        while self._waiting and len(rows) < BATCH_ROWS and size_bytes < _BATCH_BYTES:
            rows.append(self._take())
            size_bytes += rows[-1].size_bytes
        return rows

    async def _store(self, rows: list[_Row]) -> None:
        """Write all rows but those that PostgreSQL refuses, which halving finds."""
        try:
            await self._write_for_certain(rows)
        except _REFUSED as error:
            if len(rows) == 1:
                # Not its text, which quotes the row.
                self._drop(1, type(error).__name__)
            else:
                middle = len(rows) // 2
                await self._store(rows[:middle])
                await self._store(rows[middle:])
        else:
            self._unsettled_rows -= len(rows)
            self._written.inc(len(rows))

    async def _write_for_certain(self, rows: list[_Row]) -> None:
        """Try until it is done. Raises _REFUSED."""
        for delay_seconds in _delays():
            try:
                await self._copy(rows)
            except asyncpg.UniqueViolationError:
                break  # an attempt whose answer got lost did write them
            except _REFUSED:
                raise
            except (*ABSENT, asyncpg.PostgresError) as error:
                self._report.trouble(error)
                await asyncio.sleep(delay_seconds)
            else:
                break
        self._report.success()

    async def _copy(self, rows: list[_Row]) -> None:
        async with (
            asyncio.timeout(_WRITE_SECONDS),
            borrowed(self._pool, self._acquire_seconds) as connection,
        ):
            records = [row.values for row in rows]
            try:
                await connection.copy_records_to_table(_TABLE, records=records, columns=_COLUMNS)
            except (TypeError, ValueError) as error:  # it cannot even be encoded
                raise asyncpg.DataError from error

    def _drop(self, rows: int, reason: str) -> None:
        self._unsettled_rows -= rows
        self._dropped.inc(rows)
        self._report.loss(rows, reason)


class _Report:
    """Log lines about trouble: one in _SILENCE_SECONDS of each kind, or reason for loss."""

    def __init__(self) -> None:
        self._quiet_until: dict[tuple[str, object], float] = {}
        self._lost_rows = 0
        self._in_trouble = False

    def trouble(self, error: Exception) -> None:
        self._in_trouble = True
        self._warn("prediction_log_unavailable", error=str(error) or type(error).__name__)

    def success(self) -> None:
        if self._in_trouble:
            self._in_trouble = False
            self._warn("prediction_log_recovered")

    def loss(self, rows: int, reason: str) -> None:
        self._lost_rows += rows
        self._warn("prediction_log_rows_dropped", reason=reason, rows_so_far=self._lost_rows)

    def _warn(self, event: str, **facts: object) -> None:
        now, kind = time.monotonic(), (event, facts.get("reason"))
        if now >= self._quiet_until.get(kind, now):
            self._quiet_until[kind] = now + _SILENCE_SECONDS
            log.warning(event, **facts)


@asynccontextmanager
async def open_prediction_log(
    settings: DatabaseSettings,
    url: str,
    metrics: ModelMetrics,
    *,
    raw_inputs: bool = False,
    create_pool: Callable[..., Any] = asyncpg.create_pool,
) -> AsyncIterator[PostgresPredictionLog]:
    """A log with a connection of its own, opened on demand: products never wait for it.

    On exit what waits is written, for at most GRACE_SECONDS.
    """
    own = {"pool_min_size": 0, "pool_max_size": 1, "statement_timeout_seconds": _WRITE_SECONDS}
    async with open_pool(settings.model_copy(update=own), url, create_pool) as pool:
        predictions = PostgresPredictionLog(
            pool,
            metrics,
            acquire_seconds=settings.acquire_timeout_seconds,
            raw_inputs=raw_inputs,
        )
        try:
            async with Background(grace_seconds=GRACE_SECONDS) as background:
                background.start(predictions.write(), name="prediction_log")
                try:
                    yield predictions
                finally:
                    predictions.close()
        finally:
            predictions.give_up()


def _row_of(prediction: LoggedPrediction, raw_input: bytes | None) -> _Row:
    """Raises TypeError and ValueError when the output is no JSON."""
    values = (
        _time_ordered_id(),
        prediction.at,
        prediction.model,
        prediction.version,
        prediction.input_sha256,
        _ENCODER.encode(prediction.output),
        prediction.confidence,
        prediction.latency_seconds,
        prediction.request_id,
        prediction.trace_id,
        raw_input,
    )
    return _Row(values, sys.getsizeof(values) + sum(map(sys.getsizeof, values)))


def _time_ordered_id() -> UUID:
    """Version 7 of RFC 9562, which spares the index; Python has it from 3.14 on."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10))
    marked = chance & ~(0xF << 76 | 0b11 << 62) | 7 << 76 | 0b10 << 62
    return UUID(int=milliseconds << 80 | marked)


def _delays() -> Iterator[float]:
    """Seconds between attempts: twice as long each time, and not the same for all replicas."""
    for attempt in itertools.count():
        seconds = min(_FIRST_DELAY_SECONDS * 2 ** min(attempt, 10), _LONGEST_DELAY_SECONDS)
        yield seconds * random.uniform(0.5, 1.0)
