"""Whatever the other server does, a batch is computed or is said not to be, in time."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from service.adapters import remote_sessions as module
from service.adapters.model_folders import ModelFolder
from service.adapters.model_sessions import Session
from service.adapters.remote_sessions import remote_sessions
from service.inference_protocol.codec import write_message
from service.predictions.domain import Array, ModelUnavailableError, QueueFullError
from tests.middleware.uvicorn_server import serving
from tests.service.adapters.raw_servers import (
    RawServer,
    Respond,
    answer,
    json_answer,
    raw_server,
    say_nothing,
)
from tests.service.inference_protocol.echo_models import EchoRuntime, app_of, sums
from tests.service.inference_protocol.questions import ARRAYS

PATIENCE_SECONDS = 60.0
IMPATIENCE_SECONDS = 0.2

GOOD = {
    "scaled": np.array([[2, 4, 6], [8, 10, 13]], dtype=np.float32),
    "totals": np.array([3, 7]),
}


def session_at(
    url: str, timeout_seconds: float = PATIENCE_SECONDS, version: str = "v1.0"
) -> Session:
    """A session of `sums` on the server there."""
    folder = ModelFolder(sums(version, factor=2).manifest, files={}, sha256="")
    return remote_sessions(url, timeout_seconds)(folder)


async def run(session: Session) -> Mapping[str, Array]:
    """As a worker thread does."""
    return await asyncio.to_thread(session.run, ARRAYS)


async def reason_of(session: Session) -> str:
    with pytest.raises(ModelUnavailableError) as caught:
        await run(session)
    return str(caught.value)


async def reason_when(respond: Respond, timeout_seconds: float = PATIENCE_SECONDS) -> str:
    """Why nothing came from a server that responds so."""
    async with raw_server(respond) as server:
        return await reason_of(session_at(server.url, timeout_seconds))


def answer_of(arrays: Mapping[str, Array], **members: Any) -> bytes:
    """A whole response with these outputs."""
    message = write_message({"model_name": "sums", **members}, "outputs", arrays, ())
    return json_answer(message.body)


def assert_good(outputs: Mapping[str, Array]) -> None:
    assert outputs.keys() == GOOD.keys()
    for name, expected in GOOD.items():
        assert outputs[name].dtype == expected.dtype
        np.testing.assert_array_equal(outputs[name], expected)


async def test_a_server_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    reason = await reason_of(session_at(f"http://127.0.0.1:{port}"))

    assert reason == "The model's server is not reachable."


async def test_a_server_that_has_no_such_name() -> None:
    reason = await reason_of(session_at("http://nowhere.invalid:8000"))

    assert reason == "The model's server is not reachable."


async def test_a_server_that_says_nothing() -> None:
    reason = await reason_when(say_nothing, IMPATIENCE_SECONDS)

    assert reason == "The model's server did not answer in time."


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-A: ", answer_of(GOOD)[:-1]])
async def test_a_server_that_speaks_slowly_for_ever(head: bytes) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head.replace(b"Content-Length: ", b"Content-Length: 9"))
        while True:
            writer.write(b"a")
            await asyncio.sleep(IMPATIENCE_SECONDS / 4)

    reason = await reason_when(drip, IMPATIENCE_SECONDS)

    assert reason == "The model's server did not answer in time."


@pytest.mark.parametrize(
    "response",
    [
        b"hello\r\n\r\n",
        b"\0" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_a_server_that_speaks_no_http_or_breaks_off(response: bytes) -> None:
    assert await reason_when(answer(response)) == "The model's server gave an unreadable answer."


async def test_a_server_that_says_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 1000)

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"[" * 1000)
            await writer.drain()

    assert await reason_when(endless) == "The model's server answered more than is read."


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "503 Service Unavailable"])
async def test_a_server_that_refuses(status: str) -> None:
    reason = await reason_when(answer(json_answer(b'{"error": "/srv/models"}', status=status)))

    assert reason == f"The model's server answered {status[:3]}."


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (json_answer(b"{"), "The JSON is not valid"),
        (json_answer(b"[]"), "Input should be a valid dict"),
        (json_answer(b"{}"), "outputs: Field required"),
        (answer_of({"scaled": GOOD["scaled"]}), "scaled, totals"),
        (answer_of({**GOOD, "totals": np.array([3, 7, 9])}), "totals has the shape [2], not [3]"),
        (answer_of({**GOOD, "scaled": np.ones((2, 4), np.float32)}), "scaled has the shape"),
        (answer_of({**GOOD, "totals": np.array([3.0, 7.0])}), "totals is INT64, not FP64"),
        (
            json_answer(orjson.dumps({"model_name": "sums", "outputs": []}) + b"12345678"),
            "The JSON is not valid",
        ),
    ],
)
async def test_a_server_whose_answer_is_of_no_use(response: bytes, why: str) -> None:
    reason = await reason_when(answer(response))

    assert reason.startswith("The model's server gave an unusable answer: ")
    assert why in reason


async def test_a_server_that_hangs_up_without_a_word_is_asked_twice() -> None:
    async with raw_server(answer(b"")) as server:
        assert await reason_of(session_at(server.url)) == "The model's server is not reachable."

        assert server.accepted == 2


async def test_a_server_that_breaks_off_is_asked_once() -> None:
    async with raw_server(answer(answer_of(GOOD)[:-1])) as server:
        await reason_of(session_at(server.url))

        assert server.accepted == 1


async def test_a_connection_that_the_server_has_closed_meanwhile_is_made_anew() -> None:
    async with raw_server(answer(answer_of(GOOD))) as server:
        session = session_at(server.url)

        for _ in range(3):
            assert_good(await run(session))

        assert server.accepted == 3


async def test_a_connection_is_used_again() -> None:
    async with raw_server(answer(answer_of(GOOD), keep_open=True)) as server:
        session = session_at(server.url)

        for _ in range(3):
            assert_good(await run(session))

        assert server.accepted == 1


async def test_a_connection_is_used_again_after_a_refusal() -> None:
    refusal = json_answer(b"{}", status="503 Service Unavailable")
    async with raw_server(answer(refusal, keep_open=True)) as server:
        session = session_at(server.url)

        for _ in range(3):
            await reason_of(session)

        assert server.accepted == 1


async def test_a_connection_that_the_server_means_to_close_is_not_kept() -> None:
    closing = answer_of(GOOD).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    async with raw_server(answer(closing, keep_open=True)) as server:
        session = session_at(server.url)

        for _ in range(2):
            assert_good(await run(session))

        assert server.accepted == 2


@pytest.fixture
def runtime() -> EchoRuntime:
    return EchoRuntime()


@pytest.fixture
def url(runtime: EchoRuntime) -> Iterator[str]:
    """Of one of our own servers, on a thread of its own."""
    with serving(app_of(runtime), "uvloop") as served:
        yield f"http://127.0.0.1:{served.port}/"


def test_one_of_our_own_servers_computes_a_batch(url: str) -> None:
    assert_good(session_at(url).run(ARRAYS))


def test_the_version_is_the_session_s_own(url: str) -> None:
    scaled = session_at(url, version="v1.1").run(ARRAYS)["scaled"]

    np.testing.assert_array_equal(scaled, 3 * ARRAYS["numbers"])


def test_one_of_our_own_servers_that_is_full(url: str, runtime: EchoRuntime) -> None:
    runtime.sums.error = QueueFullError(1)

    with pytest.raises(ModelUnavailableError, match="answered 429"):
        session_at(url).run(ARRAYS)


def test_the_server_is_told_how_long_is_waited(url: str, runtime: EchoRuntime) -> None:
    session_at(url, timeout_seconds=20).run(ARRAYS)

    assert runtime.sums.seconds_given[0] <= 20


def test_many_threads_get_their_own_answers(url: str) -> None:
    session = session_at(url)

    def compute(number: int) -> None:
        numbers = np.full((number, 3), number, dtype=np.float32)
        counts = np.full((number, 2), number)
        outputs = session.run({"numbers": numbers, "counts": counts})
        np.testing.assert_array_equal(outputs["scaled"], 2 * numbers)
        np.testing.assert_array_equal(outputs["totals"], [2 * number] * number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(compute, range(1, 65)))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What the process's tracer provider has recorded."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def traceparents_of(server: RawServer) -> list[bytes]:
    return [
        line.partition(b": ")[2]
        for request in server.requests
        for line in request.splitlines()
        if line.startswith(b"traceparent: ")
    ]


async def test_a_batch_that_is_traced_is_traced_there_too(spans: InMemorySpanExporter) -> None:
    async with raw_server(answer(answer_of(GOOD))) as server:
        with trace.get_tracer("test").start_as_current_span("batch") as batch:
            await run(session_at(server.url))

    call, _ = spans.get_finished_spans()
    assert call.name == "POST /v2/models/sums/versions/v1.0/infer"
    assert call.kind is trace.SpanKind.CLIENT
    assert call.parent == batch.get_span_context()
    assert dict(call.attributes or {}) == {
        "http.request.method": "POST",
        "url.full": f"{server.url}/v2/models/sums/versions/v1.0/infer",
        "http.response.status_code": 200,
    }
    here = f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}-"
    (traceparent,) = traceparents_of(server)
    assert traceparent.startswith(here.encode())


async def test_a_call_that_fails_is_an_error_of_its_span(spans: InMemorySpanExporter) -> None:
    refusal = json_answer(b"{}", status="429 Too Many Requests")
    async with raw_server(answer(refusal)) as server:
        with trace.get_tracer("test").start_as_current_span("batch"):
            await reason_of(session_at(server.url))

    call, _ = spans.get_finished_spans()
    assert call.status.status_code is trace.StatusCode.ERROR
    assert (call.attributes or {})["http.response.status_code"] == 429


async def test_a_batch_that_is_not_traced_begins_no_trace(spans: InMemorySpanExporter) -> None:
    async with raw_server(answer(answer_of(GOOD))) as server:
        await run(session_at(server.url))

    assert spans.get_finished_spans() == ()
    assert traceparents_of(server) == []
