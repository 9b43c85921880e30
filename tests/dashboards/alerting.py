"""A real Alertmanager, and somebody whom it tells."""

import json
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dashboards.slo import seconds_of
from service.demo.ports import free_port
from tests.integration.running import until

# Debian's name, then everybody else's.
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
AMTOOL = shutil.which("amtool")
MISSING = "MISSING: Debian's package `prometheus-alertmanager` (apt-get install it)"

Alert = dict[str, Any]


@dataclass(slots=True)
class Webhook:
    """Keeps what Alertmanager has sent, by the path that it was sent to."""

    url: str
    _told: list[tuple[str, Alert]] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        """One notification: some alerts."""
        self._told += [(path.strip("/"), alert) for alert in json.loads(body)["alerts"]]

    def told(self, receiver: str, status: str) -> list[Alert]:
        """Every alert of that status that the receiver was told of, in order."""
        return [
            alert
            for path, alert in list(self._told)
            if (path, alert["status"]) == (receiver, status)
        ]


@contextmanager
def listening() -> Iterator[Webhook]:
    """A webhook that listens."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            webhook.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    webhook = Webhook(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """Its HTTP API."""

    url: str

    def is_there(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._ask("status"))
        except OSError:
            return False

    def post(self, *labels: dict[str, str]) -> None:
        """Alerts with these labels fire."""
        body = json.dumps([{"labels": each} for each in labels]).encode()
        self._ask("alerts", body)

    def silenced(self) -> set[str]:
        """The names of alerts that nobody is told of, since others fire."""
        alerts = self._ask("alerts")
        return {each["labels"]["alertname"] for each in alerts if each["status"]["inhibitedBy"]}

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v2/{path}", body, kind)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def running_alertmanager(folder: Path, configuration: str) -> Iterator[Alertmanager]:
    """One of its own, that talks to no other."""
    file, url = folder / "alertmanager.yaml", f"http://127.0.0.1:{free_port()}"
    file.write_text(configuration)
    command = [
        *(ALERTMANAGER or "alertmanager", f"--config.file={file}", "--cluster.listen-address="),
        *(f"--storage.path={folder / 'alertmanager'}", "--log.level=error"),
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with subprocess.Popen(command) as process:
        try:
            alertmanager = Alertmanager(url)
            until(alertmanager.is_there, "Alertmanager answers")
            yield alertmanager
        finally:
            process.terminate()


def hurried(document: object, factor: int) -> str:
    """The same rules or routes, every duration in them shorter by `factor`; a second at least.

    Names stay: what is recorded as `…rate5m` is over seconds then.
    """
    return _DURATION.sub(lambda found: _shorter(found[0], factor), json.dumps(document))


_KEYS = ("for", "keep_firing_for", "interval", "group_wait", "group_interval", "repeat_interval")
_BEFORE = ("[", "offset ", *(f'"{key}": "' for key in _KEYS))
_DURATION = re.compile(rf"(?:{'|'.join(f'(?<={re.escape(each)})' for each in _BEFORE)})\d+[smhd]\b")


def _shorter(duration: str, factor: int) -> str:
    seconds = seconds_of(duration)
    return f"{max(1, round(seconds / factor))}s" if seconds else duration
