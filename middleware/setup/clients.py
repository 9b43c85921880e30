"""Client spans for asyncpg, redis and aiohttp, by OpenTelemetry's contrib packages.

They spend 40 to 200 µs on every operation, sampled or not: what is not sampled steps around them.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider

from .stepping import stepping_aside
from .stepping_aiohttp import sessions_stepping_aside

log = structlog.get_logger()

_CONTRIB = "opentelemetry.instrumentation"

_lock = threading.Lock()
_users = 0
_open = ExitStack()


@contextmanager
def instrumented_clients(provider: trace.TracerProvider) -> Iterator[None]:
    """Client spans for as long as the block lasts; the first to enter chooses their provider.

    Of the three libraries, those that are installed together with their contrib package. An aiohttp
    session has spans if it is made within the block. What the application has instrumented itself
    is left as it is.
    """
    global _users  # noqa: PLW0603 - classes are instrumented for the whole process
    with _lock:
        if _users == 0:
            _instrument_all(provider)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _open.close()


def _instrument_all(provider: trace.TracerProvider) -> None:
    # The stable names; contrib's packages read it once, and still default to the old ones.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    for instrument in (_asyncpg, _redis, _aiohttp):
        try:
            with ExitStack() as opened:
                instrument(opened, provider)
                _open.push(opened.pop_all())
        except ImportError:
            pass  # it is not installed
        except Exception:  # what does not fit its library must not keep the service down
            log.exception("client_spans_not_made", library=instrument.__name__.strip("_"))


def _asyncpg(opened: ExitStack, provider: trace.TracerProvider) -> None:
    asyncpg = import_module("asyncpg")
    instrumentor = import_module(f"{_CONTRIB}.asyncpg").AsyncPGInstrumentor()
    classes = (
        asyncpg.connection.Connection,
        asyncpg.cursor.Cursor,
        asyncpg.cursor.CursorIterator,
        asyncpg.prepared_stmt.PreparedStatement,
    )
    with stepping_aside(classes, opened):
        _instrument(instrumentor, provider, opened)


def _redis(opened: ExitStack, provider: trace.TracerProvider) -> None:
    client, asynchronous = import_module("redis.client"), import_module("redis.asyncio.client")
    instrumentor = import_module(f"{_CONTRIB}.redis").RedisInstrumentor()
    classes = (client.Redis, client.Pipeline, asynchronous.Redis, asynchronous.Pipeline)
    with stepping_aside(classes, opened):
        _instrument(instrumentor, provider, opened)


def _aiohttp(opened: ExitStack, provider: trace.TracerProvider) -> None:
    session = import_module("aiohttp").ClientSession
    instrumentor = import_module(f"{_CONTRIB}.aiohttp_client").AioHttpClientInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:
        opened.enter_context(sessions_stepping_aside(session))
        _instrument(instrumentor, provider, opened)


def _instrument(instrumentor: Any, provider: trace.TracerProvider, opened: ExitStack) -> None:
    if instrumentor.is_instrumented_by_opentelemetry:
        return
    instrumentor.instrument(tracer_provider=provider, meter_provider=NoOpMeterProvider())
    if instrumentor.is_instrumented_by_opentelemetry:
        opened.callback(instrumentor.uninstrument)
