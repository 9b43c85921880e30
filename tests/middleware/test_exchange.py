"""When a request ends, what its status is, and what it is called, with hand-made scopes."""

import asyncio
from typing import Any, NoReturn

import pytest

from middleware.exchange import Exchange

from .asgi_calls import (
    DISCONNECT,
    HEAD,
    LAST,
    PATIENCE_SECONDS,
    call,
    hello,
    http_scope,
    requests_only,
)
from .observing import observing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


async def fails_before(scope: Any, receive: Any, send: Any) -> NoReturn:
    raise ValueError("before")


async def fails_within(scope: Any, receive: Any, send: Any) -> NoReturn:
    await send(HEAD)
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    raise ValueError("within")


async def fails_after(scope: Any, receive: Any, send: Any) -> NoReturn:
    await send(HEAD)
    await send(LAST)
    raise ValueError("after")


async def answers_and_fails(scope: Any, receive: Any, send: Any) -> NoReturn:
    """As Starlette does: the answer to the client first, the error to the server then."""
    await send({**HEAD, "status": 500})
    await send(LAST)
    raise ValueError("answered")


@pytest.mark.parametrize(
    ("app", "status"),
    [(fails_before, 500), (fails_within, 500), (fails_after, 200), (answers_and_fails, 500)],
)
async def test_an_error_counts_as_500_unless_the_client_had_its_answer(
    app: Any, status: int
) -> None:
    async with observing(app) as seen:
        with pytest.raises(ValueError, match=r"before|within|after|answered"):
            await call(seen.app, http_scope())

        assert seen.series == {("GET", "unmatched", str(status)): 1}
        assert not seen.telemetry.in_flight

    assert seen.request["status"] == status
    assert seen.request["level"] == ("error" if status == 500 else "info")
    (failure,) = seen.lines_of("request_failed")
    assert failure["exception"][0]["exc_type"] == "ValueError"
    assert failure["trace_id"] == seen.request["trace_id"]


@pytest.mark.parametrize("app", [fails_before, fails_within, answers_and_fails])
async def test_the_line_of_a_failed_request_names_its_error(app: Any) -> None:
    async with observing(app) as seen:
        with pytest.raises(ValueError, match=r"before|within|answered"):
            await call(seen.app, http_scope())

    assert seen.request["error"] == "ValueError"


async def test_an_error_after_the_response_leaves_the_response_as_it_was() -> None:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async with observing(fails_after) as seen:
        with pytest.raises(ValueError, match="after"):
            await seen.app(http_scope(), asyncio.Future, send)

    assert sent == ["http.response.start", "http.response.body"]


async def test_what_follows_the_last_byte_is_not_in_the_duration_nor_in_flight() -> None:
    answered, finish = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        answered.set()
        await finish.wait()

    async with observing(app) as seen, asyncio.timeout(PATIENCE_SECONDS):
        request = asyncio.create_task(call(seen.app, http_scope()))
        await answered.wait()

        assert seen.counted("unmatched", 200) == 1
        assert not seen.telemetry.in_flight

        finish.set()
        await request
        assert seen.counted("unmatched", 200) == 1


async def test_a_stream_is_in_flight_until_its_last_byte() -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(HEAD)
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})
        begun.set()
        await finish.wait()
        await send({"type": "http.response.body", "body": b"lo", "more_body": True})
        await send({"type": "http.response.body"})

    async with observing(app) as seen, asyncio.timeout(PATIENCE_SECONDS):
        request = asyncio.create_task(call(seen.app, http_scope()))
        await begun.wait()

        assert seen.series == {}
        assert len(seen.telemetry.in_flight) == 1
        assert seen.metric("http_server_active_requests", http_request_method="GET") == 1

        finish.set()
        assert (await request).body == b"hello"

        assert seen.metric("http_server_active_requests", http_request_method="GET") == 0

    assert (seen.request["status"], seen.request["response_bytes"]) == (200, 5)


