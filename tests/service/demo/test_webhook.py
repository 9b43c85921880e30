"""Whom Alertmanager tells: bounded, unimpressed by nonsense, and safe to look at."""

import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.demo.ports import free_port
from service.demo.webhook import serve_webhook
from tests.integration.running import until
from tests.service.command import command, environment_of, run

LABELS = {"alertname": "EventLoopBlocked", "severity": "page", "instance": "127.0.0.1:9464"}
LINKS = {
    "dashboard_url": "http://127.0.0.1:3000/d/stallscope-event-loop?var-job=a&var-instance=b",
    "runbook_url": "http://127.0.0.1:3000/public/runbooks/EventLoopBlocked.md",
}


def told(status: str = "firing", **annotations: str) -> dict[str, Any]:
    """One notification of one alert, as Alertmanager sends it."""
    alert = {
        "status": status,
        "labels": LABELS,
        "annotations": {"summary": "It is blocked", **LINKS, **annotations},
        "startsAt": "2026-01-01T00:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": "abc",
    }
    return {"version": "4", "receiver": "pages", "status": status, "alerts": [alert]}


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with serve_webhook("127.0.0.1", 0) as url, aiohttp.ClientSession(url) as session:
        yield session


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (b"[" * 100_000, "body"),
        (b"[]", "body"),
        (b"{}", "status"),
        (b'{"status": "unsure", "alerts": []}', "status"),
        (b'{"status": "firing", "alerts": [{"status": "firing"}]}', "alerts.0.labels"),
        (b'{"status": "firing", "alerts": [' + b"{}," * 300 + b"{}]}", "alerts"),
    ],
)
async def test_what_is_no_notification_is_refused_and_said_why(
    client: aiohttp.ClientSession, body: bytes, place: str
) -> None:
    async with client.post("/pages", data=body) as response:
        assert response.status == 400
        error = (await response.json())["error"]

    assert error.startswith(f"Not a notification of Alertmanager's: {place}")
    assert await _notifications(client) == []


async def test_too_large_a_body_is_refused(client: aiohttp.ClientSession) -> None:
    async with client.post("/pages", data=b" " * 300_000) as response:
        assert response.status == 413


async def test_nobody_else_is_told(client: aiohttp.ClientSession) -> None:
    async with client.post("/everybody", json=told()) as response:
        assert response.status == 404


async def test_a_notification_is_kept_with_all_that_an_sre_needs(
    client: aiohttp.ClientSession,
) -> None:
    await client.post("/pages", json=told())

    (notification,) = await _notifications(client)
    (alert,) = notification.pop("alerts")
    assert notification.pop("received_at").endswith("Z")
    assert notification == {"receiver": "pages", "status": "firing"}
    assert (alert["name"], alert["severity"]) == ("EventLoopBlocked", "page")
    assert alert["labels"] == LABELS
    assert LINKS.items() <= alert["annotations"].items()
    assert (alert["startsAt"], alert["status"]) == ("2026-01-01T00:00:00.000Z", "firing")


async def test_the_newest_come_first_and_the_oldest_are_forgotten_but_not_for_the_watchdog(
    client: aiohttp.ClientSession,
) -> None:
    await client.post("/tickets", json=told(summary="a ticket"))
    for number in range(60):
        await client.post("/watchdog", json=told(summary=f"{number}"))

    alerts = [each["alerts"][0] for each in await _notifications(client)]
    summaries = [alert["annotations"]["summary"] for alert in alerts]
    assert summaries == [*(f"{number}" for number in range(59, 9, -1)), "a ticket"]


async def test_the_page_links_to_board_and_runbook(client: aiohttp.ClientSession) -> None:
    await client.post("/pages", json=told())

    page = await _page(client)

    assert "page firing: EventLoopBlocked" in page
    for url in LINKS.values():
        assert f'<a href="{url.replace("&", "&amp;")}">' in page


async def test_what_was_received_is_text_on_the_page_and_never_a_script(
    client: aiohttp.ClientSession,
) -> None:
    attack = "<script>alert(1)</script>"
    await client.post("/pages", json=told(summary=attack, runbook_url="javascript:alert(1)"))

    page = await _page(client)

    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "javascript:" not in page


async def test_each_alert_is_one_printed_line(
    client: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    await client.post("/pages", json=told(summary="\x1b[2Jgone\nand more"))
    await client.post("/pages", json=told("resolved"))

    url = LINKS["dashboard_url"]
    assert capsys.readouterr().out.splitlines() == [
        f"[alerts] page firing: EventLoopBlocked - [2Jgoneand more → {url}",
        f"[alerts] page resolved: EventLoopBlocked - It is blocked → {url}",
    ]


async def test_the_watchdog_is_not_printed(
    client: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    notification = told()
    notification["alerts"][0]["labels"] = {"alertname": "Watchdog", "severity": "none"}

    await client.post("/watchdog", json=notification)

    assert capsys.readouterr().out == ""
    assert len(await _notifications(client)) == 1


def test_the_command_says_so_when_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = run("webhook", "--port", str(other.getsockname()[1]), folder=tmp_path)

    assert ended.returncode == 1
    assert re.fullmatch(r"The webhook cannot listen: .*already in use\n", ended.stderr)


def test_traffic_goes_on_after_a_lost_connection_and_ends_with_0_when_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        service.settimeout(60)
        url = f"http://127.0.0.1:{service.getsockname()[1]}/"
        with subprocess.Popen(command("traffic", url), env=environment_of()) as traffic:
            try:
                for _ in range(3):
                    service.accept()[0].close()
                traffic.send_signal(signal.SIGTERM)
                assert traffic.wait(60) == 0
            finally:
                traffic.kill()


def test_a_webhook_that_is_told_to_end_ends_with_0() -> None:
    port = free_port()
    arguments = ("webhook", "--port", str(port))
    with subprocess.Popen(command(*arguments), env=environment_of()) as webhook:
        try:
            until(lambda: _listens(port), "the webhook listens")
            webhook.send_signal(signal.SIGTERM)
            assert webhook.wait(60) == 0
        finally:
            webhook.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _notifications(client: aiohttp.ClientSession) -> list[dict[str, Any]]:
    async with client.get("/notifications") as response:
        found: list[dict[str, Any]] = (await response.json())["notifications"]
        return found


async def _page(client: aiohttp.ClientSession) -> str:
    async with client.get("/") as response:
        assert "script-src" not in response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        return await response.text()
