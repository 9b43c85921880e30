"""Receives what Alertmanager tells, shows it, and prints one line for each alert."""

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from itertools import chain
from typing import get_args

from aiohttp import web
from pydantic import ValidationError

from service.demo.hosting import end_signal, serving
from service.demo.notifications import Alert, Notification, Received, Receiver
from service.demo.notifications_page import page_of

DEFAULT_PORT = 9094

_LARGEST_BODY_BYTES = 256 * 1024
# Of each receiver: the watchdog reports every minute, and would drive out all others.
_MOST_KEPT = 50
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


class Inbox:
    """The newest notifications of each receiver."""

    def __init__(self) -> None:
        self._received: dict[Receiver, deque[Received]] = {
            receiver: deque(maxlen=_MOST_KEPT) for receiver in get_args(Receiver)
        }

    @property
    def receivers(self) -> list[Receiver]:
        """Who may be told."""
        return list(self._received)

    async def take(self, request: web.Request) -> web.Response:
        """Keep a notification and print its alerts; 400 says what is wrong with it."""
        try:
            notification = Notification.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"error": _what_is_wrong(error)}, status=400)
        receiver: Receiver = request.match_info["receiver"]  # type: ignore[assignment]  # by route
        self._received[receiver].append(
            Received(receiver=receiver, received_at=datetime.now(UTC), **dict(notification))
        )
        for alert in notification.alerts:
            _say(alert)
        return web.json_response({"status": "received"})

    async def tell(self, _: web.Request) -> web.Response:
        """All that are kept, newest first, as JSON."""
        notifications = [each.model_dump(mode="json") for each in self._newest_first()]
        return web.json_response({"notifications": notifications})

    async def show(self, _: web.Request) -> web.Response:
        """The same as a page."""
        text = page_of(self._newest_first())
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    def _newest_first(self) -> list[Received]:
        every = chain.from_iterable(self._received.values())
        return sorted(every, key=lambda each: each.received_at, reverse=True)


def webhook_app() -> web.Application:
    """The receiver as an application; what it has received is gone when it ends."""
    inbox = Inbox()
    app = web.Application(client_max_size=_LARGEST_BODY_BYTES)
    app.add_routes(
        [
            web.post(f"/{{receiver:{'|'.join(inbox.receivers)}}}", inbox.take),
            web.get("/", inbox.show),
            web.get("/notifications", inbox.tell),
            web.get("/health", _health),
        ]
    )
    return app


def serve_webhook(host: str, port: int) -> AbstractAsyncContextManager[str]:
    """Serve on the running loop and yield the base URL. Raises OSError when the port is taken."""
    return serving(webhook_app(), host, port)


def run_webhook(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises SystemExit, saying why, when the port is taken."""
    try:
        asyncio.run(_serve_until_told(host, port))
    except OSError as error:
        raise SystemExit(f"The webhook cannot listen: {error.strerror or error}") from None


async def _serve_until_told(host: str, port: int) -> None:
    told = end_signal()
    async with serve_webhook(host, port):
        await told.wait()


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "healthy"})


def _what_is_wrong(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"])) or "body"
    return f"Not a notification of Alertmanager's: {place}: {fault['msg']}"


def _say(alert: Alert) -> None:
    if alert.severity == "none":  # the watchdog, every minute: that alerts come through
        return
    summary, url = (alert.annotations.get(name, "") for name in ("summary", "dashboard_url"))
    line = f"{alert.severity} {alert.status}: {alert.name} - {summary} → {url}"
    # Whoever can reach the port shall not write control characters to a terminal.
    print("[alerts]", "".join(each for each in line if each.isprintable()), flush=True)