@pytest.mark.parametrize(
    ("method", "status", "body", "counted"),
    [("HEAD", 200, b"hello", 0), ("GET", 304, b"", 0), ("GET", 204, b"", 0), ("GET", 200, b"x", 1)],
)
async def test_response_bytes_are_those_that_go_out(
    method: str, status: int, body: bytes, counted: int
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": body})

    async with observing(app) as seen:
        await call(seen.app, http_scope(method=method))

        assert seen.counted("unmatched", status, method) == 1

    assert seen.request["response_bytes"] == counted


async def test_a_file_that_the_server_sends_ends_the_response() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(HEAD)
        await send({"type": "http.response.pathsend", "path": "/etc/hostname"})
        assert not seen.telemetry.in_flight

    async with observing(app) as seen:
        await call(seen.app, http_scope())

        assert seen.counted("unmatched", 200) == 1


async def test_trailers_and_hints_go_through() -> None:
    hint = {"type": "http.response.early_hint", "links": []}
    trailers = {"type": "http.response.trailers", "headers": [(b"checksum", b"1")]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(hint)
        await send({**HEAD, "trailers": True})
        await send(LAST)
        await send(trailers)

    async with observing(app) as seen:
        answer = await call(seen.app, http_scope())

    assert answer.messages[0] == hint
    assert answer.messages[-1] == trailers
    assert seen.request["status"] == 200


async def test_an_app_that_never_answers_counts_as_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async with observing(app) as seen:
        await call(seen.app, http_scope())

    assert seen.request["status"] == 500


async def test_a_stream_that_is_not_finished_counts_as_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(HEAD)
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})

    async with observing(app) as seen:
        await call(seen.app, http_scope())

    assert seen.request["status"] == 500


async def read_all(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("answers", ["not", "partly", "wholly", "by raising"])
async def test_a_client_that_hangs_up_is_499_whatever_the_app_makes_of_it(answers: str) -> None:
    @requests_only
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if answers == "partly":
            await send(HEAD)
        await read_all(receive)
        if answers == "wholly":
            await hello(scope, receive, send)
        if answers == "by raising":
            raise ConnectionError("the client has gone")

    body = {"type": "http.request", "body": b"12", "more_body": True}
    async with observing(app) as seen:
        try:
            await call(seen.app, http_scope(method="POST"), body, DISCONNECT)
        except ConnectionError:
            assert answers == "by raising"

        assert seen.series == {("POST", "unmatched", "499"): 1}

    assert seen.request["status"] == 499
    assert seen.request["client_disconnected"] is True
    assert (seen.request["level"], seen.request["request_bytes"]) == ("info", 2)
    assert not seen.lines_of("request_failed")


@pytest.mark.parametrize("message", [LAST, {**LAST, "more_body": True}])
async def test_a_server_whose_send_fails_says_that_the_client_has_gone(message: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(HEAD)
        await send(message)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("ASGI 2.4")

    async with observing(app) as seen:
        with pytest.raises(OSError, match=r"ASGI 2\.4"):
            await seen.app(http_scope(), asyncio.Future, send)

    assert (seen.request["status"], seen.request["client_disconnected"]) == (499, True)
    assert not seen.lines_of("request_failed")


async def test_a_disconnect_after_the_response_changes_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        await read_all(receive)

    async with observing(app) as seen:
        await call(seen.app, http_scope(), DISCONNECT)

    assert seen.request["status"] == 200
    assert "client_disconnected" not in seen.request


@pytest.mark.parametrize("begun", [False, True])
async def test_a_cancelled_request_is_no_failure_of_the_app(begun: bool) -> None:
    waiting = asyncio.Event()

    @requests_only
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send(HEAD)
        waiting.set()
        await asyncio.Event().wait()

    async with observing(app) as seen, asyncio.timeout(PATIENCE_SECONDS):
        request = asyncio.create_task(call(seen.app, http_scope()))
        await waiting.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

        assert not seen.telemetry.in_flight

    assert seen.request["status"] == (200 if begun else 499)
    assert seen.request["error"] == "CancelledError"
    assert not seen.lines_of("request_failed")


def exchange_of(*headers: tuple[str, str]) -> Exchange:
    async def never(*_: Any) -> NoReturn:
        raise AssertionError

    async def made() -> Exchange:
        return Exchange(http_scope(headers=headers), never, never, lambda exchange: None)

    with asyncio.Runner() as runner:
        return runner.run(made())


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        f"00-{TRACE}-{PARENT}",
        f"ff-{TRACE}-{PARENT}-01",
        f"FF-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"0g-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-0X",
        f"00-{TRACE}-{PARENT}-01-what-comes-later",
        f"00-{TRACE}-{PARENT}-01-",
        f"01-{TRACE}-{PARENT}-01what",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00_{TRACE}_{PARENT}_01",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
    ],
)
def test_a_malformed_traceparent_starts_a_trace_of_our_own(traceparent: str) -> None:
    exchange = exchange_of(("traceparent", traceparent))

    assert exchange.trace_hex != TRACE
    assert int(exchange.trace_hex, 16) == exchange.trace_id
    assert exchange.parent_span_id == 0
    assert not exchange.sampled


