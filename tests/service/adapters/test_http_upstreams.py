"""Whatever an upstream does, a caller gets its document or learns why not, in time."""

import asyncio
import gzip
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from pydantic import TypeAdapter

from service.adapters.circuit_breaker import CircuitBreaker, CircuitState
from service.adapters.http_upstreams import HttpReviews, HttpStock, HttpUpstream, open_session
from service.demo.answers import reviews_of, stock_of
from service.demo.ports import free_port
from service.products.domain import ProductId, Reason, Review, Warehouse
from service.products.ports import SourceError
from service.settings import UpstreamSettings
from tests.conftest import RunningStandIn
from tests.service.adapters.conftest import Clock, eventually
from tests.service.adapters.raw_servers import answer, json_answer, raw_server, say_nothing

EIGHT = ProductId(8)
NOBODYS = ProductId(10_001)
AT_ONCE = {"latency_ms": 0, "jitter_ms": 0}
MEGABYTE = 1024 * 1024
ANYTHING: TypeAdapter[Any] = TypeAdapter(object)
REVIEW = {
    "id": 1,
    "author": "Bea",
    "rating": 5,
    "title": "Good",
    "text": "Very.",
    "created_at": "2025-06-01T12:00:00Z",
}

Connect = Callable[..., HttpUpstream]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    settings = UpstreamSettings(url="http://127.0.0.1", connect_timeout_seconds=5)
    async with open_session(settings) as session:
        yield session


@pytest.fixture
def connect(session: aiohttp.ClientSession) -> Connect:
    """An upstream at a URL, patient and with a circuit of its own unless told otherwise."""

    def connected(
        url: str, timeout_seconds: float = 20.0, breaker: CircuitBreaker | None = None
    ) -> HttpUpstream:
        settings = UpstreamSettings(url=url, timeout_seconds=timeout_seconds)
        return HttpUpstream(session, settings, breaker or CircuitBreaker("test"))

    return connected


async def reason_of(upstream: HttpUpstream) -> Reason:
    with pytest.raises(SourceError) as caught:
        await HttpReviews(upstream).reviews(EIGHT)
    return caught.value.reason


async def stock_reason_of(upstream: HttpUpstream) -> Reason:
    with pytest.raises(SourceError) as caught:
        await HttpStock(upstream).inventory(EIGHT)
    return caught.value.reason


def reviews_with(**changes: object) -> bytes:
    return json_answer(json.dumps([{**REVIEW, **changes}]).encode())


@contextmanager
def memory_kept_below(limit_bytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < limit_bytes


@dataclass(frozen=True)
class Fault:
    """A stand-in's mode, and what it must lead to."""

    mode: str
    reason: Reason
    requests: int
    timeout_seconds: float = 20.0


FAULTS = [
    Fault("error", Reason.BAD_RESPONSE, 2),
    Fault("reset", Reason.UNREACHABLE, 2),
    Fault("hang", Reason.TIMEOUT, 1, timeout_seconds=0.3),
    Fault("drip", Reason.TIMEOUT, 1, timeout_seconds=0.5),
    Fault("garbage", Reason.BAD_RESPONSE, 1),
    Fault("wrong_type", Reason.BAD_RESPONSE, 1),
    Fault("endless", Reason.BAD_RESPONSE, 1),
    Fault("too_many_requests", Reason.BAD_RESPONSE, 1),
]


@pytest.mark.parametrize("source", ["reviews", "inventory"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.mode)
async def test_every_misbehaviour_has_its_reason_and_is_retried_only_where_that_may_help(
    request: pytest.FixtureRequest, connect: Connect, source: str, fault: Fault
) -> None:
    stand_in: RunningStandIn = request.getfixturevalue(source)
    stand_in.behave(mode=fault.mode, **AT_ONCE)
    upstream = connect(stand_in.url, fault.timeout_seconds)

    reason = await (reason_of(upstream) if source == "reviews" else stock_reason_of(upstream))

    assert reason is fault.reason
    assert stand_in.requests()["count"] == fault.requests


async def test_a_second_attempt_that_succeeds_is_as_good_as_a_first(connect: Connect) -> None:
    answers = iter([json_answer(b"{}", status="503 Busy"), reviews_with(title="Second")])

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))

    async with raw_server(respond) as server:
        (review,) = await HttpReviews(connect(server.url)).reviews(EIGHT)

    assert review.title == "Second"


