"""Stalls and the loop as metrics: exact, bounded, there from the start, nothing stale."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families

from middleware.drops import Drops
from middleware.stall.history import StallHistory
from middleware.stall.record import Cause
from middleware.stall.report.metrics import StallMetrics

from .telling import NOBODY, TRACE, function, ongoing, stall, tell

STALLS = "asyncio_eventloop_stalls_total"
DURATION = "asyncio_eventloop_stall_duration_seconds"
CULPRIT = "asyncio_eventloop_stall_culprit_seconds_total"
VICTIM = "asyncio_eventloop_stall_victim_seconds_total"
AT_SCRAPE = [
    "asyncio_eventloop_utilization_ratio",
    "asyncio_eventloop_blocked_seconds",
    "asyncio_eventloop_thread_cpu_seconds_total",
    "asyncio_tasks",
]


@dataclass
class Loop:
    """A loop that is watched."""

    utilization_ratio: float = 0.25
    blocked_seconds: float = 1.5
    thread_cpu_seconds: float = 70.0
    tasks: int = 12
    busy_seconds: Mapping[str, float] = field(
        default_factory=lambda: {"/prices/{item}": 60.0, "background": 10.0}
    )


class Unreadable(Loop):
    """Whose thread has just gone."""

    @property
    def tasks(self) -> int:
        raise RuntimeError

    @tasks.setter
    def tasks(self, number: int) -> None:
        pass


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> StallMetrics:
    return StallMetrics(registry, Drops(registry))


def samples(registry: CollectorRegistry, name: str) -> list[Any]:
    return [
        sample for family in registry.collect() for sample in family.samples if sample.name == name
    ]


@pytest.mark.usefixtures("metrics")
def test_before_the_first_stall_there_is_a_0_for_it(registry: CollectorRegistry) -> None:
    assert registry.get_sample_value(STALLS) == 0
    for cause in Cause:
        assert registry.get_sample_value(f"{DURATION}_count", {"cause": cause}) == 0
    assert registry.get_sample_value("asyncio_eventloop_stall_reports_suppressed_total") == 0
    assert registry.get_sample_value("asyncio_eventloop_delay_seconds_count") == 0


@pytest.mark.usefixtures("metrics")
def test_where_no_detector_runs_everything_is_0_and_the_mode_says_so(
    registry: CollectorRegistry,
) -> None:
    assert [registry.get_sample_value(name) for name in AT_SCRAPE] == [0] * len(AT_SCRAPE)
    busy = "asyncio_eventloop_busy_seconds_total"
    assert registry.get_sample_value(busy, {"http_route": "background"}) == 0
    assert registry.get_sample_value("asyncio_eventloop_detector_info", {"mode": "off"}) == 1


def test_a_loop_that_cannot_be_read_costs_its_own_values_and_not_the_scrape(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    metrics.loop.show(Unreadable(), None)
    tell(metrics, stall())

    scraped = {sample.name: sample.value for each in registry.collect() for sample in each.samples}

    assert not scraped.keys() & set(AT_SCRAPE)
    assert scraped[STALLS] == 1
    assert registry.get_sample_value("telemetry_dropped_total", {"signal": "stalls"}) == 1


def test_a_stall_is_counted_when_it_begins_and_not_measured_before_it_is_over(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    metrics.opened(ongoing(), NOBODY)
    metrics.goes_on(ongoing(duration_seconds=2.0), NOBODY)

    assert registry.get_sample_value(STALLS) == 1
    labels = {"cause": "blocking_call"}
    assert registry.get_sample_value(f"{DURATION}_count", labels) == 0
    assert samples(registry, CULPRIT) == []


def test_a_stall_told_of_twice_counts_once(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    for _ in range(2):
        tell(metrics, stall())

    assert registry.get_sample_value(STALLS) == 1
    assert registry.get_sample_value(f"{DURATION}_count", {"cause": "blocking_call"}) == 1
    assert registry.get_sample_value(VICTIM, {"http_route": "/health"}) == 0.31


def test_the_same_bug_a_thousand_times_is_counted_exactly(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    for number in range(1000):
        tell(metrics, stall(number, duration_seconds=0.25, lost_by_route=(("/a", 0.5), ("/b", 1))))

    labels = {"culprit": "shop.prices:Prices.of", "cause": "blocking_call"}
    assert registry.get_sample_value(STALLS) == 1000
    assert registry.get_sample_value(f"{DURATION}_count", {"cause": "blocking_call"}) == 1000
    assert registry.get_sample_value(f"{DURATION}_sum", {"cause": "blocking_call"}) == 250
    assert registry.get_sample_value(CULPRIT, labels) == 250
    assert registry.get_sample_value(VICTIM, {"http_route": "/a"}) == 500
    assert registry.get_sample_value(VICTIM, {"http_route": "/b"}) == 1000


def test_500_culprits_are_51_names_and_no_time_is_lost(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    for number in range(500):
        tell(metrics, stall(number, duration_seconds=0.5, culprit=function(number)))
    tell(metrics, stall(500, duration_seconds=0.5, culprit=function(0), cause=Cause.CPU))

    found = samples(registry, CULPRIT)
    assert len({sample.labels["culprit"] for sample in found}) == 51
    assert sum(sample.value for sample in found) == 250.5
    other = {"culprit": "other", "cause": "blocking_call"}
    assert registry.get_sample_value(CULPRIT, other) == 225
    known = {"culprit": "shop.prices:block_0", "cause": "cpu"}
    assert registry.get_sample_value(CULPRIT, known) == 0.5


def test_routes_of_victims_are_2000_and_other(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    lost = tuple((f"/{number}", 0.5) for number in range(2500))

    tell(metrics, stall(lost_by_route=lost))

    assert len(samples(registry, VICTIM)) == 2001
    assert registry.get_sample_value(VICTIM, {"http_route": "other"}) == 250


def test_a_stall_that_is_nobodys_fault_has_no_culprit(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    tell(metrics, stall(cause=Cause.CPU_STARVED, culprit=None, trace_id=None))

    assert samples(registry, CULPRIT) == []
    assert registry.get_sample_value(f"{DURATION}_count", {"cause": "cpu_starved"}) == 1


@pytest.mark.parametrize(("trace_id", "exemplars"), [(TRACE, [{"trace_id": TRACE}]), (None, [])])
def test_an_exemplar_leads_to_the_request_if_that_is_known(
    registry: CollectorRegistry,
    metrics: StallMetrics,
    trace_id: str | None,
    exemplars: list[dict[str, str]],
) -> None:
    tell(metrics, stall(trace_id=trace_id))

    buckets = samples(registry, f"{DURATION}_bucket")
    assert [each.exemplar.labels for each in buckets if each.exemplar] == exemplars


def test_a_stall_of_a_minute_is_told_from_a_longer_one(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    tell(metrics, stall(1, duration_seconds=59.0))
    tell(metrics, stall(2, duration_seconds=90.0))

    labels = {"cause": "blocking_call", "le": "60.0"}
    assert registry.get_sample_value(f"{DURATION}_bucket", labels) == 1


def test_the_loop_is_shown_as_it_is_when_somebody_asks(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    loop = Loop()
    metrics.loop.show(loop, None)
    assert [registry.get_sample_value(name) for name in AT_SCRAPE] == [0.25, 1.5, 70.0, 12]

    loop.blocked_seconds = 2.5

    assert registry.get_sample_value("asyncio_eventloop_blocked_seconds") == 2.5
    busy = samples(registry, "asyncio_eventloop_busy_seconds_total")
    assert {each.labels["http_route"]: each.value for each in busy} == loop.busy_seconds


def test_the_mode_is_the_one_of_now(registry: CollectorRegistry, metrics: StallMetrics) -> None:
    history = StallHistory("remote")
    metrics.loop.show(Loop(), history)
    history.mode = "watchdog"  # the sidecar has died

    (mode,) = samples(registry, "asyncio_eventloop_detector_info")
    assert (mode.labels, mode.value) == ({"mode": "watchdog"}, 1)


def test_what_was_counted_outlives_a_detector_and_what_it_showed_does_not(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    metrics.loop.show(Loop(), StallHistory("remote"))
    tell(metrics, stall())

    metrics.loop.show(None, None)

    assert registry.get_sample_value(STALLS) == 1
    assert registry.get_sample_value("asyncio_eventloop_blocked_seconds") == 0
    assert registry.get_sample_value("asyncio_eventloop_detector_info", {"mode": "remote"}) is None


def test_the_heartbeat_writes_delays(registry: CollectorRegistry, metrics: StallMetrics) -> None:
    for seconds in (0.0005, 0.001, 0.02, 30.0):
        metrics.delay.observe(seconds)

    delay = "asyncio_eventloop_delay_seconds"
    assert registry.get_sample_value(f"{delay}_count") == 4
    bounds = [each.labels["le"] for each in samples(registry, f"{delay}_bucket")]
    assert (bounds[0], bounds[-2:]) == ("0.001", ["10.0", "+Inf"])
    assert registry.get_sample_value(f"{delay}_bucket", {"le": "0.001"}) == 2
    assert registry.get_sample_value(f"{delay}_bucket", {"le": "10.0"}) == 3


def test_both_formats_say_it_all_and_can_be_read(
    registry: CollectorRegistry, metrics: StallMetrics
) -> None:
    metrics.loop.show(Loop(), StallHistory("remote"))
    tell(metrics, stall(culprit=function(1)))

    text = generate_latest(registry).decode()
    open_text = exposition.generate_latest(registry).decode()  # type: ignore[no-untyped-call]

    families = {each.name: each for each in text_string_to_metric_families(text)}
    opened = {each.name for each in parser.text_string_to_metric_families(open_text)}  # type: ignore[no-untyped-call]
    assert all(each.documentation for each in families.values())
    assert opened >= {DURATION, "asyncio_eventloop_stalls", "asyncio_eventloop_busy_seconds"}
    assert families["asyncio_eventloop_thread_cpu_seconds"].type == "counter"


def test_a_scrape_may_come_at_any_time(registry: CollectorRegistry, metrics: StallMetrics) -> None:
    told = threading.Event()
    faults: list[Exception] = []

    def scrape() -> None:
        try:
            while not told.is_set():
                generate_latest(registry)
        except Exception as fault:  # noqa: BLE001
            faults.append(fault)

    scraping = threading.Thread(target=scrape)
    scraping.start()
    for number in range(300):
        tell(metrics, stall(number, culprit=function(number), lost_by_route=((f"/{number}", 1),)))
    told.set()
    scraping.join()

    assert faults == []
    assert registry.get_sample_value(STALLS) == 300
