"""The preview's server: what it refuses, what it says when Prometheus fails, what it serves."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from service.demo.hosting import serving
from service.demo.preview.proxy import Proxy
from service.demo.preview.server import create_preview, run_preview
from tests.integration.running import until

from .serving import GENERATED, RUNBOOKS, broken_prometheus

NOT_READING = (
    *("admin/tsdb/snapshot", "status/config", "status/flags", "targets", "metadata", "labels"),
    *("query/../status/config", "label/../status/config", "label/%2e%2e%2fstatus/values"),
    *("query%2f..%2fstatus%2fconfig", "label/a.b/values", "", "query_range/"),
)
NAMES_OF_OTHER_FILES = (
    "../rules",
    "..%2frules",
    "%2e%2e%2frunbooks%2fREADME",
    "rules.yaml",
    "a%00b",
)
RUN = "from service.demo.preview.server import run_preview; run_preview('127.0.0.1', {}, None)"


@pytest.fixture
async def preview() -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a preview without Prometheus."""
    app = create_preview(GENERATED, RUNBOOKS, None)
    async with serving(app, "127.0.0.1", 0) as url, aiohttp.ClientSession(url) as client:
        yield client


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with client.get(URL(path, encoded=True)) as response:
        return response.status, await response.text()


async def asked(prometheus_url: str, timeout_seconds: float = 20) -> tuple[int, dict[str, Any]]:
    """What a board hears that asks this Prometheus."""
    app = web.Application()
    app.router.add_get("/api/v1/{path:query}", Proxy(prometheus_url, timeout_seconds).answer)
    async with (
        serving(app, "127.0.0.1", 0) as url,
        aiohttp.ClientSession(url) as client,
        client.get("/api/v1/query", params={"query": "up"}) as response,
    ):
        return response.status, await response.json()


async def test_without_prometheus_it_says_how_to_get_one(preview: aiohttp.ClientSession) -> None:
    async with preview.get("/api/v1/query?query=up") as response:
        answer = await response.json()

    assert response.status == 503
    assert (answer["status"], answer["errorType"]) == ("error", "no_prometheus")
    assert "apt-get install prometheus" in answer["error"]


@pytest.mark.parametrize("mode", ["page", "cut", "other", "list", "endless", "reset", "elsewhere"])
async def test_a_prometheus_that_answers_nonsense_is_an_error_as_prometheus_tells_its_own(
    mode: str,
) -> None:
    async with broken_prometheus(mode) as url:
        status, answer = await asked(url)

    assert (status, answer["status"], answer["errorType"]) == (502, "error", "unreachable")
    assert answer["error"].startswith(f"Prometheus at {url}")


async def test_a_prometheus_that_hangs_is_not_waited_for() -> None:
    async with broken_prometheus("hang") as url:
        status, answer = await asked(url, timeout_seconds=0.05)

    assert (status, answer["errorType"]) == (502, "unreachable")
    assert "does not answer within 0.05 s" in answer["error"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no address", "http://[", "file:///etc"])
async def test_a_prometheus_that_is_not_there_is_an_error(url: str) -> None:
    status, answer = await asked(url)

    assert (status, answer["errorType"]) == (502, "unreachable")


async def test_what_prometheus_refuses_is_handed_on() -> None:
    async with broken_prometheus("refuse") as url:
        status, answer = await asked(url)

    assert (status, answer["errorType"], answer["error"]) == (400, "bad_data", "parse error")


@pytest.mark.parametrize("path", NOT_READING)
async def test_nothing_but_reading_is_handed_on(preview: aiohttp.ClientSession, path: str) -> None:
    status, text = await get(preview, f"/api/v1/{path}")

    assert status == 404
    assert '"status": "error"' in text


async def test_nothing_is_written(preview: aiohttp.ClientSession) -> None:
    for path in ("/api/v1/query", "/d/stallscope-overview", "/dashboards", "/boards.json"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with preview.request(method, path) as response:
                assert response.status == 405
                assert response.headers["Allow"] == "GET,HEAD"


@pytest.mark.parametrize("name", NAMES_OF_OTHER_FILES)
async def test_a_name_is_never_a_path(preview: aiohttp.ClientSession, name: str) -> None:
    for path in ("/d/{}", "/boards/{}.json", "/public/runbooks/{}.md", "/static/{}"):
        status, text = await get(preview, path.format(name))

        assert status == 404
        assert "groups:" not in text


async def test_what_is_not_there_is_a_page_that_says_so(preview: aiohttp.ClientSession) -> None:
    for path, explanation in (
        ("/d/nothing", "no such board"),
        ("/public/runbooks/Nothing.md", "no such runbook"),
        ("/explore?panes=x", "Grafana"),
    ):
        status, text = await get(preview, path)

        assert (status, explanation in text) == (404, True)
        assert "<h1>Not Found</h1>" in text


async def test_a_checkout_without_boards_says_how_to_make_them(tmp_path: Path) -> None:
    app = create_preview(tmp_path / "none", tmp_path / "none", None)
    async with serving(app, "127.0.0.1", 0) as url, aiohttp.ClientSession(url) as client:
        status, text = await get(client, "/dashboards")

    assert (status, "make dashboards" in text) == (200, True)


async def test_markup_in_boards_and_runbooks_is_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    (tmp_path / "Hostile.md").write_text(f"# {hostile}\n\n[here](javascript:alert(1))\n")
    (tmp_path / "board.json").write_text(
        f'{{"uid": "\\"{hostile}", "title": "{hostile}", "description": "{hostile}", "tags": []}}'
    )
    app = create_preview(tmp_path, tmp_path, None)
    async with serving(app, "127.0.0.1", 0) as url, aiohttp.ClientSession(url) as client:
        texts = [
            (await get(client, path))[1]
            for path in ("/dashboards", "/public/runbooks/", "/public/runbooks/Hostile.md")
        ]

    assert all(hostile not in text for text in texts)
    assert 'href="javascript' not in texts[2]


async def test_no_page_allows_inline_scripts_or_other_places(
    preview: aiohttp.ClientSession,
) -> None:
    for path in ("/dashboards", "/d/stallscope-overview", "/public/runbooks/", "/nowhere"):
        async with preview.get(path) as response:
            policy, text = response.headers["Content-Security-Policy"], await response.text()

        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert re.findall(r"<script(?![^>]* src=)|\son\w+=|https?://", text) == []


async def test_every_address_in_alerts_has_a_page(preview: aiohttp.ClientSession) -> None:
    rules = (GENERATED / "rules.yaml").read_text()
    paths = set(re.findall(r"(?:/public)?/runbooks/\w+\.md|/d/[\w-]+", rules))

    assert len(paths) > 20
    for path in paths:
        status, text = await get(preview, path)

        assert (path, status) == (path, 200)
        assert "<main" in text


async def test_the_lists_have_every_board_and_every_runbook(preview: aiohttp.ClientSession) -> None:
    status, boards = await get(preview, "/")
    _, runbooks = await get(preview, "/public/runbooks/")

    assert status == 200
    assert all(f'href="/d/{file.stem}"' in boards for file in GENERATED.glob("*.json"))
    names = {file.name for file in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert all(f'href="/public/runbooks/{name}"' in runbooks for name in names)


def test_a_taken_port_is_said() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SystemExit, match=r"cannot listen: .*in use"),
    ):
        run_preview("127.0.0.1", taken.getsockname()[1], None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-c", RUN.format(port)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until(lambda: _answers(port), "the preview answers")
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, said) == (0, "")


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20):
            return True
    except OSError:
        return False
