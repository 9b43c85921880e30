"""What blocks the event loop, whose fault it is, and who waits because of it."""

from dashboards.board import REPLICAS, REPLICAS_SHOWN, Board, Choice, Row
from dashboards.links import field, to_logs, to_stalls
from dashboards.names import INSTANCE, METRICS
from dashboards.panel import Query
from dashboards.panels import Column, Heatmap, Stat, Table, TimeSeries
from dashboards.promql import ROUTE, matches
from dashboards.thresholds import bad_from

UID = "stallscope-event-loop"

_BLOCKED = METRICS.asyncio_eventloop_blocked_seconds
_STALLS = METRICS.asyncio_eventloop_stalls_total
_DURATION = METRICS.asyncio_eventloop_stall_duration_seconds
_DELAY = METRICS.asyncio_eventloop_delay_seconds
_CULPRITS = METRICS.asyncio_eventloop_stall_culprit_seconds_total
_VICTIMS = METRICS.asyncio_eventloop_stall_victim_seconds_total

_CULPRIT = ("culprit", "cause", INSTANCE)
_CAUSE = matches("cause", "$cause")
_BLOCKING = bad_from(1, warning=0.1)
_SHARE = bad_from(0.05, warning=0.01)
_NO_REPLICA = "No replica answers"
_LOGS = to_logs(
    "Its log lines",
    '{service_name="stallscope"} | json | event="event_loop_stall"'
    ' | label_format culprit="{{.culprit_module}}:{{.culprit_function}}"'
    f' | culprit="{field("culprit")}"',
)

_NOW = Row(
    "Stalls",
    (
        Stat(
            title="Blocked now",
            description="For how long the event loop that is worst off cannot run at this moment: "
            "0 when all is well.",
            unit="s",
            no_data=_NO_REPLICA,
            thresholds=_BLOCKING,
            queries=(Query(REPLICAS.max_of(_BLOCKED), "longest"),),
            width=6,
        ),
        Stat(
            title="Stalls",
            description="Times in which an event loop could not run for longer than the "
            "threshold, within the time that is shown.",
            unit="short",
            no_data=_NO_REPLICA,
            thresholds=bad_from(10, warning=1),
            decimals=0,
            queries=(Query(REPLICAS_SHOWN.increase_of(_STALLS), "stalls"),),
            width=6,
        ),
        Stat(
            title="Stalled share of time",
            description="Share of the time that is shown in which an event loop was stalled, of "
            "the replica that is worst off.",
            unit="percentunit",
            no_data=_NO_REPLICA,
            thresholds=_SHARE,
            queries=(
                Query(f"max({REPLICAS_SHOWN.rate_of(_DURATION.sum, by=[INSTANCE])})", "worst"),
            ),
            width=6,
        ),
        Stat(
            title="How stalls are seen",
            description="Replicas by what their detector can do: `remote` sees stalls from "
            "outside, too, while C code holds the GIL; `watchdog` from inside; `off` sees none.",
            unit="short",
            no_data=_NO_REPLICA,
            queries=(
                Query(
                    REPLICAS.sum_of(METRICS.asyncio_eventloop_detector_info, by=["mode"]),
                    "{{mode}}",
                ),
            ),
            named=True,
            width=6,
        ),
        TimeSeries(
            title="Longest block",
            description="The longest time for which each event loop was blocked when it was "
            "looked at.",
            unit="s",
            no_data=_NO_REPLICA,
            thresholds=_BLOCKING,
            queries=(Query(REPLICAS.highest_of(_BLOCKED, by=[INSTANCE]), "{{instance}}"),),
        ),
        TimeSeries(
            title="Stalled share of time by cause",
            description="Seconds per second for which event loops could not run, counted when a "
            "stall is over. The stalls page says what each cause means.",
            unit="percentunit",
            no_data=_NO_REPLICA,
            stacked=True,
            thresholds=_SHARE,
            queries=(Query(REPLICAS.rate_of(_DURATION.sum, _CAUSE, by=["cause"]), "{{cause}}"),),
        ),
        Heatmap(
            title="Durations of stalls",
            description="How many stalls of the chosen causes lasted how long. The dots are "
            "single stalls: a click shows the trace of the request that did it.",
            unit="s",
            no_data=_NO_REPLICA,
            queries=(
                Query(
                    REPLICAS.increase_of(_DURATION.bucket, _CAUSE, by=["le"]),
                    "{{le}}",
                    exemplars=True,
                ),
            ),
        ),
        TimeSeries(
            title="Stalls by cause",
            description="Stalls that ended, of the chosen causes, within each step.",
            unit="short",
            no_data=_NO_REPLICA,
            stacked=True,
            queries=(
                Query(REPLICAS.increase_of(_DURATION.count, _CAUSE, by=["cause"]), "{{cause}}"),
            ),
        ),
        Table(
            title="Culprits",
            description="Functions that blocked an event loop within the time that is shown, and "
            "for how long. A click on one leads to its log lines, on a replica to its stalls page "
            "with stacks and flame graph.",
            unit="short",
            no_data="No code of ours has blocked the event loop: good",
            labels={"culprit": "Culprit", "cause": "Cause", INSTANCE: "Replica"},
            label_links={"culprit": (_LOGS, to_stalls()), INSTANCE: (to_stalls(),)},
            columns=(
                Column(
                    "Blocked",
                    f"{REPLICAS_SHOWN.growth_of(_CULPRITS, _CAUSE, by=_CULPRIT)} > 0",
                    "s",
                    _BLOCKING,
                ),
            ),
            width=14,
        ),
        Table(
            title="Victims",
            description="Routes whose requests lost time while something else blocked the event "
            "loop, within the time that is shown.",
            unit="short",
            no_data="No request has lost time to another one's stall: good",
            labels={ROUTE: "Route"},
            columns=(
                Column(
                    "Lost", f"{REPLICAS_SHOWN.growth_of(_VICTIMS, by=[ROUTE])} > 0", "s", _BLOCKING
                ),
            ),
            width=10,
        ),
    ),
)

