"""The port as strangers find it, and the end of a process as its clients see it."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from service.http_protocol import HEAD_SECONDS, MAX_HEAD_BYTES
from tests.integration.conftest import World
from tests.integration.customers import Customers
from tests.integration.running import RunningService, eventually, running_service
from tests.integration.wire import Answer, connected, request

pytestmark = [pytest.mark.xdist_group("server"), pytest.mark.covers_processes]

PRODUCT = "/product/1/enriched"
HEALTH = request("/health")


async def exchange(port: int, *pieces: bytes) -> tuple[Answer | None, bool]:
    """The answer to `pieces`, and whether the connection ended after it."""
    async with connected(port) as wire:
        for piece in pieces:
            try:
                await wire.send(piece)
            except ConnectionError:  # it has had enough
                break
        answer = await wire.answer()
        return answer, await wire.is_closed()


async def refusal(port: int, *pieces: bytes) -> Answer | None:
    """The answer to what is refused before it is read: TCP may drop it with a reset."""
    for _ in range(10):
        try:
            answer, closed = await exchange(port, *pieces)
        except (ConnectionResetError, asyncio.IncompleteReadError):
            continue
        assert closed
        return answer
    return None


async def test_a_huge_header_in_one_piece_is_a_431(service: RunningService) -> None:
    huge = request("/health", "X-Huge: " + "x" * (MAX_HEAD_BYTES + 1))

    _assert_too_large(await refusal(service.port, huge))


async def test_many_headers_that_are_huge_together_are_a_431(service: RunningService) -> None:
    many = request("/health", *(f"X-{number}: {'x' * 100}" for number in range(1000)))

    _assert_too_large(await refusal(service.port, many))


async def test_a_huge_request_line_is_refused(service: RunningService) -> None:
    huge = request("/" + "x" * (2 * MAX_HEAD_BYTES))

    _assert_too_large(await refusal(service.port, huge))


async def test_an_endless_header_in_pieces_is_a_431_before_it_ends(service: RunningService) -> None:
    piece = b"x" * 4096
    beginning = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Endless: "

    _assert_too_large(await refusal(service.port, beginning, *[piece] * 16))


async def test_endless_headers_after_a_good_request_are_a_431(service: RunningService) -> None:
    async with connected(service.port) as wire:
        assert (await wire.ask("/health")).status == 200
        await wire.send(b"GET /health HTTP/1.1\r\n" + b"X-A: b\r\n" * 8_200)

        _assert_too_large(await wire.answer())
        assert await wire.is_closed()


async def test_large_headers_below_the_limit_are_fine(service: RunningService) -> None:
    async with connected(service.port) as wire:
        answer = await wire.ask("/health", "X-Large: " + "x" * (MAX_HEAD_BYTES // 2))

    assert answer.status == 200


async def test_half_a_request_and_then_silence_is_given_up(service: RunningService) -> None:
    half = b"GET /health HTTP/1.1\r\nHost: 127."
    async with (
        connected(service.port) as silent,
        connected(service.port) as first,
        connected(service.port) as second,
    ):
        assert (await second.ask("/health")).status == 200
        started = time.monotonic()
        await first.send(half)
        await second.send(half)

        answers = [await first.answer(), await second.answer()]
        closed = [await wire.is_closed() for wire in (silent, first, second)]

    assert time.monotonic() - started > HEAD_SECONDS / 2
    for answer in answers:
        assert answer is not None
        assert answer.status == 408
        assert answer.closes
        answer.problem()
    assert closed == [True, True, True]


GARBAGE = {
    "nothing like a request": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/2 outright": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space before the colon": b"GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
    "a bad length": b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: ten\r\n\r\n",
    "a negative length": b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": (
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a bad chunk": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a null in a header's name": b"GET /health HTTP/1.1\r\nA\x00b: c\r\n\r\n",
    "a null in a header's value": b"GET /health HTTP/1.1\r\nA: b\x00c\r\n\r\n",
    "a null in the path": b"GET /he\x00lth HTTP/1.1\r\nHost: a\r\n\r\n",
    "an authority for GET": b"GET example.com:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tunnel": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("bytes_sent", GARBAGE.values(), ids=list(GARBAGE))
async def test_what_is_no_http_is_a_400(service: RunningService, bytes_sent: bytes) -> None:
    async with connected(service.port) as wire:
        await wire.send(bytes_sent)
        answer = await wire.answer()

    assert answer is not None
    assert answer.status == 400
    assert answer.closes
    answer.problem()


async def test_a_refusal_by_the_protocol_carries_the_headers_of_every_answer(
    service: RunningService,
) -> None:
    answer, _ = await exchange(service.port, b"nonsense\r\n\r\n")

    assert answer is not None
    expected = {"x-request-id", "traceresponse", "server-timing", "x-content-type-options"}
    assert expected - set(answer.headers) == set()
    assert "server" not in answer.headers


async def test_a_request_is_answered_though_garbage_follows_it(service: RunningService) -> None:
    async with connected(service.port) as wire:
        await wire.send(HEALTH + b"\x00garbage\r\n\r\n")
        first, second = await wire.answer(), await wire.answer()

    assert first is not None
    assert first.status == 200
    assert second is None or second.status == 400


async def test_pipelined_requests_are_answered_in_order(service: RunningService) -> None:
    paths = ["/health", "/nothing", PRODUCT, "/product/x/enriched", "/health"] * 4
    async with connected(service.port) as wire:
        await wire.send(b"".join(request(path) for path in paths))
        answers = [await wire.answer() for _ in paths]

    assert [answer and answer.status for answer in answers] == [200, 404, 200, 422, 200] * 4


async def test_pipelined_requests_may_come_byte_by_byte(service: RunningService) -> None:
    sent = request("/health") + request("/nothing")
    async with connected(service.port) as wire:
        for number in range(len(sent)):
            await wire.send(sent[number : number + 1])
        answers = [await wire.answer() for _ in range(2)]

    assert [answer and answer.status for answer in answers] == [200, 404]


async def test_a_connection_serves_many_requests(service: RunningService) -> None:
    async with connected(service.port) as wire:
        answers = [await wire.ask("/health") for _ in range(100)]

    assert {answer.status for answer in answers} == {200}
    assert not any(answer.closes for answer in answers)


async def test_head_and_errors_leave_the_connection_usable(service: RunningService) -> None:
    async with connected(service.port) as wire:
        statuses = [
            (await wire.ask("/health", method="HEAD")).status,
            (await wire.ask("/health", method="DELETE")).status,
            (await wire.ask("/health", method="OPTIONS")).status,
            (await wire.ask("/nothing", method="HEAD")).status,
            (await wire.ask("/health")).status,
        ]

    assert statuses == [200, 405, 204, 404, 200]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ],
)
async def test_who_wants_one_answer_gets_one(service: RunningService, sent: bytes) -> None:
    answer, closed = await exchange(service.port, sent)

    assert answer is not None
    assert answer.status == 200
    assert answer.closes
    assert closed


ODD_URLS = {
    "http://example.com/health": 200,
    "http://example.com:99/health?a=b": 200,
    "//example.com/health": 404,
    "/health?": 200,
    "/health?a=%00&b=%ff": 200,
    "/health#fragment": 200,
    "/%68ealth": 200,
    "/health%00": 404,
    "/product/%31/enriched": 200,
    "/product/1%2Fenriched": None,
    "/product/%00/enriched": 422,
    "/product/%F0%9F%92%A5/enriched": 422,
    "/product/%D9%A1/enriched": None,
    "/../../etc/passwd": 404,
    "/docs-assets/../../etc/passwd": 404,
    "/docs-assets/%2e%2e/%2e%2e/__init__.py": 404,
    "/docs-assets//etc/passwd": 404,
    "/docs-assets/%00": 404,
    "/docs-assets/" + "a" * 5000: 404,
    "/" + "a/" * 5000: 404,
    "/;/./.": 404,
    "*": None,
}


@pytest.mark.parametrize(("url", "status"), ODD_URLS.items(), ids=lambda value: str(value)[:40])
async def test_odd_urls_get_ordinary_answers(
    service: RunningService, url: str, status: int | None
) -> None:
    async with connected(service.port) as wire:
        answer = await wire.ask(url)

    if status is None:
        assert answer.status in (200, 400, 404, 422)
    else:
        assert answer.status == status
    if answer.status >= 400:
        answer.problem()
    assert b"root:" not in answer.body


@pytest.mark.parametrize("host", ["[", "a b", "\xff", "evil.example/x?", "", "a@b:c"])
async def test_an_odd_host_does_no_harm_where_a_path_is_corrected(
    service: RunningService, host: str
) -> None:
    async with connected(service.port) as wire:
        await wire.send(f"GET /health/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        answer = await wire.answer()

    assert answer is not None
    assert answer.status in (307, 400, 404)


async def test_a_body_declared_too_large_is_refused_before_it_is_sent(
    service: RunningService,
) -> None:
    async with connected(service.port) as wire:
        answer = await wire.ask("/health", f"Content-Length: {10**10}", method="POST")

        assert await wire.is_closed()
    assert answer.status == 413
    answer.problem()


async def test_a_request_to_change_the_protocol_is_answered_in_this_one(
    service: RunningService,
) -> None:
    async with connected(service.port) as wire:
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        answer = await wire.ask("/health", *upgrade)

    assert answer.status == 200


async def test_what_operators_see_is_not_on_the_api_port(service: RunningService) -> None:
    async with connected(service.port) as wire:
        statuses = [(await wire.ask(path)).status for path in ("/metrics", "/livez", "/readyz")]

    assert statuses == [404, 404, 404]


async def test_nothing_of_a_start_is_a_pause_for_the_garbage_collector(
    service: RunningService,
) -> None:
    stalls = json.loads(service.ops("/stalls.json")[1])["stalls"]

    assert "gc_pause" not in {stall["cause"] for stall in stalls}


async def test_the_log_is_json_line_by_line_after_all_this(service: RunningService) -> None:
    for line in service.log().splitlines():
        assert json.loads(line)["event"]
    assert "Traceback" not in service.log()


@asynccontextmanager
async def upstream_that_hangs() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """Its URL; set when a request has come; set when that request's connection has ended."""
    asked, left = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        left.set()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked, left


