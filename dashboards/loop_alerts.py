"""Alerts on the event loop: who blocks it makes everybody wait."""

from dashboards.alert import Alert
from dashboards.names import INSTANCE, JOB, METRICS
from dashboards.promql import Scope, equals

_BY_REPLICA = (JOB, INSTANCE)
_STALLS = "http://{{ $labels.instance }}/stalls"
_LATELY = Scope(window="5m")


# One replica each; they stand on series that are there from the start.
LOOP_ALERTS = (
    Alert(
        name="EventLoopBlocked",
        expression=f"{METRICS.asyncio_eventloop_blocked_seconds} > 1",
        severity="page",
        # Else a short hang is over before anybody is told; EventLoopStalledShare, which counts it
        # for 5 minutes, is silent for as long.
        outlasts="6m",
        summary="The event loop of {{ $labels.instance }} is blocked",
        description=(
            "For {{ $value | humanizeDuration }} it has run nothing, and this replica answers"
            f" nobody meanwhile. Its ops port does: {_STALLS} names the line and the request."
        ),
        board="event-loop",
    ),
    Alert(
        name="EventLoopStalled",
        expression=(
            Scope(window="10m").increase_of(METRICS.asyncio_eventloop_stalls_total, by=_BY_REPLICA)
            + " > 0"
        ),
        severity="ticket",
        summary="Something blocked the event loop of {{ $labels.instance }}",
        description=(
            '{{ $value | printf "%.0f" }} times in the last 10 minutes it could not run for longer'
            f" than the threshold. {_STALLS} says who did it, for how long, and who waited."
        ),
        board="event-loop",
    ),
    Alert(
        name="EventLoopStalledShare",
        expression=(
            _LATELY.rate_of(METRICS.asyncio_eventloop_stall_duration_seconds.sum, by=_BY_REPLICA)
            + " > 0.05"
        ),
        severity="page",
        holds="2m",
        summary="The event loop of {{ $labels.instance }} stands still again and again",
        description=(
            "{{ $value | humanizePercentage }} of the last 5 minutes it was blocked, 5 % at most"
            f" may be. {_STALLS} lists the culprits."
        ),
        board="event-loop",
    ),
    Alert(
        name="EventLoopDelayHigh",
        expression=(
            _LATELY.quantile_of(0.99, METRICS.asyncio_eventloop_delay_seconds, by=_BY_REPLICA)
            + " > 0.1"
        ),
        severity="ticket",
        holds="10m",
        summary="The event loop of {{ $labels.instance }} comes late to its work",
        description=(
            "One beat in a hundred comes {{ $value | humanizeDuration }} late or later, 0.1 s is"
            " the limit: every request waits so long each time it wants to go on."
        ),
        board="event-loop",
    ),
    Alert(
        name="EventLoopSaturated",
        expression=f"avg_over_time({METRICS.asyncio_eventloop_utilization_ratio}[5m]) > 0.9",
        severity="ticket",
        holds="10m",
        summary="The event loop of {{ $labels.instance }} has no time left",
        description=(
            "Its thread computes {{ $value | humanizePercentage }} of the time; above 90 % requests"
            " queue up. One loop is one core: more replicas, or less work on each."
        ),
        board="event-loop",
    ),
    Alert(
        name="StallDetectorOff",
        expression=_LATELY.series(METRICS.asyncio_eventloop_detector_info, equals("mode", "off"))
        + " == 1",
        severity="ticket",
        holds="5m",
        summary="Nobody watches the event loop of {{ $labels.instance }}",
        description=(
            "The stall detector is off (the metric says {{ $value }} for mode `off`): while it is,"
            " no alert on the event loop can fire."
        ),
        board="telemetry",
    ),
)