@pytest.mark.parametrize(
    ("traceparent", "sampled"),
    [
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-02", False),
        (f"00-{TRACE}-{PARENT}-ff", True),
        (f"01-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", True),
        (f"fe-{TRACE}-{PARENT}-00-", False),
    ],
)
def test_a_well_formed_traceparent_is_continued(
    traceparent: str,
    sampled: bool,
) -> None:
    exchange = exchange_of(("traceparent", traceparent))

    assert (exchange.trace_hex, exchange.trace_id) == (TRACE, int(TRACE, 16))
    assert exchange.parent_span_id == int(PARENT, 16)
    assert exchange.span_id not in (0, exchange.parent_span_id)
    assert exchange.sampled is sampled


@pytest.mark.parametrize(
    "request_id", ["", "a b", "é", "x" * 129, "a\r\nb", "<script>", "a/b", 'a"b', "a\x00", "a;b"]
)
def test_a_malformed_request_id_is_replaced_by_the_trace_id(request_id: str) -> None:
    exchange = exchange_of(("x-request-id", request_id))

    assert exchange.request_id == exchange.trace_hex


@pytest.mark.parametrize("request_id", ["7", "x" * 128, "A-b_c.d:e", TRACE])
def test_a_well_formed_request_id_is_the_callers(request_id: str) -> None:
    exchange = exchange_of(("x-request-id", request_id))

    assert exchange.request_id == request_id
    assert exchange.trace_hex != request_id


def test_ids_are_new_for_every_request() -> None:
    exchanges = [exchange_of() for _ in range(50)]

    assert len({exchange.trace_id for exchange in exchanges}) == 50
    assert len({exchange.span_id for exchange in exchanges}) == 50


async def test_the_response_says_what_the_request_is_called_and_keeps_the_apps_headers() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["state"]["request_id"] == "mine"
        headers = [(b"server-timing", b"db;dur=2.5"), (b"content-type", b"text/plain")]
        await send({**HEAD, "headers": iter([*headers, (b"server-timing", b"cache;dur=1")])})
        await send(LAST)

    asked = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-request-id", "mine")]
    async with observing(app) as seen:
        answer = await call(seen.app, http_scope(headers=asked))

    assert answer.headers["x-request-id"] == ["mine"]
    assert answer.headers["content-type"] == ["text/plain"]
    total, *own = answer.headers["server-timing"]
    assert float(total.removeprefix("total;dur=")) >= 0
    assert own == ["db;dur=2.5", "cache;dur=1"]
    (trace,) = answer.headers["traceresponse"]
    version, trace_id, span_id, flags = trace.split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "01")
    assert (seen.request["trace_id"], seen.request["span_id"]) == (TRACE, span_id)
    assert seen.request["request_id"] == "mine"
    assert seen.request["timings"] == {"db": 2.5, "cache": 1.0}


async def test_messages_that_an_app_keeps_are_left_as_they_are() -> None:
    async with observing(hello) as seen:
        first, second = [await call(seen.app, http_scope()) for _ in range(2)]

    assert HEAD["headers"] == []
    assert len(second.headers["x-request-id"]) == 1
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_the_state_of_the_lifespan_is_kept_beside_the_request_id() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["state"]["pool"] == "open"
        assert scope["state"]["request_id"]
        await hello(scope, receive, send)

    async with observing(app) as seen:
        answer = await call(seen.app, {**http_scope(), "state": {"pool": "open"}})

    assert answer.status == 200
