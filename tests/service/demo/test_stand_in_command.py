"""Stand-ins end when they are told to, and say why they cannot start."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from service.demo.ports import free_port
from service.demo.stand_ins import serve_stand_in
from tests.conftest import RunningStandIn


async def test_shutting_down_does_not_wait_for_those_who_hang() -> None:
    async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as group:
        async with serve_stand_in("reviews", "127.0.0.1", 0) as url:
            await client.put(f"{url}/behaviour", json={"mode": "hang"})
            waiting = group.create_task(_fails(client, f"{url}/products/1/reviews"))
            await _until_asked(client, url)
            leaving_at = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - leaving_at < 5
        assert await waiting


def test_a_taken_port_is_said_in_one_line(reviews: RunningStandIn) -> None:
    port = reviews.url.rpartition(":")[2]

    ended = subprocess.run(_command(port), capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert "address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_ends_with_0_on_a_signal_even_while_requests_hang(number: int) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    with subprocess.Popen(_command(str(port))) as process:
        try:
            asyncio.run(_leave_one_hanging(url, lambda: process.send_signal(number)))
            assert process.wait(10) == 0
        finally:
            process.kill()


async def _leave_one_hanging(url: str, then: Callable[[], None]) -> None:
    async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as group:
        while not await _is_healthy(client, url):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        await client.put(f"{url}/behaviour", json={"mode": "hang"})
        group.create_task(_fails(client, f"{url}/products/1/reviews"))
        await _until_asked(client, url)
        then()


async def _until_asked(client: aiohttp.ClientSession, url: str) -> None:
    while (await _json(client, f"{url}/requests"))["count"] == 0:  # noqa: ASYNC110 - over HTTP
        await asyncio.sleep(0.01)


def _command(port: str) -> list[str]:
    where = ("--host", "127.0.0.1", "--port", port)
    return [sys.executable, "-m", "service", "stand-in", "reviews", *where]


async def _json(client: aiohttp.ClientSession, url: str) -> Any:
    async with client.get(url) as response:
        assert response.status == 200
        return await response.json()


async def _is_healthy(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(f"{url}/health") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _fails(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        await client.get(url)
    except aiohttp.ClientError:
        return True
    return False
