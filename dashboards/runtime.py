"""The processes: what runs in which version, and what it uses up."""

from dashboards.board import REPLICAS, Board, Row
from dashboards.names import INSTANCE, JOB, METRICS
from dashboards.panel import Query
from dashboards.panels import Column, Stat, Table, TimeSeries
from dashboards.thresholds import bad_from

UID = "stallscope-runtime"

_NO_REPLICA = "No replica answers"
_OPEN, _MOST = METRICS.process_open_fds, METRICS.process_max_fds
_MEMORY = REPLICAS.max_of(METRICS.process_resident_memory_bytes, by=[INSTANCE])
_LIMIT = REPLICAS.max_of(METRICS.container_memory_limit_bytes, by=[INSTANCE])
_REPLICA = (JOB, INSTANCE)
_SINCE = REPLICAS.max_of(METRICS.process_start_time_seconds, by=_REPLICA)
# The value of an info metric is 1: multiplied with it, a value has its labels.
_RUNS_FOR = " * ".join(
    (
        f"(time() - {_SINCE})",
        *(
            f"on ({JOB}, {INSTANCE}) group_left ({label})"
            f" {REPLICAS.max_of(info, by=[*_REPLICA, label])}"
            for info, label in (
                (METRICS.target_info, "service_version"),
                (METRICS.python_info, "version"),
            )
        ),
    )
)

_RUNNING = Row(
    "What runs",
    (
        Table(
            title="Replicas",
            description="Each replica, its version, and since when it runs.",
            unit="short",
            no_data=_NO_REPLICA,
            labels={
                JOB: "Job",
                INSTANCE: "Replica",
                "service_version": "Version",
                "version": "Python",
            },
            columns=(Column("Runs for", _RUNS_FOR, "s"),),
            width=16,
        ),
        Stat(
            title="Workers",
            description="Worker processes of `stallscope serve --workers` by state, as their "
            "supervisor counts them.",
            unit="short",
            no_data="No supervisor is scraped: replicas run on their own",
            queries=(
                Query(REPLICAS.sum_of(METRICS.stallscope_workers, by=["state"]), "{{state}}"),
            ),
            width=8,
            height=8,
        ),
        TimeSeries(
            title="Restarts of workers",
            description="Workers started in the place of one that died, or was relieved in a "
            "rolling restart, within each step.",
            unit="short",
            no_data="No supervisor is scraped: replicas run on their own",
            queries=(
                Query(
                    REPLICAS.increase_of(METRICS.stallscope_worker_restarts_total, by=["reason"]),
                    "{{reason}}",
                ),
            ),
            width=24,
            height=5,
        ),
    ),
)

_RESOURCES = Row(
    "What it uses",
    (
        TimeSeries(
            title="CPU",
            description="CPU time per second of each process, and of its event loop's thread. "
            "What is between the two is models, the ops port and the detector.",
            unit="percentunit",
            no_data=_NO_REPLICA,
            queries=(
                Query(
                    REPLICAS.rate_of(METRICS.process_cpu_seconds_total, by=[INSTANCE]),
                    "{{instance}}",
                ),
                Query(
                    REPLICAS.rate_of(
                        METRICS.asyncio_eventloop_thread_cpu_seconds_total, by=[INSTANCE]
                    ),
                    "{{instance}} event loop",
                ),
            ),
        ),
        TimeSeries(
            title="Memory",
            description="Resident memory of each process, and the limit of the container that it "
            "is in, where it has one.",
            unit="bytes",
            no_data=_NO_REPLICA,
            queries=(
                Query(_MEMORY, "{{instance}}"),
                Query(_LIMIT, "{{instance}} limit"),
            ),
        ),
        TimeSeries(
            title="Memory against its limit",
            description="Share of its container's limit that each process has: at 1 the system "
            "kills it. Other processes of the container count there, and not here.",
            unit="percentunit",
            no_data="No container has a limit",
            maximum=1,
            thresholds=bad_from(0.9, warning=0.8),
            queries=(Query(f"{_MEMORY} / {_LIMIT}", "{{instance}}"),),
        ),
        TimeSeries(
            title="Address space",
            description="Virtual memory of each process: it grows with threads and mapped files, "
            "and hardly means trouble by itself.",
            unit="bytes",
            no_data=_NO_REPLICA,
            queries=(
                Query(
                    REPLICAS.max_of(METRICS.process_virtual_memory_bytes, by=[INSTANCE]),
                    "{{instance}}",
                ),
            ),
        ),
        TimeSeries(
            title="Descriptors",
            description="Share of the file descriptors that a process may have that are open: at "
            "1 it takes no connection any more.",
            unit="percentunit",
            no_data=_NO_REPLICA,
            maximum=1,
            thresholds=bad_from(0.9, warning=0.7),
            queries=(
                Query(
                    f"{REPLICAS.max_of(_OPEN, by=[INSTANCE])}"
                    f" / {REPLICAS.max_of(_MOST, by=[INSTANCE])}",
                    "{{instance}}",
                ),
            ),
        ),
        TimeSeries(
            title="Threads",
            description="Threads of each process, those of the models and of libraries, too. They "
            "are pools of a fixed size: what rises on and on is never given back.",
            unit="short",
            no_data=_NO_REPLICA,
            queries=(
                Query(REPLICAS.max_of(METRICS.process_threads, by=[INSTANCE]), "{{instance}}"),
            ),
        ),
        TimeSeries(
            title="Tasks",
            description="Tasks of each event loop that are not done. What rises and never falls "
            "is waited for by nobody.",
            unit="short",
            no_data=_NO_REPLICA,
            queries=(Query(REPLICAS.sum_of(METRICS.asyncio_tasks, by=[INSTANCE]), "{{instance}}"),),
        ),
        TimeSeries(
            title="Garbage collections",
            description="Collections per second by generation. Those of generation 2 walk through "
            "everything and stop every thread meanwhile.",
            unit="ops",
            no_data=_NO_REPLICA,
            queries=(
                Query(
                    REPLICAS.rate_of(METRICS.python_gc_collections_total, by=["generation"]),
                    "generation {{generation}}",
                ),
            ),
        ),
        TimeSeries(
            title="Garbage",
            description="Objects per second that collections freed: cycles, which reference "
            "counts alone do not free.",
            unit="ops",
            no_data=_NO_REPLICA,
            queries=(
                Query(
                    REPLICAS.rate_of(METRICS.python_gc_objects_collected_total, by=["generation"]),
                    "generation {{generation}}",
                ),
                Query(
                    REPLICAS.rate_of(METRICS.python_gc_objects_uncollectable_total),
                    "uncollectable",
                ),
            ),
        ),
        TimeSeries(
            title="Connections to upstreams",
            description="Open HTTP connections, by server and by whether a request uses them.",
            unit="short",
            no_data="Nothing has been called yet",
            queries=(
                Query(
                    REPLICAS.sum_of(
                        METRICS.http_client_open_connections,
                        by=["server_address", "http_connection_state"],
                    ),
                    "{{server_address}} {{http_connection_state}}",
                ),
            ),
        ),
    ),
)

BOARD = Board(
    UID,
    "Runtime",
    "The processes: what runs in which version, and what it uses up.",
    (_RUNNING, _RESOURCES),
)
