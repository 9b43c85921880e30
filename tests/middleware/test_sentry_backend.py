"""Sentry may be down, hang, refuse or talk nonsense: the service does not notice."""

import asyncio
import socket
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from prometheus_client import CollectorRegistry
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.transport import Transport

from middleware import Observability, Telemetry
from middleware.asgi import Receive, Scope, Send
from middleware.drops import Drops
from middleware.setup import outbox, sentry_client
from middleware.setup.sentry import reporting
from tests.middleware.sentry_receiver import SECONDS, Mode, SentryReceiver, receiving
from tests.middleware.test_sentry import BoomError, call, only_sentry, raising, running


@pytest.fixture
def sentry() -> Iterator[SentryReceiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def dropped(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("telemetry_dropped_total", {"signal": "sentry"}) or 0.0


def ours() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if "sentry" in each.name.lower()}


def error_of(text: str) -> BoomError:
    try:
        raise BoomError(text)
    except BoomError as error:
        return error


@pytest.mark.parametrize("mode", ["error", "rate_limit", "garbage"])
async def test_an_event_that_the_backend_refuses_is_counted_once(
    sentry: SentryReceiver, registry: CollectorRegistry, mode: Mode
) -> None:
    sentry.mode = mode
    telemetry = Telemetry(only_sentry(sentry), registry=registry)
    observed = Observability(raising(BoomError("x")), telemetry=telemetry)

    async with running(observed):
        await call(observed)

    assert sentry.asked.is_set()
    assert dropped(registry) == 1


async def test_an_event_for_a_backend_that_is_down_is_counted_once(
    registry: CollectorRegistry,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        dsn = f"http://public@127.0.0.1:{free.getsockname()[1]}/42"

    with reporting(dsn, Drops(registry)) as reporter:
        reporter.report({"message": "x"})

    assert dropped(registry) == 1


async def test_a_backend_that_asks_for_quiet_gets_it(
    sentry: SentryReceiver, registry: CollectorRegistry
) -> None:
    with reporting(sentry.dsn, Drops(registry)) as reporter:
        sentry.mode = "rate_limit"
        reporter.report({"message": "refused"})
        sentry_sdk.flush(SECONDS)
        sentry.mode = "well"
        reporter.report({"message": "not even sent"})

    assert sentry.events.empty()
    assert len(sentry.authorizations) == 1
    assert dropped(registry) == 2


async def answering_then_raising(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        what_a_frame_may_hold = bytearray(10_000)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})
        raise BoomError(len(what_a_frame_may_hold))
    await raising(BoomError())(scope, receive, send)


@pytest.mark.no_cover
async def test_errors_in_their_thousands_do_not_fill_the_memory_while_the_backend_hangs(
    sentry: SentryReceiver, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentry_client, "FLUSH_SECONDS", 0.1)
    monkeypatch.setattr(sentry_client.OutboxTransport, "TIMEOUT", 10 * SECONDS)
    sentry.mode = "hang"
    telemetry = Telemetry(only_sentry(sentry), registry=registry)
    observed = Observability(answering_then_raising, telemetry=telemetry)

    async with running(observed):
        await call(observed)
        await asyncio.to_thread(sentry.asked.wait, SECONDS)
        tracemalloc.start()
        statuses = {(await call(observed))[0]["status"] for _ in range(10_000)}
        grown_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        waiting = 10_000 - dropped(registry)
    sentry.released.set()
    for thread in ours():
        await asyncio.to_thread(thread.join, SECONDS)

    assert statuses == {200}
    assert waiting == outbox.LIMIT
    assert grown_bytes < 10_000_000
    assert dropped(registry) == 10_001
    assert not ours()


async def test_a_request_that_does_not_fail_costs_nothing(sentry: SentryReceiver) -> None:
    async with Telemetry(only_sentry(sentry)) as telemetry:
        moments = telemetry.records.readers, telemetry.ends, telemetry.connects, telemetry.closes
        failing = [signal for signal, _ in telemetry.failures]

    assert not any(moments)
    assert failing == ["sentry"]


@pytest.mark.parametrize("dsn", ["nonsense", "http://host/1", "http://k@host:port/1"])
async def test_a_dsn_that_is_none_reports_nothing_and_stops_nothing(
    registry: CollectorRegistry, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_DSN", dsn)

    with reporting(dsn, Drops(registry)) as reporter:
        reporter.report_error(error_of("x"), dict)

    assert not ours()


async def test_a_description_that_fails_is_counted(
    sentry: SentryReceiver, registry: CollectorRegistry
) -> None:
    def describe() -> dict[str, object]:
        raise BoomError("a fault of ours")

    with reporting(sentry.dsn, Drops(registry)) as reporter:
        reporter.report_error(error_of("x"), describe)

    assert dropped(registry) == 1
    assert sentry.events.empty()


async def test_a_ready_made_event_keeps_its_fingerprint(
    sentry: SentryReceiver, registry: CollectorRegistry
) -> None:
    with reporting(sentry.dsn, Drops(registry), release="shop@7") as reporter:
        reporter.report({"message": "stalled", "fingerprint": ["stall", "json.dumps"]})

    event = sentry.next_event()
    assert event["fingerprint"] == ["stall", "json.dumps"]
    assert event["release"] == "shop@7"


async def test_starting_and_stopping_fifty_times_leaves_no_thread(
    sentry: SentryReceiver, registry: CollectorRegistry
) -> None:
    drops = Drops(registry)

    for _ in range(50):
        with reporting(sentry.dsn, drops) as reporter:
            reporter.report_error(error_of("x"), dict)

    assert not ours()
    assert not sentry_sdk.is_initialized()
    assert sentry.events.qsize() == 50
    assert dropped(registry) == 0


async def test_nothing_of_a_request_is_kept_when_its_error_was_sent(
    sentry: SentryReceiver, registry: CollectorRegistry
) -> None:
    error = error_of("x")
    known = weakref.ref(error)

    with reporting(sentry.dsn, Drops(registry)) as reporter:
        reporter.report_error(error, dict)
        del error
        sentry_sdk.flush(SECONDS)

        assert known() is None


async def test_two_apps_in_one_process_report_to_their_own_backends(sentry: SentryReceiver) -> None:
    with receiving() as other:
        first = Observability(raising(BoomError("first")), settings=only_sentry(sentry))
        second = Observability(raising(BoomError("second")), settings=only_sentry(other))

        async with running(second):
            async with running(first):
                await call(first)
                await call(second)
            sentry_sdk.capture_message("of the one that is left")

        assert sentry.next_event()["exception"]["values"][0]["value"] == "first"
        assert other.next_event()["exception"]["values"][0]["value"] == "second"
        assert other.next_event()["message"] == "of the one that is left"
        assert sentry.events.empty()


class Kept(Transport):
    """Keeps the events of the application's own client."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events.append(envelope.get_event())


@pytest.fixture
def application() -> Iterator[Kept]:
    """What the application's own `sentry_sdk.init` got."""
    yield Kept()
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.get_global_scope().set_client(None)


@pytest.mark.parametrize("early", [True, False], ids=["before us", "in its lifespan"])
async def test_a_client_that_the_application_has_is_used_and_left_alone(
    sentry: SentryReceiver, registry: CollectorRegistry, application: Kept, early: bool
) -> None:
    options: dict[str, Any] = {
        "transport": application,
        "default_integrations": False,
        "release": "mine",
    }
    if early:
        sentry_sdk.init(**options)

    with reporting(sentry.dsn, Drops(registry)) as reporter:
        if not early:
            sentry_sdk.init(**options)
        reporter.report_error(error_of("x"), lambda: {"transaction": "GET /x"})

    (event,) = application.events
    assert (event["transaction"], event["release"]) == ("GET /x", "mine")
    assert sentry_sdk.is_initialized()
    assert sentry.events.empty()


async def test_what_the_applications_integrations_reported_is_not_reported_again(
    sentry: SentryReceiver, registry: CollectorRegistry, application: Kept
) -> None:
    sentry_sdk.init(
        transport=application, default_integrations=False, integrations=[DedupeIntegration()]
    )
    error = error_of("x")

    with reporting(sentry.dsn, Drops(registry)) as reporter:
        sentry_sdk.capture_exception(error)
        reporter.report_error(error, dict)

    assert len(application.events) == 1
