"""The service in this process over the fakes, and plain ASGI calls."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from middleware.asgi import ASGIApp, Message, Scope
from service.app import create_app
from service.edge.access import RateLimiter
from service.products.domain import Product, ProductId
from tests.fakes import FakeCatalog, FakeWorld, fake_settings, open_fake_adapters

PRODUCT = "/v1/product/7/enriched"
UNKNOWN = "/v1/product/404/enriched"


class BrokenCatalog(FakeCatalog):
    """A catalogue that fails in a way that nobody foresaw."""

    def __init__(self, error: Exception) -> None:
        super().__init__({})
        self.error = error

    async def product(self, product_id: ProductId) -> Product | None:
        """Nothing, ever."""
        raise self.error


def app_of(
    world: FakeWorld | None = None, rate_limiter: RateLimiter | None = None, **overrides: Any
) -> FastAPI:
    """The service over `world`, with the settings in `overrides` changed."""
    adapters = open_fake_adapters(world or FakeWorld(), rate_limiter=rate_limiter)
    return create_app(fake_settings(**overrides), adapters)


@contextmanager
def client_of(app: ASGIApp) -> Iterator[TestClient]:
    """A client of the running app, which gets answers where the server would log an error."""
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@dataclass
class Answer:
    """What an ASGI application sent."""

    messages: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        """Take a message."""
        self.messages.append(message)

    @property
    def status(self) -> int:
        """The status of the response, which has to have begun."""
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        """The headers; a name that occurs twice has both values."""
        gathered: dict[str, list[str]] = {}
        for name, value in self.messages[0]["headers"]:
            gathered.setdefault(name.decode(), []).append(value.decode())
        return {name: ", ".join(values) for name, values in gathered.items()}

    @property
    def body(self) -> bytes:
        """All of the body."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])


def http_scope(method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = ()) -> Scope:
    """As a server would make it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
        "state": {"request_id": "the-request"},
    }


async def call(app: ASGIApp, scope: Scope, *chunks: bytes) -> Answer:
    """One request whose body comes in `chunks`."""
    pieces = list(chunks)

    async def receive() -> Message:
        if not chunks:
            return {"type": "http.request", "body": b"", "more_body": False}
        if not pieces:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    answer = Answer()
    await app(scope, receive, answer.send)
    return answer
