"""One request, found again by its trace id wherever it left something."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.integration.conftest import World
from tests.integration.running import RunningService, running_service, running_stand_in, until
from tests.middleware.otlp_receiver import OtlpReceiver, grpc_receiver, http_receiver
from tests.middleware.sentry_receiver import receiving

pytestmark = pytest.mark.no_cover

RECEIVERS = {"http/protobuf": http_receiver, "grpc": grpc_receiver}
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


def exporting(receiver: OtlpReceiver, protocol: str) -> dict[str, str]:
    """The environment of a process that sends all its spans to `receiver`, soon."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


@contextmanager
def traced_service(world: World, protocol: str) -> Iterator[tuple[RunningService, OtlpReceiver]]:
    """A service and a reviews API that export all their spans."""
    with RECEIVERS[protocol]() as receiver:
        export = exporting(receiver, protocol)
        with running_stand_in("reviews", **export) as reviews:
            settings = {**world.settings, "REVIEWS__URL": reviews.url, **export}
            with running_service(world.folder, **settings) as service:
                yield service, receiver


def trace_of(receiver: OtlpReceiver, trace_id: str) -> list[Span]:
    return [span for span in receiver.spans if span.trace_id.hex() == trace_id]


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_a_request_leaves_one_trace_id_in_header_log_exemplar_and_spans(
    world: World, protocol: str
) -> None:
    world.forget()
    with traced_service(world, protocol) as (service, receiver):
        with urllib.request.urlopen(f"{service.url}/v1/product/11/enriched") as answer:
            trace_id, span_id = answer.headers["traceresponse"].split("-")[1:3]
        wanted = {"SELECT", "SET", "GET /products/{product_id}/reviews"}

        def complete() -> bool:
            names = {span.name for span in trace_of(receiver, trace_id)}
            return wanted <= names

        until(complete, "all spans have arrived")
        request = urllib.request.Request(
            f"http://127.0.0.1:{service.ops_port}/metrics", headers=OPENMETRICS
        )
        exemplars = urllib.request.urlopen(request).read().decode()
        until(lambda: "request_completed" in service.log(), "the request is in the log")
        log = service.log()

    spans = trace_of(receiver, trace_id)
    (server,) = [span for span in spans if span.span_id.hex() == span_id]
    assert server.name == "GET /v1/product/{product_id}/enriched"
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        assert span is server or span.parent_span_id in by_id, span
    assert f'trace_id="{trace_id}"' in exemplars
    (line,) = [each for each in map(json.loads, log.splitlines()) if _is_request(each, trace_id)]
    assert line["span_id"] == span_id


def _is_request(line: dict[str, Any], trace_id: str) -> bool:
    return bool(line["event"] == "request_completed" and line["trace_id"] == trace_id)


@contextmanager
def spoiled(dsn: str, product_id: int) -> Iterator[None]:
    """A product with a date that Python has no value for, until the block is left."""

    async def date(moment: str) -> None:
        connection = await asyncpg.connect(dsn)
        statement = f"UPDATE products SET created_at = {moment} WHERE id = $1"
        await connection.execute(statement, product_id)
        await connection.close()

    asyncio.run(date("'20000-01-01'"))
    try:
        yield
    finally:
        asyncio.run(date("updated_at"))


def test_a_request_that_fails_is_found_in_sentry_by_the_trace_id_of_its_response(
    world: World,
) -> None:
    with (
        spoiled(world.settings["DATABASE_URL"], 12),
        receiving() as sentry,
        running_service(world.folder, **world.settings, SENTRY_DSN=sentry.dsn) as service,
    ):
        with pytest.raises(urllib.error.HTTPError) as failure:
            urllib.request.urlopen(f"{service.url}/v1/product/12/enriched")
        event = sentry.next_event()
        until(lambda: "request_failed" in service.log(), "the failure is in the log")
        lines = [json.loads(line) for line in service.log().splitlines()]

    trace_id = failure.value.headers["traceresponse"].split("-")[1]
    failure.value.close()
    assert event["contexts"]["trace"]["trace_id"] == trace_id
    assert event["transaction"] == "GET /v1/product/{product_id}/enriched"
    assert {line["event"] for line in lines if line.get("trace_id") == trace_id} >= {
        "request_completed",
        "request_failed",
    }
