"""Those who watch the demo's service: the dashboards, Prometheus, Alertmanager and whom it tells.

They start beside the rest and nobody waits for them. Where one cannot be had, or ends by itself,
the demo says so and goes on.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from service.demo.addresses import Address, WatchAddresses
from service.demo.processes import end, launch
from service.demo.webhook import serve_webhook

JOB = "stallscope"
# Where the committed files have the dashboards, and whom Alertmanager tells.
DASHBOARDS_URL = "http://127.0.0.1:3000"
WEBHOOK_URL = "http://webhook:8080"

_GENERATED = Path(__file__).parents[2] / "dashboards" / "generated"
_GRACE_SECONDS = 5.0


class Monitoring:
    """Whoever of them there is, by the address where it listens: `running`."""

    def __init__(self, ops: Address, places: WatchAddresses) -> None:
        self.places = places
        self.running: dict[Address, subprocess.Popen[bytes]] = {}
        self._ops = ops
        self._folder = Path()

    def start(self, parts: ExitStack, folder: Path) -> None:
        """Start who can be had, their files in `folder`, to be ended by `parts`."""
        self._folder = folder
        if not _GENERATED.is_dir():
            _say("Dashboards and alerts are left out: what they are made of is in a checkout only.")
            return
        prometheus = shutil.which("prometheus")
        # Debian's name, then everybody else's.
        alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        self._start_preview(parts, has_data=prometheus is not None)
        if not prometheus:
            _say(
                "No Prometheus on the PATH, so that dashboards stay empty and no alert fires: "
                "apt-get install prometheus prometheus-alertmanager"
            )
            return
        self._start_prometheus(parts, prometheus, tells=alertmanager is not None)
        if not alertmanager:
            _say(
                "No Alertmanager on the PATH, so that nobody is told of alerts: "
                "apt-get install prometheus-alertmanager"
            )
            return
        self._start_alertmanager(parts, alertmanager)
        _say_where(self.places.webhook)

    def tell_who_ended(self) -> None:
        """Say who has ended by itself, once."""
        for place, process in list(self.running.items()):
            if process.poll() is not None:
                del self.running[place]
                _say(
                    f"{place.part} ended by itself, the demo goes on; "
                    f"its log: {self._log_of(place)}"
                )

    @property
    def receives_alerts(self) -> bool:
        """Whether there is somebody who tells of them."""
        return self.places.alertmanager in self.running

    async def receive_alerts(self) -> None:
        """Until cancelled, unless its port is taken."""
        place = self.places.webhook
        try:
            async with serve_webhook(place.host, place.port):
                await asyncio.Event().wait()
        except OSError as error:
            _say(f"{place.part} cannot listen at {place.url}: {error.strerror or error}")

    def _start_preview(self, parts: ExitStack, *, has_data: bool) -> None:
        place = self.places.preview
        command = [sys.executable, "-m", "service", "preview"]
        where = ["--host", place.host, "--port", str(place.port)]
        source = ["--prometheus", self.places.prometheus.url] if has_data else []
        self._launch(parts, place, [*command, *where, *source])

    def _start_prometheus(self, parts: ExitStack, program: str, *, tells: bool) -> None:
        place = self.places.prometheus
        folder = self._fresh_folder(place)
        rules = (_GENERATED / "rules.yaml").read_text()
        (folder / "rules.yaml").write_text(rules.replace(DASHBOARDS_URL, self.places.preview.url))
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(self._scraping(tells=tells)))
        options = (
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            "--storage.tsdb.retention.time=32d",  # the error budgets' 30, and what rules look back
            "--enable-feature=exemplar-storage",
            "--rules.alert.resend-delay=1s",
            f"--web.listen-address={place.netloc}",
            f"--web.external-url={place.url}",
        )
        self._launch(parts, place, [program, *options])

    def _start_alertmanager(self, parts: ExitStack, program: str) -> None:
        place = self.places.alertmanager
        folder = self._fresh_folder(place)
        routes = (_GENERATED / "alertmanager.yaml").read_text()
        (folder / "alertmanager.yml").write_text(
            routes.replace(WEBHOOK_URL, self.places.webhook.url)
        )
        options = (
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'state'}",
            "--cluster.listen-address=",  # it talks to no other
            f"--web.listen-address={place.netloc}",
            f"--web.external-url={place.url}",
        )
        self._launch(parts, place, [program, *options])

    def _scraping(self, *, tells: bool) -> dict[str, object]:
        token = os.environ.get("OPS_TOKEN")
        job = {"job_name": JOB, "static_configs": [{"targets": [self._ops.netloc]}]}
        told = [{"static_configs": [{"targets": [self.places.alertmanager.netloc]}]}] * tells
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [job | ({"authorization": {"credentials": token}} if token else {})],
            "alerting": {"alertmanagers": told},
        }

    def _log_of(self, place: Address) -> Path:
        return self._folder / f"{place.part}.log"

    def _fresh_folder(self, place: Address) -> Path:
        # Alertmanager would keep to itself what it has told of in the last run.
        folder = self._folder / place.part
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _launch(self, parts: ExitStack, place: Address, command: Sequence[str]) -> None:
        with self._log_of(place).open("wb") as log:
            process = launch(command, environment=os.environ, output=log)
        parts.callback(end, process, graceful=signal.SIGTERM, grace_seconds=_GRACE_SECONDS)
        self.running[place] = process
        _say_where(place)


def _say_where(place: Address) -> None:
    if place.instead_of:
        _say(f"Port {place.instead_of} is taken: {place.part} is at {place.url}")


def _say(line: str) -> None:
    print(f"  {line}", flush=True)
