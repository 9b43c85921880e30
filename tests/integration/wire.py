"""HTTP/1.1 on bare sockets, read strictly: what a well-behaved client library would hide."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.contracts import Problem

SECONDS = 30.0  # no test waits for longer, unless it fails


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it is the connection's last."""
        return self.headers.get("connection", "").lower() == "close"

    def problem(self) -> dict[str, Any]:
        """The body as a problem, which it has to be."""
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.body)
        Problem.model_validate(problem)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        return problem


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, request: bytes) -> None:
        """Send these bytes, all of them."""
        self.writer.write(request)
        await self.writer.drain()

    async def answer(self, *, head: bool = False) -> Answer | None:
        """The next answer, None when the connection ends before one begins.

        Raises asyncio.IncompleteReadError when it ends in the middle of one.
        """
        async with asyncio.timeout(SECONDS):
            try:
                raw = await self.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
                return None
            return await self._with_body(raw, head=head)

    async def ask(self, path: str, *headers: str, method: str = "GET") -> Answer:
        """Send one request and read its answer."""
        await self.send(request(path, *headers, method=method))
        answer = await self.answer(head=method == "HEAD")
        assert answer is not None
        return answer

    async def is_closed(self) -> bool:
        """Whether the server ends the connection without another byte."""
        async with asyncio.timeout(SECONDS):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    async def _with_body(self, raw: bytes, *, head: bool) -> Answer:
        status_line, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        version, status, _ = f"{status_line} ".split(" ", 2)
        assert version == "HTTP/1.1", status_line
        pairs = [line.partition(": ") for line in lines]
        assert all(separator for _, separator, _ in pairs), lines
        headers = {name.lower(): value for name, _, value in pairs}
        empty = head or status in ("204", "304") or status.startswith("1")
        return Answer(int(status), headers, b"" if empty else await self._body(headers))

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return body


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    """A request without a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    """A connection to 127.0.0.1. Raises OSError when there is none to be had."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
