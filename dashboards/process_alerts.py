"""Alerts on processes and on the telemetry itself: whether all the others can be relied on."""

from dashboards.alert import SERVICE_JOB, Alert
from dashboards.names import INSTANCE, JOB, METRICS, PROMETHEUS
from dashboards.promql import Scope, equals

# Other programs have metrics of these names, too.
_OURS = Scope().where(equals(JOB, SERVICE_JOB))


def _memory_growth() -> Alert:
    memory = _OURS.series(METRICS.process_resident_memory_bytes)
    started = _OURS.series(METRICS.process_start_time_seconds)
    return Alert(
        name="MemoryGrowth",
        expression=(
            f"avg_over_time({memory}[1h]) / avg_over_time({memory}[1h] offset 6h) > 1.2"
            f" and changes({started}[7h]) == 0"  # else it has just warmed up
        ),
        severity="ticket",
        holds="1h",
        summary="{{ $labels.instance }} needs more and more memory",
        description=(
            "{{ $value | humanizePercentage }} of what it needed 6 hours ago, and it was not"
            " restarted meanwhile."
        ),
        board="runtime",
    )


# What a replica is short of, and what is not heard of.
PROCESS_ALERTS = (
    Alert(
        name="FileDescriptorsLow",
        expression=(
            f"{_OURS.series(METRICS.process_open_fds)}"
            f" / {_OURS.series(METRICS.process_max_fds)} > 0.8"
        ),
        severity="ticket",
        holds="5m",
        summary="{{ $labels.instance }} runs out of file descriptors",
        description=(
            "{{ $value | humanizePercentage }} of those that it may open are open: without one it"
            " can accept no connection."
        ),
        board="runtime",
    ),
    _memory_growth(),
    Alert(
        name="TargetDown",
        expression=f"{_OURS.series(PROMETHEUS.up)} == 0",
        severity="page",
        holds="1m",
        summary="{{ $labels.instance }} does not answer Prometheus",
        description=(
            "up = {{ $value }}: its ops port, which has a thread of its own, cannot be read. The"
            " process is gone, suspended, or out of reach."
        ),
        board="overview",
    ),
    Alert(
        name="MetricsAbsent",
        expression=f"absent({_OURS.series(METRICS.asyncio_eventloop_stalls_total)})",
        severity="page",
        holds="2m",
        summary="Nothing is known of {{ $labels.job }}",
        description=(
            "No replica tells its metrics (absent = {{ $value }}): none runs, none is found, or"
            " they are scraped under another job's name. All other alerts are blind."
        ),
        board="overview",
        of=(JOB,),
    ),
    Alert(
        name="TelemetryDropped",
        expression=(
            Scope(window="15m").increase_of(
                METRICS.telemetry_dropped_total, by=(JOB, INSTANCE, "signal")
            )
            + " > 0"
        ),
        severity="ticket",
        summary="{{ $labels.instance }} loses {{ $labels.signal }}",
        description=(
            '{{ $value | printf "%.0f" }} pieces were lost in the last 15 minutes: a queue was'
            " full, a backend gone, a label set refused."
        ),
        board="telemetry",
    ),
    Alert(
        name="Watchdog",
        expression="vector(1)",
        severity="none",
        summary="Alerts come through",
        description=(
            "This one always fires (value {{ $value }}). Whoever receives it has to raise the alarm"
            " when it stops."
        ),
        board="overview",
        of=(),
    ),
)