async def test_both_attempts_share_one_time_limit(connect: Connect) -> None:
    async with raw_server(_error_then_silence()) as server:
        reason = await reason_of(connect(server.url, timeout_seconds=0.5))

        assert reason is Reason.TIMEOUT
        assert len(server.requests) == 2


def _error_then_silence() -> Callable[[asyncio.StreamWriter], Any]:
    asked = []

    async def respond(writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        if len(asked) > 1:
            await say_nothing(writer)
        writer.write(json_answer(b"{}", status="500 Broken"))

    return respond


async def test_a_refused_connection_is_unreachable(connect: Connect) -> None:
    assert await reason_of(connect(f"http://127.0.0.1:{free_port()}")) is Reason.UNREACHABLE


async def test_an_unknown_host_is_unreachable(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert await reason_of(connect("http://reviews.invalid")) is Reason.UNREACHABLE


async def test_a_host_that_does_not_take_the_connection_is_a_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        place = full.getsockname()
        settings = UpstreamSettings(
            url=f"http://127.0.0.1:{place[1]}", timeout_seconds=20, connect_timeout_seconds=0.2
        )
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(place)

        async with open_session(settings) as session:
            reason = await reason_of(HttpUpstream(session, settings, CircuitBreaker("full")))

        for each in waiting:
            each.close()
    assert reason is Reason.TIMEOUT


async def test_silence_after_accepting_is_a_timeout(connect: Connect) -> None:
    async with raw_server(say_nothing) as server:
        assert await reason_of(connect(server.url, timeout_seconds=0.3)) is Reason.TIMEOUT


async def test_hanging_up_without_an_answer_is_unreachable(connect: Connect) -> None:
    async with raw_server(answer(b"")) as server:
        assert await reason_of(connect(server.url)) is Reason.UNREACHABLE

        assert len(server.requests) == 2


BAD_ANSWERS = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "endless header": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * MEGABYTE + b"\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "forbidden": json_answer(b"[]", status="403 Forbidden"),
    "partial": json_answer(b"[]", status="206 Partial Content"),
    "text": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n[]",
    "no type": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    "empty": json_answer(b""),
    "truncated": json_answer(b"[]").replace(b"Length: 2", b"Length: 200"),
    "truncated chunks": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
    "no gzip": json_answer(b"[]", "Content-Encoding: gzip"),
    "lone surrogate": json_answer(
        json.dumps([REVIEW]).replace("Good", r"\ud800").encode(),
    ),
    "not UTF-8": json_answer(json.dumps([REVIEW]).encode().replace(b"Good", b"\xe9t\xe9")),
    "NaN": json_answer(json.dumps([{**REVIEW, "rating": float("nan")}]).encode()),
    "deep": json_answer(b"[" * 200_000),
    "huge number": json_answer(json.dumps([REVIEW]).replace(": 1", ": " + "9" * 5000).encode()),
    "rating 0": reviews_with(rating=0),
    "rating 6": reviews_with(rating=6),
    "no date": reviews_with(created_at="yesterday"),
    "date without a zone": reviews_with(created_at="2025-06-01T12:00:00"),
    "null": reviews_with(author=None),
    "missing field": json_answer(b'[{"id": 1}]'),
    "object for list": json_answer(json.dumps(REVIEW).encode()),
}


@pytest.mark.parametrize("response", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_an_answer_that_is_not_the_document_is_a_bad_response_and_not_asked_for_again(
    connect: Connect, response: bytes
) -> None:
    async with raw_server(answer(response)) as server:
        assert await reason_of(connect(server.url)) is Reason.BAD_RESPONSE

        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"in_stock": true, "quantity": -1, "warehouses": [], "updated_at": "2025-06-01T12:00Z"}',
        b'{"in_stock": true, "quantity": 1, "warehouses": {}, "updated_at": "2025-06-01T12:00Z"}',
        b"[]",
    ],
)
async def test_stock_that_cannot_be_is_a_bad_response(connect: Connect, body: bytes) -> None:
    async with raw_server(answer(json_answer(body))) as server:
        assert await stock_reason_of(connect(server.url)) is Reason.BAD_RESPONSE