async def test_a_client_that_hangs_up_frees_its_upstream_calls(world: World) -> None:
    async with upstream_that_hangs() as (url, asked, left), asyncio.timeout(60):
        # So patient that nothing but the client's leaving can end the call.
        patience = {"REVIEWS__TIMEOUT_SECONDS": "3000", "REQUEST_BUDGET_SECONDS": "4000"}
        settings = {**world.settings, "REVIEWS__URL": url, **patience}
        with running_service(world.folder, **settings) as service:
            async with connected(service.port) as wire:
                await wire.send(request("/product/77/enriched"))
                await asked.wait()
                assert not left.is_set()

            await left.wait()

            assert "Traceback" not in service.log()


async def test_a_slow_request_is_finished_after_sigterm_and_readiness_is_gone_at_once(
    world: World,
) -> None:
    with running_service(world.folder, **world.settings) as service:
        world.reviews.behave(latency_ms=1500)
        world.inventory.behave(latency_ms=1000)
        async with connected(service.port) as wire:
            await wire.send(request("/product/78/enriched"))
            await _until_asked(world, "78")

            service.process.send_signal(signal.SIGTERM)

            await eventually(_is_stopping(service), "it says that it is stopping")
            answer = await wire.answer()
            assert await wire.is_closed()
        status = await asyncio.to_thread(service.process.wait, 30)

    assert answer is not None
    assert (answer.status, answer.closes) == (200, True)
    assert b'"status":"live"' in answer.body
    assert b"unavailable" not in answer.body
    assert status == 0
    assert '"service_stopped"' in service.log()
    assert "Traceback" not in service.log()


