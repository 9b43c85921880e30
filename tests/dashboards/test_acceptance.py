"""From a fault of the demo to the notification and back, and nothing else pages meanwhile.

Faults that do not disturb each other are caused at once.
"""

import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards.alerts import ALERTS
from service.demo.answers import Kind
from service.demo.rehearsals import FAULTS, Fault, Misbehaviour, Mistake, Outage
from service.predictions.domain import SENTIMENT
from tests.dashboards.alerting import Alert
from tests.dashboards.live import NOT_HERE, still_silent
from tests.dashboards.runbooks import REHEARSED_BY
from tests.dashboards.scene import NEEDS_THE_SCENE, Scene
from tests.dashboards.visitors import visiting, visiting_again_and_again
from tests.integration.predicting import texts_question
from tests.integration.running import RunningService, until
from tests.integration.wire import request

pytestmark = NEEDS_THE_SCENE

# A single stall, of a culprit that nobody has seen before: a counter that is born at 1 never rose.
FIRST_STALL = Fault(
    "loop-stalled-once",
    Mistake("/fault/block?seconds=0.2", pause_seconds=600, look="{ops}/stalls"),
    *("EventLoopStalled", "at once"),
)
BY_NAME = {fault.name: fault for fault in (FIRST_STALL, *FAULTS)}
PAGES = {alert.name for alert in ALERTS if alert.severity == "page"}
# Upstreams are two: of a round's faults that are theirs, each has one.
ROUNDS = (
    ("upstream-flaky", "valkey-stopped", "loop-stalled-once", "own-errors"),
    ("upstream-error", "upstream-hang", "loop-stalling"),
    ("upstream-reset", "upstream-drip"),
    ("upstream-garbage", "upstream-endless"),
    ("upstream-wrong-type", "upstream-too-many-requests"),
    ("loop-blocked", "postgres-stopped"),
)
# Who waits for a loop waits too long; and a host that gives the service no processor makes it late.
ABOUT_TIME = {"EventLoopBlocked", "EventLoopStalledShare", "LatencyBudgetBurn"}
HOST_CAUSES = ("cpu_starved", "cgroup_throttled")


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that has to come, and to go."""

    alert: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, fault: Fault, kind: Kind | None) -> "Iterator[Expected]":
        """What tells of a fault: its alert, and those whose runbooks say that it rehearses them."""
        labels = {
            "AvailabilityBudgetBurn": ("window", "1h"),
            "CircuitOpen": ("dependency", str(kind)),
            "DatabaseErrors": ("db_system_name", "redis"),
            "ProductsDegraded": ("source", str(kind)),
        }
        for alert in {fault.alert, *REHEARSED_BY.get(fault.name, ())}:
            yield cls(alert, (labels[alert],) if alert in labels else ())

    @property
    def receiver(self) -> str:
        """Who is told."""
        return "pages" if self.alert in PAGES else "tickets"

    def fits(self, labels: dict[str, str]) -> bool:
        """Whether these are its labels."""
        return {"alertname": self.alert, **dict(self.labels)}.items() <= labels.items()


def test_the_watchdog_is_heard_by_whoever_waits_for_it(scene: Scene) -> None:
    until(lambda: bool(scene.webhook.told("watchdog", "firing")), "the watchdog")

    assert _names(scene.webhook.told("watchdog", "firing")) == {"Watchdog"}


def test_every_fault_has_its_round() -> None:
    assert sorted(name for names in ROUNDS for name in names) == sorted(BY_NAME)


@pytest.mark.parametrize("names", ROUNDS, ids="+".join)
def test_faults_are_told_of_and_so_is_their_end_and_nothing_else_pages(
    scene: Scene, names: tuple[str, ...]
) -> None:
    faults = tuple(_dealt([BY_NAME[name] for name in names]))
    expected = [each for fault, kind in faults for each in Expected.of(fault, kind)]

    pages = _pages_of(scene, expected, _broken(scene, faults))

    waiting = ABOUT_TIME if any(name.startswith("loop") for name in names) else set()
    assert pages <= {each.alert for each in expected} | waiting | _host_is_to_blame_for(scene)


def test_a_process_that_is_suspended_is_told_of(scene: Scene) -> None:
    pages = _pages_of(scene, [Expected("TargetDown")], _suspended(scene))

    assert pages <= {"TargetDown", "MetricsAbsent"} | ABOUT_TIME


def test_an_alert_links_to_its_board_with_everything_chosen(scene: Scene) -> None:
    """After the faults: what they have told."""
    for alert in scene.webhook.told("tickets", "firing") + scene.webhook.told("pages", "firing"):
        chosen = parse_qs(urlsplit(alert["annotations"]["dashboard_url"]).query)

        assert chosen["var-job"] == ["stallscope"]
        if "instance" in alert["labels"]:
            assert chosen["var-instance"] == [f"127.0.0.1:{scene.service.ops_port}"]


def test_every_panel_has_something_to_show_of_what_was_wrong(scene: Scene) -> None:
    """After the faults, and two that no alert is about."""
    _hang_up(scene.service)
    _rush(scene.service)

    with visiting(scene.service.url):
        assert still_silent(scene.prometheus, NOT_HERE) == []


def _pages_of(
    scene: Scene, expected: Sequence[Expected], broken: AbstractContextManager[None]
) -> set[str]:
    """See the expected alerts come and go; gives the names of the pages that came meanwhile."""
    until(lambda: not any(map(_is_active(scene), expected)), f"nothing is told of {expected}")
    before = _names_active(scene)
    told = {
        (receiver, status): len(scene.webhook.told(receiver, status))
        for receiver in ("pages", "tickets")
        for status in ("firing", "resolved")
    }

    def heard(status: str) -> set[Expected]:
        return {
            each
            for each in expected
            for alert in scene.webhook.told(each.receiver, status)[told[each.receiver, status] :]
            if each.fits(alert["labels"])
        }

    with broken:
        until(lambda: heard("firing") == set(expected), f"told of {expected}")
    until(lambda: heard("resolved") == set(expected), f"told of the end of {expected}")
    return _names(scene.webhook.told("pages", "firing")[told["pages", "firing"] :]) - before


def _is_active(scene: Scene) -> Callable[[Expected], bool]:
    active = [each["metric"] for each in scene.prometheus.ask("query", query="ALERTS")["result"]]
    return lambda expected: any(map(expected.fits, active))


def _names_active(scene: Scene) -> set[str]:
    active = scene.prometheus.ask("query", query="ALERTS")["result"]
    return {each["metric"]["alertname"] for each in active}


def _names(alerts: Sequence[Alert]) -> set[str]:
    return {each["labels"]["alertname"] for each in alerts}


def _dealt(faults: Sequence[Fault]) -> Iterator[tuple[Fault, Kind | None]]:
    upstreams: Iterator[Kind] = iter(("reviews", "inventory"))
    for fault in faults:
        yield fault, next(upstreams) if isinstance(fault.cause, Misbehaviour) else None


@contextmanager
def _broken(scene: Scene, faults: Sequence[tuple[Fault, Kind | None]]) -> Iterator[None]:
    with ExitStack() as mending:
        mending.callback(scene.world.mend)
        for fault, kind in faults:
            match fault.cause:
                case Misbehaviour(mode=mode, share=share):
                    scene.upstream(kind or "reviews").behave(mode=mode, share=share)
                case Outage("Valkey"):
                    scene.world.valkey.stop()
                case Outage("PostgreSQL"):
                    scene.world.postgres.stop()
                case Mistake(path=path, pause_seconds=pause_seconds):
                    url = scene.service.url + path
                    mending.enter_context(visiting_again_and_again(url, pause_seconds))
        yield


@contextmanager
def _suspended(scene: Scene) -> Iterator[None]:
    scene.service.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        scene.service.process.send_signal(signal.SIGCONT)


def _host_is_to_blame_for(scene: Scene) -> set[str]:
    """It says so itself."""
    name = "asyncio_eventloop_stall_duration_seconds_count"
    late = sum(scene.service.metric(name, cause=cause) for cause in HOST_CAUSES)
    return ABOUT_TIME if late else set()


def _hang_up(service: RunningService) -> None:
    """Whole uploads whose senders do not wait for an answer."""
    with ExitStack() as open_ones:
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", service.port))
            open_ones.enter_context(connection).sendall(texts_question(100, words=60).sent)
        waiting = partial(service.metric, "ml_queued_rows", model=SENTIMENT)
        until(lambda: waiting() > 0, "texts wait for the model")


def _rush(service: RunningService) -> None:
    """More requests at once than one client may send."""
    with socket.create_connection(("127.0.0.1", service.port), 20) as connection:
        while service.metric("rate_limited_requests_total") == 0:
            connection.sendall(request("/v1/product/1/enriched") * 200)
            connection.recv(65536)