async def test_a_few_bytes_that_inflate_to_200_megabytes_are_refused_in_little_memory(
    connect: Connect,
) -> None:
    bomb = json_answer(gzip.compress(b" " * (200 * MEGABYTE), 9), "Content-Encoding: gzip")

    async with raw_server(answer(bomb)) as server:
        with memory_kept_below(20 * MEGABYTE):
            reason = await reason_of(connect(server.url))

    assert reason is Reason.BAD_RESPONSE


@pytest.mark.parametrize(
    "length", ["Content-Length: 104857600", "Transfer-Encoding: chunked"], ids=["length", "chunks"]
)
async def test_a_body_of_100_megabytes_is_refused_in_little_memory(
    connect: Connect, length: str
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    part = b" " * MEGABYTE if "Length" in length else b"100000\r\n" + b" " * MEGABYTE + b"\r\n"
    sent = []

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode())
        for _ in range(100):
            writer.write(part)
            await writer.drain()
            sent.append(1)

    async with raw_server(respond) as server:
        with memory_kept_below(20 * MEGABYTE):
            reason = await reason_of(connect(server.url))

    assert reason is Reason.BAD_RESPONSE
    assert len(sent) < 50


async def test_five_failures_open_the_circuit_and_then_nobody_calls(
    connect: Connect, reviews: RunningStandIn
) -> None:
    reviews.behave(mode="garbage", **AT_ONCE)
    upstream = connect(reviews.url, breaker=CircuitBreaker("reviews", clock=Clock()))

    reasons = [await reason_of(upstream) for _ in range(8)]

    assert reasons == [Reason.BAD_RESPONSE] * 5 + [Reason.CIRCUIT_OPEN] * 3
    assert reviews.requests()["count"] == 5


async def test_timeouts_open_the_circuit_too(connect: Connect, reviews: RunningStandIn) -> None:
    reviews.behave(mode="hang")
    breaker = CircuitBreaker("reviews", clock=Clock())
    upstream = connect(reviews.url, timeout_seconds=0.3, breaker=breaker)

    reasons = await asyncio.gather(*(reason_of(upstream) for _ in range(5)))

    assert reasons == [Reason.TIMEOUT] * 5
    assert breaker.state is CircuitState.OPEN


async def test_an_open_circuit_closes_when_the_upstream_is_well_again(
    connect: Connect, reviews: RunningStandIn
) -> None:
    clock = Clock()
    upstream = connect(reviews.url, breaker=CircuitBreaker("reviews", clock=clock))
    reviews.behave(mode="garbage", **AT_ONCE)
    for _ in range(5):
        await reason_of(upstream)
    reviews.behave(mode="ok")

    clock.advance(1.0)

    assert await HttpReviews(upstream).reviews(EIGHT)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 7"], 7.0),
        (["Retry-After: 0.5"], 0.5),
        (["Retry-After: 86400"], 10.0),
        (["Retry-After: inf"], 10.0),
        (["Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"], 1.0),
        ([], 1.0),
    ],
)
async def test_too_many_requests_opens_the_circuit_for_as_long_as_it_says(
    connect: Connect, headers: list[str], seconds: float
) -> None:
    clock = Clock()
    breaker = CircuitBreaker("reviews", clock=clock)
    busy = json_answer(b"{}", *headers, status="429 Too Many Requests")

    async with raw_server(answer(busy)) as server:
        reasons = [await reason_of(connect(server.url, breaker=breaker))]
        clock.advance(seconds - 0.01)
        reasons.append(await reason_of(connect(server.url, breaker=breaker)))
        clock.advance(0.02)
        reasons.append(await reason_of(connect(server.url, breaker=breaker)))

    assert reasons == [Reason.BAD_RESPONSE, Reason.CIRCUIT_OPEN, Reason.BAD_RESPONSE]


@pytest.mark.parametrize("value", ["-5", "nan", "0"])
async def test_a_retry_after_that_says_now_means_now(connect: Connect, value: str) -> None:
    busy = json_answer(b"{}", f"Retry-After: {value}", status="429 Too Many Requests")
    breaker = CircuitBreaker("reviews", clock=Clock())

    async with raw_server(answer(busy)) as server:
        reasons = [await reason_of(connect(server.url, breaker=breaker)) for _ in range(2)]

    assert reasons == [Reason.BAD_RESPONSE, Reason.BAD_RESPONSE]


