"""TCP servers that answer with the very bytes a test gives them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Respond = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]]


@dataclass
class RawServer:
    """Where it listens, and what has come in so far."""

    url: str = ""
    accepted: int = 0
    open: int = 0
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def raw_server(respond: Respond) -> AsyncIterator[RawServer]:
    """Serve on a free port; `respond` is called for each request, until it closes the writer.

    It is cancelled when the client leaves.
    """
    server, conversations = RawServer(), set[asyncio.Task[None]]()

    def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.create_task(_converse(server, respond, reader, writer)))

    listener = await asyncio.start_server(converse, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listener.close()
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


def answer(response: bytes, *, keep_open: bool = False) -> Respond:
    """Answer every request with `response`, then close the connection or keep it."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        await writer.drain()
        if not keep_open:
            writer.close()

    return respond


async def say_nothing(_: asyncio.StreamWriter) -> None:
    """Accept, listen, and never answer."""
    await asyncio.Event().wait()


def json_answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole HTTP response with a JSON body."""
    head = (
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join((*head, "", "")).encode() + body


async def _converse(
    server: RawServer,
    respond: Respond,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    server.accepted += 1
    server.open += 1
    try:
        while not writer.is_closing():
            server.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await _unless_left(respond(writer), reader)
    except (asyncio.IncompleteReadError, OSError):
        pass  # the client has left
    finally:
        server.open -= 1
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _unless_left(work: Coroutine[Any, Any, None], reader: asyncio.StreamReader) -> None:
    async def watch() -> None:
        while not reader.at_eof():  # noqa: ASYNC110  # a read would take the next request's
            await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(work), asyncio.create_task(watch())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
