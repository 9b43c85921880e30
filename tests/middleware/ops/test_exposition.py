"""All metrics, in the format that was asked for."""

import threading
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from prometheus_client.registry import Collector

from middleware.cells import HistogramFamily
from middleware.drops import Drops
from middleware.ops import exposition

from .asking import Answer, ops_port

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TRACE = ("abc".zfill(32), 1_700_000_000_000_000_000, True)


@pytest.fixture
def registry() -> CollectorRegistry:
    """One metric of each making."""
    registry = CollectorRegistry(target_info={"version": "1"})
    Counter("jobs_total", "Done.", registry=registry).inc(exemplar={"trace_id": "abc"})
    Gauge("room", 'In "m²".', ["house"], registry=registry).labels("a\n\\b").set(7)
    waits = Histogram("wait_seconds", "Waited.", ["queue"], buckets=(1, 5), registry=registry)
    waits.labels("main").observe(2)
    family = HistogramFamily(
        "run_seconds", "Ran.", ("kind",), (1.0, 5.0), max_label_sets=9, drops=Drops(registry)
    )
    family.cell("batch").observe_traced(2, TRACE)
    registry.register(family)
    return registry


class Broken(Collector):
    """Raises when it is asked."""

    def collect(self) -> Iterable[Metric]:
        """Never gives anything."""
        raise ZeroDivisionError("secret")


class Hanging(Collector):
    """Waits until it is let go."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def collect(self) -> Iterable[Metric]:
        """Gives nothing, late."""
        self.asked.set()
        self.go.wait()
        return ()


def test_a_collector_that_raises_costs_the_scrape_and_no_other_page(
    registry: CollectorRegistry,
) -> None:
    registry.register(Broken())

    with ops_port(registries=[registry]) as port:
        answers = [Answer(port, path) for path in ("/metrics", "/metrics", "/livez")]

    assert [answer.status for answer in answers] == [500, 500, 200]
    assert "secret" not in answers[0].text


def test_a_collector_that_hangs_holds_up_no_other_page_and_no_stop(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "SCRAPE_SECONDS", 0.2)
    hanging = Hanging()
    registry.register(hanging)
    before = threading.active_count()

    try:
        with ops_port(registries=[registry]) as port:
            answers = [Answer(port, path) for path in ("/metrics", "/metrics", "/livez")]
            threads = threading.active_count() - before
    finally:
        hanging.go.set()

    assert [answer.status for answer in answers] == [503, 503, 200]
    assert threads == 2  # the port's and one that hangs: the second scrape has not begun


def test_the_port_closes_in_the_middle_of_a_scrape() -> None:
    registry = CollectorRegistry()
    hanging = Hanging()
    registry.register(hanging)
    many = Gauge("many", "A lot.", ["number"], registry=registry)
    for number in range(1000):
        many.labels(str(number))
    before = set(threading.enumerate())

    with ops_port(registries=[registry]) as port:
        client = threading.Thread(target=_ask_in_vain, args=(port,))
        client.start()
        hanging.asked.wait()
        (scrape,) = (each for each in threading.enumerate() if each.name == "ops-scrape")
        hanging.go.set()

    client.join()
    scrape.join()
    assert set(threading.enumerate()) <= before


def _ask_in_vain(port: int) -> None:
    try:
        Answer(port, "/metrics")
    except OSError:
        pass  # closed before the answer, or after it: both are fine


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain", "nonsense", "text/plain;version=x", ";;,=;", "text/html"]
)
def test_metrics_are_plain_text_unless_openmetrics_is_asked_for(
    registry: CollectorRegistry, accept: str
) -> None:
    with ops_port(registries=[registry]) as port:
        answer = Answer(port, "/metrics", Accept=accept)

    families = {family.name: family for family in plain_text(answer.text)}
    assert answer.headers["content-type"].startswith("text/plain")
    assert families["room"].samples[0].labels == {"house": "a\n\\b"}
    assert "# EOF" not in answer.text


def test_metrics_are_openmetrics_with_exemplars_for_those_who_ask(
    registry: CollectorRegistry,
) -> None:
    with ops_port(registries=[registry]) as port:
        answer = Answer(port, "/metrics", Accept=f"{OPENMETRICS},text/plain;q=0.5")

    families = openmetrics(answer.text)  # type: ignore[no-untyped-call]  # no types there
    exemplars = {
        (sample.name, sample.exemplar.labels["trace_id"])
        for family in families
        for sample in family.samples
        if sample.exemplar
    }
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert exemplars == {("jobs_total", "abc"), ("run_seconds_bucket", f"{0xABC:032x}")}


def test_all_is_there_that_prometheus_client_would_show(registry: CollectorRegistry) -> None:
    with ops_port(registries=[registry]) as port:
        shown = Answer(port, "/metrics").text

    expected = generate_latest(registry).decode()
    assert _without_birthdays(shown) == _without_birthdays(expected)


def _without_birthdays(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if "_created" not in line)


def test_a_histogram_of_plain_numbers_is_a_histogram(registry: CollectorRegistry) -> None:
    with ops_port(registries=[registry]) as port:
        families = {each.name: each for each in plain_text(Answer(port, "/metrics").text)}

    assert families["run_seconds"].type == "histogram"
    assert [(each.name, each.labels, each.value) for each in families["run_seconds"].samples] == [
        ("run_seconds_bucket", {"kind": "batch", "le": "1.0"}, 0),
        ("run_seconds_bucket", {"kind": "batch", "le": "5.0"}, 1),
        ("run_seconds_bucket", {"kind": "batch", "le": "+Inf"}, 1),
        ("run_seconds_count", {"kind": "batch"}, 1),
        ("run_seconds_sum", {"kind": "batch"}, 2),
    ]


def test_gzip_is_for_those_who_ask(registry: CollectorRegistry) -> None:
    with ops_port(registries=[registry]) as port:
        zipped = Answer(port, "/metrics", Accept_Encoding="deflate, gzip;q=0.8")
        plain = Answer(port, "/metrics", Accept_Encoding="br")

    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) == len(zipped.body)
    assert zipped.body[:2] == b"\x1f\x8b"
    assert "content-encoding" not in plain.headers
    assert zipped.text == plain.text


def test_what_two_registries_have_is_shown_once_from_the_first(
    registry: CollectorRegistry,
) -> None:
    other = CollectorRegistry()
    Counter("jobs_total", "Others.", registry=other).inc(5)
    Gauge("own", "Of the other alone.", registry=other).set(3)

    with ops_port(registries=[registry, other]) as port:
        text = Answer(port, "/metrics", Accept=OPENMETRICS).text

    assert text.count("# TYPE jobs counter") == 1
    assert "jobs_total 1.0" in text
    assert "own 3.0" in text


def test_a_metric_that_its_collector_keeps_stays_as_it_is() -> None:
    kept = GaugeMetricFamily("kept", "The same each time.", 1)

    class Keeping(Collector):
        def collect(self) -> Iterable[Metric]:
            """The kept one."""
            return [kept]

    registry = CollectorRegistry()
    registry.register(Keeping())

    with ops_port(registries=[registry]) as port:
        for _ in range(2):
            Answer(port, "/metrics")

    assert isinstance(kept.samples, list)
