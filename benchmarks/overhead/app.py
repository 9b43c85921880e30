"""The app that every variant observes, and what one request to it looks like."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel, Field

PATH = "/orders/42"
# FastAPI observes itself when it finds a tracer provider: here only what is measured observes.
SILENT: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}

Install = Callable[[FastAPI], None]


class Line(BaseModel):
    """One article of an order."""

    article: str
    quantity: int
    unit_price: float


class Order(BaseModel):
    """As large as answers of small services are: some 200 bytes."""

    id: int
    customer: str
    currency: str = "EUR"
    lines: list[Line]
    paid: bool = True


class Quote(BaseModel):
    """What one asks a price for."""

    articles: list[str] = Field(min_length=1, max_length=10)


def create_app(
    install: str, extra_routes: int = 0, *, as_it_comes: bool = False, **options: Any
) -> FastAPI:
    """The app with `install` ("module:function", "" for bare); the route asked for comes last.

    Three routes of its own and FastAPI's four are 7. `as_it_comes`: with FastAPI's own telemetry,
    which waits for a tracer provider.
    """
    app = FastAPI(**options) if as_it_comes else FastAPI(telemetry=SILENT, **options)
    for number in range(extra_routes):
        app.get(f"/catalogue/{number}/{{article}}")(_article)
    app.get("/health")(_health)
    app.post("/quotes")(_quote)
    app.get("/orders/{order_id}", response_model=Order)(_order)
    if install:
        module, _, function = install.partition(":")
        found: Install = getattr(import_module(module), function)
        found(app)
    return app


async def _article(article: str) -> dict[str, str]:
    return {"article": article}


async def _health() -> dict[str, str]:
    return {"status": "ok"}


async def _quote(quote: Quote) -> dict[str, float]:
    return {"price": 9.5 * len(quote.articles)}


async def _order(order_id: int) -> Order:
    lines = [Line(article="bolt", quantity=12, unit_price=0.4)] * 2
    return Order(id=order_id, customer="Ada", lines=lines)


def request_scope() -> dict[str, Any]:
    """As uvicorn makes it of wrk's request."""
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"wrk/4.2"),
        (b"accept", b"*/*"),
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
