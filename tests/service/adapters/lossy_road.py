"""A road to PostgreSQL on which answers get lost, or which takes long, when a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import unquote, urlsplit

_AT_MOST = 65536


class LossyRoad:
    """Leads to the Unix socket at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.loses_answers = False
        self.seconds_to_connect = 0.0
        self._writers: list[asyncio.StreamWriter] = []

    def break_off(self) -> None:
        """End all conversations under way."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one conversation."""
        await asyncio.sleep(self.seconds_to_connect)
        from_server, to_server = await asyncio.open_unix_connection(self.path)
        self._writers += [writer, to_server]
        async with asyncio.TaskGroup() as both_ways:
            both_ways.create_task(self._carry(reader, to_server))
            both_ways.create_task(self._carry(from_server, writer, answers=True))

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        with suppress(OSError):
            while said := await reader.read(_AT_MOST):
                if not (answers and self.loses_answers):
                    writer.write(said)
        writer.transport.abort()


@asynccontextmanager
async def lossy_road(url: str) -> AsyncIterator[tuple[LossyRoad, str]]:
    """The road to the database at `url`, and the address of its beginning."""
    parts = urlsplit(url)
    folder, _, number = parts.netloc.removeprefix("postgres@").rpartition(":")
    road = LossyRoad(f"{unquote(folder)}/.s.PGSQL.{number}")
    async with await asyncio.start_server(road.lead, "127.0.0.1", 0) as listener:
        _, port = listener.sockets[0].getsockname()
        yield road, f"postgresql://postgres@127.0.0.1:{port}{parts.path}"
        road.break_off()
