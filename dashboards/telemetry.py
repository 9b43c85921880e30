"""Whether the telemetry itself can be trusted, and what it costs."""

from dashboards.board import REPLICAS, Board, Row
from dashboards.names import INSTANCE, METRICS, PROMETHEUS
from dashboards.panel import Query
from dashboards.panels import Column, Stat, Table, TimeSeries
from dashboards.thresholds import bad_below, bad_from

UID = "stallscope-telemetry"

_NO_TARGET = "Prometheus scrapes nothing"
_STORED = PROMETHEUS.scrape_samples_post_metric_relabeling
_TAKES = PROMETHEUS.scrape_duration_seconds
# What Prometheus' documentation says of its own storage: 1 to 2 bytes a sample.
_BYTES_PER_SAMPLE = 1.5
_ALL_SERIES = f"{{{', '.join(map(str, REPLICAS.matchers))}}}"


def _per_second_shown() -> str:
    """Samples that were stored for each second that is shown."""
    return f"sum(sum_over_time({REPLICAS.series(_STORED)}[$__range])) / $__range_s"


_LOSSES = Row(
    "Losses",
    (
        TimeSeries(
            title="Dropped",
            description="Telemetry lost within each step, by signal: a queue was full, a backend "
            "gone, a label set refused, or a fault of our own. Requests never suffer from it.",
            unit="short",
            no_data="No replica answers",
            thresholds=bad_from(1),
            queries=(
                Query(
                    REPLICAS.increase_of(METRICS.telemetry_dropped_total, by=["signal"]),
                    "{{signal}}",
                ),
            ),
        ),
        TimeSeries(
            title="Stalls not reported to Sentry",
            description="Stalls within each step that were not reported because the same one was "
            "a while ago: they are in metrics and logs.",
            unit="short",
            no_data="No replica answers",
            queries=(
                Query(
                    REPLICAS.increase_of(
                        METRICS.asyncio_eventloop_stall_reports_suppressed_total, by=[INSTANCE]
                    ),
                    "{{instance}}",
                ),
            ),
        ),
        TimeSeries(
            title="Targets",
            description="1 for a target that answered its last scrape, 0 for one that did not.",
            unit="short",
            no_data=_NO_TARGET,
            maximum=1,
            thresholds=bad_below(1),
            queries=(Query(REPLICAS.min_of(PROMETHEUS.up, by=[INSTANCE]), "{{instance}}"),),
            height=6,
        ),
        Stat(
            title="Detectors",
            description="Replicas by how their detector sees stalls; `off` sees none.",
            unit="short",
            no_data="No replica answers",
            queries=(
                Query(
                    REPLICAS.sum_of(METRICS.asyncio_eventloop_detector_info, by=["mode"]),
                    "{{mode}}",
                ),
            ),
            width=12,
            height=6,
        ),
    ),
)

_COST = Row(
    "Cost",
    (
        Stat(
            title="Samples stored",
            description="Samples that Prometheus stores of these targets, for each second that is "
            "shown.",
            unit="cps",
            no_data=_NO_TARGET,
            queries=(Query(_per_second_shown(), "samples"),),
            width=6,
        ),
        Stat(
            title="Disk for a day",
            description="What these samples take on Prometheus' disk in a day, at "
            f"{_BYTES_PER_SAMPLE:g} bytes each.",
            unit="bytes",
            no_data=_NO_TARGET,
            queries=(Query(f"{_BYTES_PER_SAMPLE * 86400:g} * {_per_second_shown()}", "disk"),),
            width=6,
        ),
        Stat(
            title="Series",
            description="Series that the targets showed at their last scrape.",
            unit="short",
            no_data=_NO_TARGET,
            thresholds=bad_from(100_000, warning=20_000),
            queries=(Query(REPLICAS.sum_of(PROMETHEUS.scrape_samples_scraped), "series"),),
            width=6,
        ),
        Stat(
            title="Slowest scrape",
            description="Duration of the last scrape, of the target that took longest.",
            unit="s",
            no_data=_NO_TARGET,
            thresholds=bad_from(5, warning=1),
            queries=(Query(REPLICAS.max_of(_TAKES), "slowest"),),
            width=6,
        ),
        TimeSeries(
            title="Scrape time",
            description="How long each target's scrape took: it does not hold up requests, but "
            "beyond the scrape interval there are gaps.",
            unit="s",
            no_data=_NO_TARGET,
            thresholds=bad_from(5, warning=1),
            queries=(Query(REPLICAS.max_of(_TAKES, by=[INSTANCE]), "{{instance}}"),),
            width=8,
        ),
        TimeSeries(
            title="Samples by target",
            description="Series that each target showed. What rises without end has a label with "
            "endless values.",
            unit="short",
            no_data=_NO_TARGET,
            thresholds=bad_from(100_000, warning=20_000),
            queries=(
                Query(
                    REPLICAS.sum_of(PROMETHEUS.scrape_samples_scraped, by=[INSTANCE]),
                    "{{instance}}",
                ),
            ),
            width=8,
        ),
        TimeSeries(
            title="New series",
            description="Series that a scrape showed for the first time: many at each deploy, few "
            "between.",
            unit="short",
            no_data=_NO_TARGET,
            queries=(
                Query(
                    REPLICAS.sum_of(PROMETHEUS.scrape_series_added, by=[INSTANCE]), "{{instance}}"
                ),
            ),
            width=8,
        ),
        Table(
            title="Largest metrics",
            description="The metrics with the most series.",
            unit="short",
            no_data=_NO_TARGET,
            labels={"__name__": "Metric"},
            columns=(Column("Series", f"topk(15, count by (__name__) ({_ALL_SERIES}))", "short"),),
        ),
    ),
)

BOARD = Board(
    UID,
    "Telemetry",
    "Whether the telemetry itself can be trusted, and what it costs.",
    (_LOSSES, _COST),
)