_LOAD = Row(
    "Load",
    (
        TimeSeries(
            title="Delay",
            description="How much later than it was due the event loop came to its heartbeat: "
            "what every callback waits. `max` is the upper bound of the fullest bucket.",
            unit="s",
            no_data=_NO_REPLICA,
            thresholds=bad_from(0.1, warning=0.05),
            queries=tuple(
                Query(REPLICAS.quantile_of(quantile, _DELAY), name)
                for quantile, name in ((0.5, "p50"), (0.99, "p99"), (1, "max"))
            ),
        ),
        TimeSeries(
            title="Utilization",
            description="CPU time per second of each event loop's thread: near 1 every callback "
            "queues, and only more replicas or less work per request help.",
            unit="percentunit",
            no_data=_NO_REPLICA,
            thresholds=bad_from(0.9, warning=0.7),
            maximum=1,
            queries=(
                Query(
                    REPLICAS.max_of(METRICS.asyncio_eventloop_utilization_ratio, by=[INSTANCE]),
                    "{{instance}}",
                ),
            ),
        ),
        TimeSeries(
            title="Who uses the loop",
            description="Seconds per second that the event loops ran for each route's requests, "
            "or in the background; sampled.",
            unit="percentunit",
            no_data=_NO_REPLICA,
            stacked=True,
            queries=(
                Query(
                    REPLICAS.rate_of(METRICS.asyncio_eventloop_busy_seconds_total, by=[ROUTE]),
                    "{{http_route}}",
                ),
            ),
        ),
        TimeSeries(
            title="Delay by replica",
            description="p99 of the delay, by replica.",
            unit="s",
            no_data=_NO_REPLICA,
            thresholds=bad_from(0.1, warning=0.05),
            queries=(Query(REPLICAS.quantile_of(0.99, _DELAY, by=[INSTANCE]), "{{instance}}"),),
        ),
    ),
)

BOARD = Board(
    UID,
    "Event loop",
    "What blocks the event loop, whose fault it is, and who waits because of it.",
    (_NOW, _LOAD),
    choices=(Choice("cause", _DURATION.count, "cause"),),
)
