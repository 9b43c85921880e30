"""The service and everything that watches it, all of it real, and somebody who is told.

The rules and routes are those that are committed, every duration in them shorter, at scrapes of one
second.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from dashboards.alertmanager import WEBHOOK_URL, alertmanager
from dashboards.alerts import rules
from service.demo.answers import Kind
from service.workers.metrics import SupervisorMetrics
from tests.conftest import RunningStandIn
from tests.dashboards import alerting, live
from tests.dashboards.alerting import Webhook, hurried, listening, running_alertmanager
from tests.dashboards.live import Prometheus, running_faulty_service, running_prometheus
from tests.dashboards.visitors import shopping
from tests.integration.conftest import World
from tests.integration.running import RunningService, until

# A rate over `5m` needs a few scrapes; who is told needs not wait for as long.
RULES_FACTOR, ROUTES_FACTOR = 60, 300

SETTINGS = {
    "RATE_LIMIT": "100/second",
    # What hangs is given up sooner, as everything here goes faster.
    "REVIEWS__TIMEOUT_SECONDS": "1",
    "INVENTORY__TIMEOUT_SECONDS": "1",
}

# What needs the scene. All of it in one group: there is one scene.
NEEDS_THE_SCENE = [
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("live"),
    pytest.mark.skipif(live.PROMETHEUS is None, reason=live.MISSING),
    pytest.mark.skipif(alerting.ALERTMANAGER is None, reason=alerting.MISSING),
]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that runs."""

    world: World
    service: RunningService
    prometheus: Prometheus
    webhook: Webhook

    def upstream(self, kind: Kind) -> RunningStandIn:
        """One of the two."""
        return self.world.reviews if kind == "reviews" else self.world.inventory

    def moved(self, text: str) -> str:
        """A page of ours is about the demo, whose parts are elsewhere here."""
        places = {
            "127.0.0.1:8000": urlsplit(self.service.url).netloc,
            "127.0.0.1:9464": f"127.0.0.1:{self.service.ops_port}",
            "127.0.0.1:8101": urlsplit(self.world.reviews.url).netloc,
            "127.0.0.1:8102": urlsplit(self.world.inventory.url).netloc,
        }
        for demo, here in places.items():
            text = text.replace(demo, here)
        return text


@contextmanager
def running_scene(world: World, folder: Path) -> Iterator[Scene]:
    """With people in it, and all is well."""
    world.mend()
    world.forget()
    with ExitStack() as running:
        settings = {**world.settings, **SETTINGS}
        service = running.enter_context(running_faulty_service(folder, **settings))
        webhook = running.enter_context(listening())
        routes = hurried(alertmanager(), ROUTES_FACTOR).replace(WEBHOOK_URL, webhook.url)
        told = running.enter_context(running_alertmanager(folder, routes))
        targets = {
            "stallscope": f"127.0.0.1:{service.ops_port}",
            "supervisor": running.enter_context(_supervisors_metrics()),
        }
        prometheus = running.enter_context(
            running_prometheus(
                folder, targets, hurried(rules(), RULES_FACTOR), urlsplit(told.url).netloc
            )
        )
        running.enter_context(shopping(service.url))
        stalls = partial(prometheus.ask, "query", query="asyncio_eventloop_stalls_total")
        until(lambda: bool(stalls()["result"]), "Prometheus has seen how things are")
        yield Scene(world, service, prometheus, webhook)


@contextmanager
def _supervisors_metrics() -> Iterator[str]:
    """Where the metrics of a supervisor without workers are."""
    registry = CollectorRegistry()
    SupervisorMetrics(registry).watch([])
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