@pytest.mark.no_cover
async def test_a_grace_of_less_than_a_second_is_kept(world: World) -> None:
    grace = {"SHUTDOWN_GRACE_SECONDS": "0.95"}
    with running_service(world.folder, **world.settings, **grace) as service:
        world.reviews.behave(latency_ms=1000)
        async with connected(service.port) as wire:
            await wire.send(request("/product/79/enriched"))
            await _until_asked(world, "79")

            service.process.send_signal(signal.SIGTERM)

            answer = await wire.answer()

    assert answer is not None
    assert answer.status == 200


async def test_a_request_that_outlasts_the_grace_is_told_so_in_a_problem(world: World) -> None:
    grace = {"SHUTDOWN_GRACE_SECONDS": "1"}
    with running_service(world.folder, **world.settings, **grace) as service:
        world.reviews.behave(mode="hang")
        async with connected(service.port) as wire:
            await wire.send(request("/product/82/enriched"))
            await _until_asked(world, "82")

            service.process.send_signal(signal.SIGTERM)

            answer = await wire.answer()
        status = await asyncio.to_thread(service.process.wait, 30)

    assert answer is not None
    assert answer.status == 503
    answer.problem()
    assert status == 0


async def test_a_second_sigterm_ends_it_at_once(world: World) -> None:
    with running_service(world.folder, **world.settings) as service:
        world.reviews.behave(mode="hang")
        async with connected(service.port) as wire:
            await wire.send(request("/product/80/enriched"))
            await _until_asked(world, "80")
            service.process.send_signal(signal.SIGTERM)
            await eventually(_is_stopping(service), "it says that it is stopping")

            service.process.send_signal(signal.SIGTERM)

            status = await asyncio.to_thread(service.process.wait, 30)
            assert await wire.is_closed()

    assert status == -signal.SIGTERM


