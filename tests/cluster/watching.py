"""A real Prometheus over all replicas, with the committed rules, every duration in them shorter."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from dashboards.generate import GENERATED
from service.demo.ports import free_port
from tests.cluster.running import Cluster
from tests.dashboards.alerting import hurried
from tests.dashboards.live import PROMETHEUS, Prometheus
from tests.dashboards.reading import Asked, asked, filled_in
from tests.integration.running import until

JOB = "stallscope"
_RULES_FACTOR = 60


@dataclass(frozen=True, slots=True)
class Watched:
    """What Prometheus says of the replicas, by their instance."""

    prometheus: Prometheus

    def by_instance(self, query: str) -> dict[str, float]:
        """The value of each instance's one series."""
        found = self.prometheus.ask("query", query=query)["result"]
        return {one["metric"]["instance"]: float(one["value"][1]) for one in found}

    def instances_shown(self, query: Asked, instance: str) -> set[str]:
        """Whose series a panel shows when this instance is chosen."""
        expression = filled_in(query.expression, instance=instance)
        found = self.prometheus.ask("query", query=expression)["result"]
        return {one["metric"]["instance"] for one in found if "instance" in one["metric"]}


def panels_by_instance() -> list[Asked]:
    """The panels' queries that can be asked about one replica."""
    return [each for each in asked() if "$instance" in each.expression]


@contextmanager
def watched(cluster: Cluster, folder: Path) -> Iterator[Watched]:
    """Prometheus, which has seen every replica once."""
    targets = [replica.instance for replica in cluster.replicas]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": targets}]}],
    }
    (folder / "rules.yaml").write_text(
        hurried(yaml.safe_load((GENERATED / "rules.yaml").read_text()), _RULES_FACTOR)
    )
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    address = f"127.0.0.1:{free_port()}"
    command = [
        *(PROMETHEUS or "prometheus", f"--config.file={folder / 'prometheus.yml'}"),
        *(f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address={address}"),
        *("--enable-feature=exemplar-storage", "--log.level=error"),
    ]
    with subprocess.Popen(command) as process:
        try:
            found = Watched(Prometheus(f"http://{address}"))
            until(found.prometheus.is_there, "Prometheus answers")
            until(lambda: sum(found.by_instance("up").values()) == len(targets), "all are up")
            yield found
        finally:
            process.terminate()
