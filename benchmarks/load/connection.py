"""One keep-alive connection: sends a request, checks the answer, says when it is there."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import httptools

FIELDS = {"id", "sku", "name", "price", "attributes", "reviews", "inventory", "processing_time_ms"}
# Every answer has to carry both upstreams' parts: one that does without is quick for a bad reason.
UPSTREAM_MARKS = (b'"author"', b'"in_stock"')


@dataclass(slots=True)
class Request:
    """One user's question; `appointed` in seconds from the run's start."""

    product_id: int
    appointed: float
    retried: bool = False


class Connection(asyncio.Protocol):
    """Reports each answer (None: good, else the kind of error) and its own end."""

    def __init__(
        self,
        answered: Callable[["Connection", Request, str | None], None],
        lost: Callable[["Connection", Request | None], None],
    ) -> None:
        self._answered, self._lost = answered, lost
        self._transport: asyncio.Transport
        self._parser: Any = None
        self._body = bytearray()
        self.request: Request | None = None
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: Request) -> None:
        """Ask for one product; the connection has to be idle."""
        self.request = request
        self._parser = httptools.HttpResponseParser(self)
        self._body.clear()
        self._transport.write(
            b"GET /product/%d/enriched HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Accept: application/json\r\nUser-Agent: stallscope-benchmark\r\n\r\n"
            % request.product_id
        )

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """httptools hands over a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """httptools has seen the whole answer."""
        request, self.request = self.request, None
        if request is not None:
            error = self._error()
            self.answers += 1
            self._answered(self, request, error)

    def _error(self) -> str | None:
        status = self._parser.get_status_code()
        if status != 200:
            return f"status {status}"
        if any(mark not in self._body for mark in UPSTREAM_MARKS):
            return "incomplete answer"
        if self.answers == 0 and not json.loads(self._body).keys() >= FIELDS:
            return "missing fields"
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        request, self.request = self.request, None
        self._lost(self, request)

    def close(self) -> None:
        self._transport.abort()