async def test_what_was_being_renewed_is_kept_when_it_stops(world: World) -> None:
    lifetimes = {"CACHE__TTL_SECONDS": "3"}
    with (
        running_service(world.folder, **world.settings, **lifetimes) as service,
        Redis.from_url(world.valkey.url) as valkey,
    ):
        async with connected(service.port) as wire:
            assert (await wire.ask("/product/81/enriched")).status == 200
            (key,) = valkey.keys("*product*:81")
            before = valkey.get(key)
            world.reviews.behave(latency_ms=800)

            while world.reviews.requests()["by_product"].get("81", 0) < 2:
                assert (await wire.ask("/product/81/enriched")).status == 200
                await asyncio.sleep(0.02)
        status = await asyncio.to_thread(service.stop)

        assert status == 0
        assert valkey.get(key) not in (None, before)


@pytest.mark.no_cover
async def test_sigterm_under_load_loses_no_request(world: World) -> None:
    world.reviews.behave(latency_ms=20, jitter_ms=10)
    with running_service(world.folder, **world.settings) as service:
        customers = Customers(service.port)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(customers.regular(number))
            for number in range(16, 20):
                group.create_task(customers.newcomer(number))
            await customers.have_been_answered(500)

            service.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(service.process.wait, 30)

    assert customers.lost == []
    assert customers.answered >= 500
    assert status == 0
    assert "Traceback" not in service.log()


def _assert_too_large(answer: Answer | None) -> None:
    assert answer is not None
    assert answer.status == 431
    assert answer.closes
    answer.problem()


async def _until_asked(world: World, product: str) -> None:
    async def asked() -> bool:
        return product in world.reviews.requests()["by_product"]

    await eventually(asked, "the request has reached the reviews API")


def _is_stopping(service: RunningService) -> Callable[[], Awaitable[bool]]:
    async def stopping() -> bool:
        status, body = await asyncio.to_thread(service.readiness)
        return (status, body["phase"]) == (503, "stopping")

    return stopping
