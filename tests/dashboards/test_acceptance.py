"""From a fault to the notification and back: the real service, Prometheus and Alertmanager.

The rules and routes are those that are committed, every duration in them 60 times shorter, at
scrapes of one second. It takes minutes: only with ALERT_TEST=all.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards.alertmanager import WEBHOOK_URL, alertmanager
from dashboards.alerts import rules
from service.demo.misbehaviour import MISBEHAVIOURS
from tests.conftest import RunningStandIn
from tests.dashboards.alerting import (
    ALERTMANAGER,
    MISSING,
    Alert,
    Webhook,
    hurried,
    listening,
    running_alertmanager,
)
from tests.dashboards.live import (
    PROMETHEUS,
    Prometheus,
    running_faulty_service,
    running_prometheus,
    visit,
)
from tests.dashboards.runbooks import Block, blocks, commands
from tests.integration.conftest import World, world
from tests.integration.running import RunningService, until

__all__ = ["world"]

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("alerts"),
    pytest.mark.skipif(not (PROMETHEUS and ALERTMANAGER), reason=MISSING),
    pytest.mark.skipif(
        os.environ.get("ALERT_TEST") != "all",
        reason="alerts from fault to webhook are NOT TESTED: ALERT_TEST=all does, in six minutes",
    ),
]

FACTOR = 60
# What the host may be to blame for, when it gives the service no processor.
ABOUT_TIME = {"EventLoopBlocked", "EventLoopStalledShare", "LatencyBudgetBurn"}
HOST_CAUSES = ("cpu_starved", "cgroup_throttled")


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that runs."""

    world: World
    service: RunningService
    prometheus: Prometheus
    webhook: Webhook


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks, and who has to say so; `also` may page when this is a long time."""

    name: str
    breaks: Callable[[Scene], None]
    alert: str
    labels: dict[str, str]
    receiver: str = "tickets"
    mends: Callable[[Scene], None] = lambda scene: scene.world.mend()
    also: frozenset[str] = field(default=frozenset())

    def __str__(self) -> str:
        return f"{self.name} → {self.alert}"

    def is_told_by(self, alert: Alert) -> bool:
        """Whether it is this alert."""
        labels: dict[str, str] = alert["labels"]
        return {"alertname": self.alert, **self.labels}.items() <= labels.items()


def _stand_in(scene: Scene, kind: str) -> RunningStandIn:
    return scene.world.reviews if kind == "reviews" else scene.world.inventory


def _misbehaves(kind: str, mode: str, scene: Scene) -> None:
    _stand_in(scene, kind).behave(mode=mode)


def _blocks(seconds: float, scene: Scene) -> None:
    visit(f"{scene.service.url}/fault/block?seconds={seconds}")


def _fails_half_of_the_time(scene: Scene) -> None:
    scene.world.inventory.behave(mode="error", share=0.5)


def _upstream_faults() -> Iterator[Fault]:
    for number, mode in enumerate(MISBEHAVIOURS):
        kind = ("reviews", "inventory")[number % 2]
        labels = {"dependency": kind}
        yield Fault(f"{kind}: {mode}", partial(_misbehaves, kind, mode), "CircuitOpen", labels)
    yield Fault(
        "reviews: wrong_type",
        partial(_misbehaves, "reviews", "wrong_type"),
        "ProductsDegraded",
        {"source": "reviews"},
    )
    yield Fault(
        "inventory: every second call fails",  # of a circuit that is open there are too few calls
        _fails_half_of_the_time,
        "UpstreamErrors",
        {"job": "stallscope"},
    )


def _nothing(scene: Scene) -> None:
    """It is over by itself."""


def _blocks_again_and_again(scene: Scene) -> None:
    for _ in range(10):
        _blocks(0.5, scene)
        time.sleep(0.5)


FAULTS = (
    Fault(
        "a line that has never blocked before",
        partial(_blocks, 0.3),
        *("EventLoopStalled", {"severity": "ticket"}),
        mends=_nothing,
        also=frozenset({"EventLoopStalledShare"}),
    ),
    Fault(
        "a line that blocks",
        partial(_blocks, 3.0),
        *("EventLoopBlocked", {"severity": "page"}, "pages"),
        mends=_nothing,
    ),
    Fault(
        "PostgreSQL is stopped",
        lambda scene: scene.world.postgres.stop(),
        *("AvailabilityBudgetBurn", {"window": "1h"}, "pages"),
    ),
    *_upstream_faults(),
    Fault(
        "Valkey is stopped",
        lambda scene: scene.world.valkey.stop(),
        *("DatabaseErrors", {"db_system_name": "redis"}),
    ),
    Fault(
        "a line that blocks again and again",
        _blocks_again_and_again,
        *("EventLoopStalledShare", {"severity": "page"}, "pages"),
        mends=_nothing,
        also=frozenset({"LatencyBudgetBurn"}),
    ),
    Fault(
        "the process is suspended",
        lambda scene: scene.service.process.send_signal(signal.SIGSTOP),
        *("TargetDown", {"severity": "page"}, "pages"),
        mends=lambda scene: scene.service.process.send_signal(signal.SIGCONT),
        also=frozenset({"EventLoopBlocked", "EventLoopStalledShare", "MetricsAbsent"}),
    ),
)


class Shoppers(threading.Thread):
    """One after the other, each for a product that no cache has."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._leave = threading.Event()

    def run(self) -> None:
        """Until told to leave."""
        for product in count(1):
            if self._leave.wait(0.04):
                return
            visit(f"{self._url}/v1/product/{product % 9000 + 1}/enriched")

    def leave(self) -> None:
        """And wait until they have."""
        self._leave.set()
        self.join()


