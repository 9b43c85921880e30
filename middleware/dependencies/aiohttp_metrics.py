"""HTTP through aiohttp's client: measured by its own tracing, from the start to the headers.

So a failure while the body is read is not counted: aiohttp tells nobody. A request that is
redirected is one request, to the server that was asked first.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from time import perf_counter
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .durations import OTHER, Durations
from .error_types import ErrorTypes
from .guard import Guard

MAX_ADDRESSES = 100
# The bounds that the OpenTelemetry HTTP conventions advise.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
OTHER_METHOD = "_OTHER"  # as the semantic conventions spell it
_STATUSES = {status: str(status) for status in range(100, 600)}
ERRORS = ErrorTypes(
    aiohttp.ClientError,
    aiohttp.ClientConnectionError,
    aiohttp.ClientConnectionResetError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorDNSError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientOSError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
    aiohttp.InvalidURL,
    aiohttp.ServerDisconnectedError,
    aiohttp.TooManyRedirects,
)


class Addresses:
    """`host:port` of the first MAX_ADDRESSES servers; the rest is `other`."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._known: set[str] = set()

    def of(self, host: str | None, port: int | None) -> str:
        """The label's value."""
        address = f"[{host}]:{port}" if host and ":" in host else f"{host}:{port}"
        if address not in self._known:
            if len(self._known) >= MAX_ADDRESSES:
                self._guard.count()
                return OTHER
            self._known.add(address)
        return address


class _Request(SimpleNamespace):
    """One request under way; `counted` while it holds a connection."""

    started: float
    method: str
    address: str
    counted: "Counter[str] | None" = None


class HttpClientMetrics(Collector):
    """`http_client_*`. Connectors are held weakly."""

    def __init__(self, registry: CollectorRegistry, guard: Guard) -> None:
        self._guard = guard
        self._addresses = Addresses(guard)
        self._active: WeakKeyDictionary[aiohttp.BaseConnector, Counter[str]] = WeakKeyDictionary()
        self._durations = Durations(
            "http_client_request_duration_seconds",
            "Time from the start of a request to the headers of its answer, with redirects.",
            ["server_address", "http_request_method", "http_response_status_code", "error_type"],
            SECONDS,
            registry,
            guard,
        )
        registry.register(self)

    def trace_config(self) -> aiohttp.TraceConfig:
        """One more, for as many sessions as wanted."""
        config = aiohttp.TraceConfig(_Request)
        config.on_request_start.append(self._guarded(self._start))
        config.on_connection_create_end.append(self._guarded(self._connected))
        config.on_connection_reuseconn.append(self._guarded(self._connected))
        config.on_request_redirect.append(self._guarded(self._redirected))
        config.on_request_end.append(self._guarded(self._end))
        config.on_request_exception.append(self._guarded(self._failed))
        return config

    def _guarded(
        self, handle: Callable[[aiohttp.ClientSession, Any, Any], None]
    ) -> Callable[[aiohttp.ClientSession, Any, Any], Coroutine[Any, Any, None]]:
        async def receiver(session: aiohttp.ClientSession, request: Any, happened: Any) -> None:
            with self._guard:
                handle(session, request, happened)

        return receiver

    def _start(
        self,
        _session: aiohttp.ClientSession,
        request: _Request,
        happened: aiohttp.TraceRequestStartParams,
    ) -> None:
        request.started = perf_counter()
        method = happened.method.upper()
        request.method = method if method in METHODS else OTHER_METHOD
        request.address = self._addresses.of(happened.url.raw_host, happened.url.port)

    def _connected(self, session: aiohttp.ClientSession, request: _Request, _: object) -> None:
        connector = session.connector
        if request.counted is None and connector is not None:  # else it connects once more
            counted = self._active.get(connector)
            if counted is None:
                counted = self._active.setdefault(connector, Counter())
            counted[request.address] += 1
            request.counted = counted

    def _redirected(self, _session: aiohttp.ClientSession, request: _Request, _: object) -> None:
        _let_go(request)

    def _end(
        self,
        _session: aiohttp.ClientSession,
        request: _Request,
        happened: aiohttp.TraceRequestEndParams,
    ) -> None:
        connection = happened.response.connection
        if connection is None:  # the whole answer is here
            _let_go(request)
        else:
            connection.add_callback(partial(_let_go, request))
        status = _STATUSES.get(happened.response.status, OTHER)
        self._observe(request, status, status if happened.response.status >= 400 else "")

    def _failed(
        self,
        _session: aiohttp.ClientSession,
        request: _Request,
        happened: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        _let_go(request)
        self._observe(request, "", ERRORS.name_of(happened.exception))

    def _observe(self, request: _Request, status: str, error_type: str) -> None:
        seconds = perf_counter() - request.started
        labels = (request.address, request.method, status, error_type)
        self._durations.observe(seconds, labels)

    def describe(self) -> Iterable[Metric]:
        """The family, empty: what the registry must know to find duplicates."""
        yield _family({})

    def collect(self) -> Iterable[Metric]:
        """The family as the connectors are now."""
        counts: Counter[tuple[str, str]] = Counter()
        # keyrefs() is one copy: other threads may add connectors meanwhile.
        for reference in self._active.keyrefs():
            connector = reference()
            with self._guard:
                if connector is not None and not connector.closed:
                    for address, state, amount in self._connections(connector):
                        counts[address, state] += amount
        yield _family(counts)

    def _connections(self, connector: aiohttp.BaseConnector) -> Iterator[tuple[str, str, int]]:
        for address, amount in list(self._active[connector].items()):
            yield address, "active", amount
            yield address, "idle", 0
        # There is no public way to see the idle ones. list() and tuple() are one copy each.
        for key, idle in list(connector._conns.items()):
            connected = sum(protocol.is_connected() for protocol, _since in tuple(idle))
            yield self._addresses.of(key.host, key.port), "idle", connected


def _let_go(request: _Request) -> None:
    counted, request.counted = request.counted, None
    if counted is not None:
        counted[request.address] -= 1


def _family(counts: dict[tuple[str, str], int]) -> Metric:
    family = GaugeMetricFamily(
        "http_client_open_connections",
        "Connections to HTTP servers, by whether a request uses them.",
        labels=["server_address", "http_connection_state"],
    )
    for (address, state), amount in counts.items():
        family.add_metric([address, state], amount)
    return family
