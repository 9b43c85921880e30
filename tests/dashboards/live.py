"""A real Prometheus over a real service, asked what the panels ask."""

import json
import math
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.demo.ports import free_port
from tests.dashboards.reading import Asked, asked, filled_in
from tests.integration.running import PATIENCE_SECONDS, RunningService, until
from tests.service.command import command, environment_of

PROMETHEUS = shutil.which("prometheus")
MISSING = "MISSING: Debian's package `prometheus` (apt-get install prometheus)"

_SHOWN_SECONDS = 300


# What is not here to be seen: a websocket, a candidate beside a current version of a model, and a
# limit on memory, which there may be where tests run.
NOT_HERE = {
    "stallscope-models: Candidates' agreement A",
    "stallscope-route: Closed websockets A",
    "stallscope-runtime: Memory B",
    "stallscope-runtime: Memory against its limit A",
}


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Its HTTP API."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """`data` of the answer. Raises OSError while it starts, and when it refuses a query."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=20) as answer:
            return json.load(answer)["data"]

    def is_there(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.ask("status/buildinfo"))
        except OSError:
            return False

    def has_data_for(self, query: Asked) -> bool:
        """Whether a panel would show a finite number, and exemplars where it asks for them."""
        now = time.time()
        start, expression = (
            now - _SHOWN_SECONDS,
            filled_in(query.expression, __from=f"{(now - _SHOWN_SECONDS) * 1000:.0f}"),
        )
        if query.target["instant"]:
            found = self.ask("query", query=expression)["result"]
            values = [one["value"] for one in found]
        else:
            when = {"start": f"{start}", "end": f"{now}", "step": "1"}
            found = self.ask("query_range", query=expression, **when)["result"]
            values = [value for one in found for value in one["values"]]
        if query.target["exemplar"]:
            window = {"start": f"{start}", "end": f"{now}"}
            if not self.ask("query_exemplars", query=expression, **window):
                return False
        return any(math.isfinite(float(value)) for _, value in values)


def still_silent(prometheus: Prometheus, expected: set[str]) -> list[str]:
    """The queries, but for the expected ones, that nothing is to be seen of after a while."""
    waiting = [query for query in asked() if query.name not in expected]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting and time.monotonic() < deadline:
        waiting = [query for query in waiting if not prometheus.has_data_for(query)]
        time.sleep(0.2)
    return [query.name for query in waiting]


@contextmanager
def running_faulty_service(folder: Path, **settings: str) -> Iterator[RunningService]:
    """The service that can be told to stall and to fail, ready."""
    port, ops_port = free_port(), free_port()
    ports = {"HOST": "127.0.0.1", "PORT": str(port), "OPS_PORT": str(ops_port)}
    output = folder / "service.log"
    with (
        output.open("wb") as log,
        subprocess.Popen(
            command("serve", "--with-mistakes"),
            cwd=folder,
            env=environment_of(**ports, **settings),
            stdout=log,
            stderr=log,
        ) as process,
    ):
        service = RunningService(process, port, ops_port, output)
        try:
            until(lambda: _is_ready(service), "the service is ready")
            yield service
            service.stop()
        finally:
            process.kill()


def _is_ready(service: RunningService) -> bool:
    assert service.process.poll() is None, service.log()
    try:
        return service.readiness()[0] == 200
    except OSError:
        return False


@contextmanager
def running_prometheus(
    folder: Path, targets: Mapping[str, str], rules: str, *told: str
) -> Iterator[Prometheus]:
    """One that scrapes `targets`, by job, evaluates `rules` every second, and tells `told`."""
    hurried = re.sub(r"\b(for|interval): *\"?\w+\"?", r"\1: 1s", rules)
    (folder / "rules.yaml").write_text(hurried)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]}
            for job, target in targets.items()
        ],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": told}]}]},
    }
    file, url = folder / "prometheus.yml", f"http://127.0.0.1:{free_port()}"
    file.write_text(json.dumps(config))  # JSON is YAML
    command = [
        *(PROMETHEUS or "prometheus", f"--config.file={file}", "--log.level=error"),
        *(f"--storage.tsdb.path={folder / 'tsdb'}", "--enable-feature=exemplar-storage"),
        f"--web.listen-address={url.removeprefix('http://')}",
        "--rules.alert.resend-delay=1s",  # what was told before it knew whom is lost
    ]
    with subprocess.Popen(command) as process:
        try:
            prometheus = Prometheus(url)
            until(prometheus.is_there, "Prometheus answers")
            yield prometheus
        finally:
            process.terminate()