@pytest.fixture(scope="module")
def scene(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The service, its visitors, those who watch it, and one whom they tell."""
    folder = tmp_path_factory.mktemp("acceptance")
    with ExitStack() as running:
        service = running.enter_context(running_faulty_service(folder, **world.settings))
        webhook = running.enter_context(listening())
        routes = hurried(alertmanager(), FACTOR).replace(WEBHOOK_URL, webhook.url)
        told = running.enter_context(running_alertmanager(folder, routes))
        targets = {"stallscope": f"127.0.0.1:{service.ops_port}"}
        prometheus = running.enter_context(
            running_prometheus(folder, targets, hurried(rules(), FACTOR), urlsplit(told.url).netloc)
        )
        shoppers = Shoppers(service.url)
        shoppers.start()
        running.callback(shoppers.leave)
        stalls = partial(prometheus.ask, "query", query="asyncio_eventloop_stalls_total")
        until(lambda: bool(stalls()["result"]), "Prometheus has seen how things are")
        yield Scene(world, service, prometheus, webhook)


def test_the_watchdog_is_heard_by_whoever_waits_for_it(scene: Scene) -> None:
    until(lambda: bool(scene.webhook.told("watchdog", "firing")), "the watchdog")

    assert {each["labels"]["alertname"] for each in scene.webhook.told("watchdog", "firing")} == {
        "Watchdog"
    }


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_told_and_so_is_its_end_and_nothing_else_pages(
    scene: Scene, fault: Fault
) -> None:
    until(lambda: _is_calm(scene, fault), "nothing pages, and this alert is silent")
    told, paged = (len(scene.webhook.told(each, "firing")) for each in (fault.receiver, "pages"))
    ended = len(scene.webhook.told(fault.receiver, "resolved"))

    fault.breaks(scene)
    try:
        until(
            lambda: any(map(fault.is_told_by, scene.webhook.told(fault.receiver, "firing")[told:])),
            f"{fault.receiver} are told of {fault.alert}",
        )
    finally:
        fault.mends(scene)
    until(
        lambda: any(map(fault.is_told_by, scene.webhook.told(fault.receiver, "resolved")[ended:])),
        f"{fault.receiver} are told that {fault.alert} is over",
    )

    pages = {each["labels"]["alertname"] for each in scene.webhook.told("pages", "firing")[paged:]}
    assert pages - {fault.alert} - fault.also - _host_is_to_blame_for(scene) == set()


def test_an_alert_links_to_its_board_with_everything_chosen(scene: Scene) -> None:
    """After the faults: what they have told."""
    for alert in scene.webhook.told("tickets", "firing") + scene.webhook.told("pages", "firing"):
        chosen = parse_qs(urlsplit(alert["annotations"]["dashboard_url"]).query)

        assert chosen["var-job"] == ["stallscope"]
        if "instance" in alert["labels"]:
            assert chosen["var-instance"] == [f"127.0.0.1:{scene.service.ops_port}"]


@pytest.mark.parametrize("query", list(blocks("promql")), ids=str)
def test_prometheus_answers_a_runbooks_query(scene: Scene, query: Block) -> None:
    answer = scene.prometheus.ask("query", query=query.text)

    assert answer["resultType"] == "vector"


READ_ONLY = [
    command
    for command in commands()
    if re.fullmatch(r"(curl -s http|stallscope stalls http)\S+( --follow)?", command.text)
]


@pytest.mark.parametrize("command", READ_ONLY, ids=str)
def test_a_runbooks_command_answers(scene: Scene, command: Block) -> None:
    program, *arguments = shlex.split(_moved(command.text, scene))
    if program == "stallscope":
        arguments = ["-m", "service", *arguments]
        program = sys.executable

    done = subprocess.run([program, *arguments], capture_output=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout


def _moved(text: str, scene: Scene) -> str:
    """The demo's ports are elsewhere here."""
    places = {
        "http://127.0.0.1:8000": scene.service.url,
        "http://127.0.0.1:9464": f"http://127.0.0.1:{scene.service.ops_port}",
        "http://127.0.0.1:8101": scene.world.reviews.url,
        "http://127.0.0.1:8102": scene.world.inventory.url,
    }
    for demo, here in places.items():
        text = text.replace(demo, here)
    return text


def _is_calm(scene: Scene, fault: Fault) -> bool:
    coming = scene.prometheus.ask("query", query="ALERTS")["result"]
    return not any(
        each["metric"]["severity"] == "page" or each["metric"]["alertname"] == fault.alert
        for each in coming
    )


def _host_is_to_blame_for(scene: Scene) -> set[str]:
    """A host that gives the service no processor makes it late; it says so itself."""
    name = "asyncio_eventloop_stall_duration_seconds_count"
    late = sum(scene.service.metric(name, cause=cause) for cause in HOST_CAUSES)
    return ABOUT_TIME if late else set()
