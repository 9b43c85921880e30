"""Every answer says whose it is, and what a browser may do with it."""

import re

import pytest

from service.edge.asgi import Receive, Scope, Send
from service.edge.response_headers import ResponseHeaders, own_headers, request_id_of
from tests.fakes import FakeWorld
from tests.service.serving import (
    PRODUCT,
    UNKNOWN,
    Answer,
    BrokenCatalog,
    app_of,
    call,
    client_of,
    http_scope,
)

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OUR_ID = re.compile(r"[0-9a-f]{32}")
TRACERESPONSE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")
SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


async def _empty(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _answer_to(*headers: tuple[bytes, bytes]) -> Answer:
    return await call(ResponseHeaders(_empty), http_scope(headers=headers))


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b" ",
        b"two words",
        b"a\nb",
        b"a\r\nset-cookie: stolen=1",
        b"a\x00b",
        b"a\tb",
        b"a\x7f",
        b"\xff\xfe",
        "früh".encode(),
        b"a" * 129,
        b"a" * 100_000,
        b"<script>",
        b'{"a": 1}',
        b"${jndi:ldap://127.0.0.1}",
        b"abc\n",
    ],
)
async def test_a_malformed_request_id_is_replaced_by_ours(malformed: bytes) -> None:
    answer = await _answer_to((b"x-request-id", malformed))

    assert OUR_ID.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize("theirs", ["a", "A-Z.0_9:x", "0197a4e2-c5d0-7f0b-8f6e", "a" * 128])
async def test_a_well_formed_request_id_is_kept(theirs: str) -> None:
    answer = await _answer_to((b"x-request-id", theirs.encode()))

    assert answer.headers["x-request-id"] == theirs


async def test_requests_without_an_id_get_one_each() -> None:
    ids = {(await _answer_to()).headers["x-request-id"] for _ in range(100)}

    assert len(ids) == 100


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "00",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID[1:]}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID}-{SPAN_ID}-01\n",
        f"0x-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'g' * 16}-01",
        f"00_{TRACE_ID}_{SPAN_ID}_01",
        "a" * 100_000,
    ],
)
async def test_a_malformed_traceparent_is_ignored(malformed: str) -> None:
    answer = await _answer_to((b"traceparent", malformed.encode()))

    assert TRACERESPONSE.fullmatch(answer.headers["traceresponse"])
    assert TRACE_ID not in answer.headers["traceresponse"]


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
async def test_a_valid_traceparent_is_continued_with_a_span_of_ours(flags: str) -> None:
    traceparent = f"00-{TRACE_ID}-{SPAN_ID}-{flags}"

    answer = await _answer_to((b"traceparent", traceparent.encode()))

    _, trace_id, span_id, _ = answer.headers["traceresponse"].split("-")
    assert TRACERESPONSE.fullmatch(answer.headers["traceresponse"])
    assert trace_id == TRACE_ID
    assert span_id != SPAN_ID


async def test_traces_that_begin_here_differ() -> None:
    traces = {(await _answer_to()).headers["traceresponse"] for _ in range(100)}

    assert len(traces) == 100


async def test_an_answer_keeps_a_content_policy_of_its_own() -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        policy = (b"content-security-policy", b"default-src 'self'")
        await send({"type": "http.response.start", "status": 200, "headers": [policy]})
        await send({"type": "http.response.body", "body": b""})

    answer = await call(ResponseHeaders(page), http_scope())

    assert answer.headers["content-security-policy"] == "default-src 'self'"


async def test_an_answer_without_headers_gets_them_too() -> None:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    answer = await call(ResponseHeaders(bare), http_scope())

    assert SECURITY.items() <= answer.headers.items()


async def test_layers_below_know_the_id_that_the_answer_has() -> None:
    known: list[str] = []

    async def curious(scope: Scope, receive: Receive, send: Send) -> None:
        known.append(request_id_of(scope))
        known.append(dict(own_headers(scope))[b"x-request-id"].decode())
        await _empty(scope, receive, send)

    answer = await call(ResponseHeaders(curious), http_scope())

    assert known == [answer.headers["x-request-id"]] * 2


async def test_what_is_not_http_passes_untouched() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    scope: Scope = {"type": "lifespan"}
    await call(ResponseHeaders(app), scope)

    assert seen == [{"type": "lifespan"}]


REQUESTS = [
    ("GET", PRODUCT, 200),
    ("GET", "/health", 200),
    ("GET", "/docs", 200),
    ("GET", "/docs-assets/favicon.png", 200),
    ("OPTIONS", "/health", 204),
    ("GET", "/health/", 307),
    ("GET", "/wp-admin.php", 404),
    ("GET", "/docs-assets/nothing", 404),
    ("GET", UNKNOWN, 404),
    ("POST", "/health", 405),
    ("GET", "/product/x/enriched", 422),
]


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_every_answer_carries_all_headers(method: str, path: str, status: int) -> None:
    with client_of(app_of()) as client:
        response = client.request(method, path)

    assert response.status_code == status
    _assert_headers(dict(response.headers))


def test_a_500_carries_all_headers() -> None:
    with client_of(app_of(FakeWorld(BrokenCatalog(RuntimeError())))) as client:
        response = client.get(PRODUCT, headers={"X-Request-ID": "mine"})

    assert response.status_code == 500
    assert response.headers["x-request-id"] == "mine"
    _assert_headers(dict(response.headers))


def test_a_503_carries_all_headers() -> None:
    world = FakeWorld()
    world.catalog.fail()
    with client_of(app_of(world)) as client:
        response = client.get(PRODUCT)

    assert response.status_code == 503
    _assert_headers(dict(response.headers))


def test_a_413_carries_all_headers() -> None:
    with client_of(app_of()) as client:
        response = client.post("/health", content=b"x" * (1024 * 1024 + 1))

    assert response.status_code == 413
    _assert_headers(dict(response.headers))


def _assert_headers(headers: dict[str, str]) -> None:
    assert SECURITY.items() <= headers.items()
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-request-id"]
    assert TRACERESPONSE.fullmatch(headers["traceresponse"])
    assert re.search(r"(^|, )total;dur=\d+\.\d+", headers["server-timing"])
    assert "server" not in headers
