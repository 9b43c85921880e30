"""Every answer says whose it is, and what a browser may do with it."""

import re

import pytest

from middleware.asgi import Message, Receive, Scope, Send
from service.edge.response_headers import ResponseHeaders
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

TRACERESPONSE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")
SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


async def _nothing() -> Message:
    raise NotImplementedError


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


async def test_what_nobody_foresaw_is_answered_and_goes_on() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("secret")

    answer = Answer()
    app = ResponseHeaders(failing)
    with pytest.raises(KeyError):
        await app(http_scope(), _nothing, answer.send)

    assert answer.status == 500
    assert b"secret" not in answer.body
    assert b"the-request" in answer.body


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