@pytest.mark.parametrize("respond", [say_nothing, answer(reviews_with()[:-1], keep_open=True)])
async def test_a_cancelled_call_leaves_no_connection_and_no_task(
    connect: Connect, respond: Any
) -> None:
    async with raw_server(respond) as server:
        before = asyncio.all_tasks()
        call = asyncio.create_task(HttpReviews(connect(server.url)).reviews(EIGHT))
        await eventually(lambda: server.requests)

        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        await eventually(lambda: server.open == 0)
        await eventually(lambda: asyncio.all_tasks() <= before)


async def test_cancelled_calls_do_not_open_the_circuit(connect: Connect) -> None:
    breaker = CircuitBreaker("reviews", failures_to_open=1)
    async with raw_server(say_nothing) as server:
        upstream = connect(server.url, breaker=breaker)
        calls = [asyncio.create_task(HttpReviews(upstream).reviews(EIGHT)) for _ in range(10)]
        await eventually(lambda: len(server.requests) == 10)

        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    assert breaker.state is CircuitState.CLOSED


async def test_twenty_calls_share_one_connection(connect: Connect) -> None:
    async with raw_server(answer(reviews_with(), keep_open=True)) as server:
        reviews = HttpReviews(connect(server.url))

        for _ in range(20):
            await reviews.reviews(EIGHT)

        assert len(server.requests) == 20
        assert server.accepted == 1


async def test_a_connection_that_the_upstream_closed_meanwhile_is_no_failure(
    connect: Connect,
) -> None:
    async with raw_server(answer(reviews_with())) as server:
        reviews = HttpReviews(connect(server.url))

        found = [await reviews.reviews(EIGHT) for _ in range(10)]

    assert all(found)


async def test_a_product_that_the_upstreams_do_not_know_is_empty(
    connect: Connect, reviews: RunningStandIn, inventory: RunningStandIn
) -> None:
    breaker = CircuitBreaker("upstream", failures_to_open=1)

    opinions = await HttpReviews(connect(reviews.url, breaker=breaker)).reviews(NOBODYS)
    stock = await HttpStock(connect(inventory.url, breaker=breaker)).inventory(NOBODYS)

    assert opinions == ()
    assert stock is None
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("suffix", ["", "/"])
async def test_reviews_arrive_as_they_were_sent(
    connect: Connect, reviews: RunningStandIn, suffix: str
) -> None:
    found = await HttpReviews(connect(reviews.url + suffix)).reviews(EIGHT)

    sent = reviews_of(EIGHT)
    assert sent
    assert list(found) == [
        Review(**{**each, "created_at": datetime.fromisoformat(each["created_at"])})
        for each in sent
    ]


async def test_stock_arrives_as_it_was_sent(connect: Connect, inventory: RunningStandIn) -> None:
    found = await HttpStock(connect(inventory.url)).inventory(EIGHT)

    sent = stock_of(EIGHT)
    assert found is not None
    assert (found.in_stock, found.quantity) == (sent["in_stock"], sent["quantity"])
    assert found.warehouses == tuple(Warehouse(**each) for each in sent["warehouses"])
    assert found.updated_at == datetime.fromisoformat(sent["updated_at"])


async def test_a_base_url_with_a_path_keeps_it(connect: Connect) -> None:
    async with raw_server(answer(reviews_with())) as server:
        await HttpReviews(connect(f"{server.url}/api/v2/")).reviews(EIGHT)

        assert server.requests[0].startswith(b"GET /api/v2/products/8/reviews HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
async def test_a_content_type_may_name_its_charset(connect: Connect, content_type: str) -> None:
    response = json_answer(b"[]").replace(b"application/json", content_type.encode())

    async with raw_server(answer(response)) as server:
        assert await HttpReviews(connect(server.url)).reviews(EIGHT) == ()


async def test_a_compressed_document_is_read_and_fields_unknown_to_us_are_left_alone(
    connect: Connect,
) -> None:
    body = gzip.compress(json.dumps([{**REVIEW, "helpful_votes": 3}]).encode())

    async with raw_server(answer(json_answer(body, "Content-Encoding: gzip"))) as server:
        (review,) = await HttpReviews(connect(server.url)).reviews(EIGHT)

    assert review.author == "Bea"


async def test_any_shape_can_be_asked_for(connect: Connect) -> None:
    async with raw_server(answer(json_answer(b'{"a": [1]}'))) as server:
        assert await connect(server.url).get("anything", ANYTHING) == {"a": [1]}
