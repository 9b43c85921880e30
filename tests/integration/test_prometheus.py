"""What Prometheus itself makes of the metrics: Debian's, with its promtool."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.demo.ports import free_port
from tests.integration.running import RunningService, until

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")),
        reason="MISSING: Debian's package `prometheus` (apt-get install prometheus)",
    ),
]

PRODUCT = "/v1/product/1/enriched"
# A name of OpenTelemetry's that promtool takes for the plain number of something.
KNOWN_DISLIKES = ("db_client_connection_count",)


@contextmanager
def running_prometheus(folder: Path, scrape: dict[str, Any]) -> Iterator[str]:
    """A Prometheus that scrapes every second and keeps exemplars; gives its URL."""
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [{"job_name": "s", **scrape}]}
    file, url = folder / "prometheus.yml", f"http://127.0.0.1:{free_port()}"
    file.write_text(json.dumps(config))  # JSON is YAML
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    listen = f"--web.listen-address={url.removeprefix('http://')}"
    with subprocess.Popen(
        [*command, listen, "--enable-feature=exemplar-storage", "--log.level=error"]
    ) as process:
        try:
            yield url
        finally:
            process.terminate()


def asked(url: str, path: str, **parameters: str) -> Any:
    """`data` of Prometheus' answer; None while it starts."""
    try:
        with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(parameters)}") as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


def test_promtool_finds_nothing_but_what_the_conventions_ask_for(service: RunningService) -> None:
    urllib.request.urlopen(service.url + PRODUCT).read()

    scrape = service.ops("/metrics")[1]
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=scrape, capture_output=True, text=True, check=False
    )

    complaints = (done.stdout + done.stderr).splitlines()
    assert [each for each in complaints if not each.startswith(KNOWN_DISLIKES)] == []


def test_prometheus_stores_the_requests_with_the_traces_they_belong_to(
    service: RunningService, tmp_path: Path
) -> None:
    with urllib.request.urlopen(service.url + PRODUCT) as answer:
        trace_id = answer.headers["traceresponse"].split("-")[1]

    target = {"static_configs": [{"targets": [f"127.0.0.1:{service.ops_port}"]}]}
    with running_prometheus(tmp_path, target) as prometheus:
        duration = "http_server_request_duration_seconds_bucket"

        def exemplars() -> list[str]:
            window = {"start": "0", "end": "9999999999"}
            found = asked(prometheus, "/api/v1/query_exemplars", query=duration, **window) or []
            return [each["labels"]["trace_id"] for one in found for each in one["exemplars"]]

        until(lambda: trace_id in exemplars(), "Prometheus has stored the request's exemplar")
        (count,) = asked(
            prometheus,
            "/api/v1/query",
            query='http_server_request_duration_seconds_count{http_route="/v1/product/{product_id}/enriched"}',
        )["result"]
    assert float(count["value"][1]) >= 1
