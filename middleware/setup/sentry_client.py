"""Sentry's SDK, tamed: no integrations, and all that takes time happens in an outbox."""

import linecache
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any

import sentry_sdk
import structlog
from sentry_sdk.client import BaseClient
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import HttpTransport
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from ..drops import Drops
from ..exchange import current_exchange
from ..logs.redaction import redact
from ..signals.sentry import Describe, trace_context
from .outbox import Outbox

log = structlog.get_logger()

FLUSH_SECONDS = 2.0
SEND_SECONDS = 5
_SOURCE_LINES = 5  # before and after the one that failed
_MECHANISM = {"type": "observability", "handled": False}

_lock = threading.Lock()
_clients: "list[OwnClient]" = []


class LostError(Exception):
    """The backend did not take an envelope."""


class OutboxTransport(HttpTransport):
    """Sends from the outbox's thread instead of one of its own."""

    TIMEOUT = SEND_SECONDS
    outbox: Outbox

    def capture_envelope(self, envelope: Envelope) -> None:
        """Queue it."""
        self.outbox.put(partial(self._send_envelope, envelope))

    def flush(self, timeout: float, callback: object = None) -> None:
        """See Outbox."""
        self.outbox.flush(timeout)

    def on_dropped_event(self, _reason: str) -> None:
        """Let the outbox count it: refused, rate limited, or the backend is gone."""
        raise LostError(_reason)

    def _get_pool_options(self) -> dict[str, Any]:
        # Each of urllib3's own retries is a warning in the application's log.
        return {**super()._get_pool_options(), "retries": False}


class OwnClient(sentry_sdk.Client):
    """Tells our clients from one that the application has initialized."""


class Reporter:
    """Reports to the application's own client where it has one, else to ours. Never blocks."""

    def __init__(self, outbox: Outbox, client: OwnClient | None) -> None:
        self._outbox, self._client = outbox, client

    def report(self, event: dict[str, Any]) -> None:
        """Send a ready-made event, with a `fingerprint` if it has one."""
        self._later(partial(self._capture, event))

    def report_error(self, error: BaseException, describe: Describe) -> None:
        """Send `error` with the fields of an event that `describe` gives, on the outbox's thread.

        Takes 10 to 20 µs; the event takes 2 to 3 ms, most of it to serialize its frames.
        """
        raised = (type(error), error, error.__traceback__)
        self._later(partial(self._capture_error, raised, describe))

    def _later(self, capture: Callable[[], None]) -> None:
        # The application's tags, its user, and the SDK's memory of what it has seen are in there.
        self._outbox.put(partial(copy_context().run, capture))

    def _capture_error(self, raised: Any, describe: Describe) -> None:
        client = _application_client() or self._client
        if client is not None:
            event, hint = event_from_exception(raised, client.options, _MECHANISM)
            self._capture({**event, **describe()}, hint)

    def _capture(self, event: Mapping[str, Any], hint: Hint | None = None) -> None:
        with sentry_sdk.new_scope() as scope:
            scope.client = _application_client() or self._client or scope.client
            scope.capture_event(event, hint)  # type: ignore[arg-type]  # a TypedDict of theirs


@contextmanager
def reporting(dsn: str, drops: Drops, *, release: str | None = None) -> Iterator[Reporter]:
    """A reporter for as long as the block lasts; leaving takes at most FLUSH_SECONDS.

    Every block has a client of its own; `sentry_sdk.capture_message` and its like use the oldest.
    A client that the application initialized, before or since, is used instead and left alone.
    `SENTRY_ENVIRONMENT` and `SENTRY_RELEASE` are heeded.
    """
    outbox = Outbox("sentry", drops)
    client = None if _application_client() else _own_client(dsn, outbox, release)
    _keep(client)
    try:
        yield Reporter(outbox, client)
    finally:
        _forget(client)
        if client is not None:
            client.flush(timeout=0)  # what it batches itself
        outbox.close(FLUSH_SECONDS)
        if client is not None:
            client.close(timeout=0)


def _application_client() -> BaseClient | None:
    client = sentry_sdk.get_client()
    return client if client.is_active() and not isinstance(client, OwnClient) else None


def _own_client(dsn: str, outbox: Outbox, release: str | None) -> OwnClient:
    open_client = partial(
        OwnClient,
        release=os.environ.get("SENTRY_RELEASE") or release,
        transport=type("OwnTransport", (OutboxTransport,), {"outbox": outbox}),
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        enable_backpressure_handling=False,
        send_client_reports=False,  # what is lost is counted here
        include_local_variables=False,
        include_source_context=False,  # it reads a frame's whole file again for every frame: 6 ms
        max_breadcrumbs=0,
        before_send=_complete,
    )
    try:
        return open_client(dsn)
    except ValueError as error:  # a wrong setting must not keep the service down
        log.warning("errors_not_reported", reason="bad SENTRY_DSN", error=type(error).__name__)
        return open_client("")


def _keep(client: OwnClient | None) -> None:
    if client is not None:
        with _lock:
            _clients.append(client)
            _bind()


def _forget(client: OwnClient | None) -> None:
    if client is not None:
        with _lock:
            _clients.remove(client)
            _bind()


def _bind() -> None:
    scope = sentry_sdk.get_global_scope()
    if isinstance(scope.client, OwnClient) or not scope.client.is_active():
        scope.set_client(_clients[0] if _clients else None)


def _complete(event: Event, hint: Hint) -> Any:
    """The event as it may leave, of the request that it was captured in, with source lines."""
    shown: dict[str, Any] = redact(event)
    exchange = current_exchange.get()
    if exchange is not None:
        shown.setdefault("contexts", {})["trace"] = trace_context(exchange)
        shown.setdefault("tags", {})["request_id"] = exchange.request_id
    for frame in _frames(shown):
        _show_source(frame)
    return shown


def _frames(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind in ("exception", "threads"):
        for value in (event.get(kind) or {}).get("values", ()):
            yield from (value.get("stacktrace") or {}).get("frames", ())


def _show_source(frame: dict[str, Any]) -> None:
    path, number = str(frame.get("abs_path")), frame.get("lineno")
    lines = linecache.getlines(path) if path.endswith(".py") else []
    if isinstance(number, int) and 0 < number <= len(lines):
        first = max(0, number - 1 - _SOURCE_LINES)
        around = [line.rstrip("\n") for line in lines[first : number + _SOURCE_LINES]]
        at = number - 1 - first
        frame["pre_context"], frame["context_line"] = around[:at], around[at]
        frame["post_context"] = around[at + 1 :]
