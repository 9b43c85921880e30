"""Where spans go, and what happens when they cannot."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from middleware import Telemetry
from middleware.asgi import ASGIApp
from middleware.drops import Drops
from middleware.setup import span_export
from middleware.setup.tracing import configured_tracing
from tests.middleware.otlp_receiver import OtlpReceiver, grpc_receiver, http_receiver

from .observing import SETTINGS, call, http_scope, observed

Receiver = Callable[[], AbstractContextManager[OtlpReceiver]]

PROTOCOLS: dict[str, Receiver] = {"http/protobuf": http_receiver, "grpc": grpc_receiver}


@pytest.fixture(params=PROTOCOLS)
def any_collector(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OtlpReceiver]:
    with PROTOCOLS[request.param]() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", request.param)
        yield receiver


def make_app() -> ASGIApp:
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    return app


def dropped(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("telemetry_dropped_total", {"signal": "traces"}) or 0.0


def export_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if "Otel" in name or "otel" in name]


async def test_spans_arrive_with_the_resource_of_the_service(any_collector: OtlpReceiver) -> None:
    telemetry = Telemetry(SETTINGS, service_name="shop", service_version="1.2")

    async with observed(make_app(), telemetry) as app:
        await call(app, http_scope("/items/3"))

    assert [span.name for span in any_collector.spans] == ["GET /items/{item}"]
    resource = any_collector.resource()
    assert (resource["service.name"], resource["service.version"]) == ("shop", "1.2")
    assert len(resource["service.instance.id"]) == 36
    assert dropped(telemetry.registry) == 0


async def test_the_environment_has_the_last_word_on_the_resource(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=seven,zone=a")
    telemetry = Telemetry(SETTINGS, service_name="shop")

    async with observed(make_app(), telemetry) as app:
        await call(app, http_scope("/items/3"))

    said = collector.resource()
    assert (said["service.name"], said["service.instance.id"], said["zone"]) == (
        "other",
        "seven",
        "a",
    )


@pytest.mark.parametrize("behaviour", ["failing", "garbage"])
async def test_what_a_collector_refuses_is_counted(
    behaviour: str, any_collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    any_collector.behaviour = "failing" if behaviour == "failing" else "garbage"
    telemetry = Telemetry(SETTINGS)

    async with observed(make_app(), telemetry) as app:
        answers = [await call(app, http_scope("/items/3")) for _ in range(3)]

    assert {answer[0]["status"] for answer in answers} == {200}
    assert dropped(telemetry.registry) == 3
    assert export_threads() == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_collector_that_is_down_is_counted(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    telemetry = Telemetry(SETTINGS)

    async with observed(make_app(), telemetry) as app:
        answer = await call(app, http_scope("/items/3"))

    assert answer[0]["status"] == 200
    assert dropped(telemetry.registry) == 1
    assert export_threads() == []


async def test_a_collector_that_hangs_holds_up_neither_requests_nor_the_end(
    any_collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "SHUTDOWN_SECONDS", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    any_collector.behaviour = "hanging"
    telemetry = Telemetry(SETTINGS)

    async with observed(make_app(), telemetry) as app:
        for _ in range(2):
            await call(app, http_scope("/items/3"))
        await asyncio.to_thread(any_collector.await_asked)
        answers = [await call(app, http_scope("/items/3")) for _ in range(10)]

    assert {answer[0]["status"] for answer in answers} == {200}
    for thread in threading.enumerate():
        if thread.name in ("OtelBatchSpanRecordProcessor", "otel_shutdown"):
            thread.join(20)
    # 2 were under way, 4 in the queue, and for 6 there was no room.
    assert dropped(telemetry.registry) == 12
    assert export_threads() == []


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=["no endpoint", "an empty one", "disabled", "no exporter"],
)
async def test_without_an_exporter_nothing_is_sampled_and_nothing_runs(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    threads = threading.active_count()

    with capture_logs() as logs:
        async with observed(make_app()) as app:
            answer = await call(app, http_scope("/items/3"))
            running = threading.active_count()

    assert dict(answer[0]["headers"])[b"traceresponse"].endswith(b"-00")
    assert running == threads
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert logs == []


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"},
        {"OTEL_TRACES_EXPORTER": "nobody"},
        {"OTEL_BSP_SCHEDULE_DELAY": "0"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-1"},
    ],
    ids=lambda variables: next(iter(variables)),
)
async def test_a_wrong_setting_is_said_and_the_service_goes_on(
    variables: dict[str, str], collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with capture_logs() as logs:
        async with observed(make_app()) as app:
            answer = await call(app, http_scope("/items/3"))

    assert answer[0]["status"] == 200
    assert [line["event"] for line in logs] == ["traces_not_exported"]
    assert collector.spans == []


async def test_fifty_starts_and_stops_leave_no_thread(collector: OtlpReceiver) -> None:
    for _ in range(50):
        async with observed(make_app()) as app:
            await call(app, http_scope("/items/3"))

    assert len(collector.spans) == 50
    assert export_threads() == []


async def test_the_last_of_several_users_stops_the_export(collector: OtlpReceiver) -> None:
    drops = Drops(CollectorRegistry())

    with configured_tracing(drops, "one", None) as first:
        with configured_tracing(drops, "two", None) as second:
            pass
        first.provider.get_tracer("test").start_span("still").end()

    assert first.provider is second.provider
    assert [span.name for span in collector.spans] == ["still"]
    assert export_threads() == []
