"""What is said of a stall, wherever it is said: page, log line, metrics, spans, Sentry.

Imports little: the sidecar, which has to stay small, uses it, too.
"""

import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice

UNATTRIBUTED = "unattributed"
MOST_NAMED = 10  # victims


class Cause(StrEnum):
    """Why the loop could not run."""

    BLOCKING_CALL = "blocking_call"
    CPU = "cpu"
    CPU_GIL_HELD = "cpu_gil_held"
    GIL_HELD_OFF_CPU = "gil_held_off_cpu"
    GIL_WAIT_OTHER_THREAD = "gil_wait_other_thread"
    GC_PAUSE = "gc_pause"
    CPU_STARVED = "cpu_starved"
    CGROUP_THROTTLED = "cgroup_throttled"
    PROCESS_STOPPED = "process_stopped"
    LOOP_SATURATED = "loop_saturated"
    UNKNOWN = "unknown"


BLAMES_CODE = frozenset(
    {
        Cause.BLOCKING_CALL,
        Cause.CPU,
        Cause.CPU_GIL_HELD,
        Cause.GIL_HELD_OFF_CPU,
        Cause.GIL_WAIT_OTHER_THREAD,
    }
)
BLAMES_REQUEST = BLAMES_CODE - {Cause.GIL_WAIT_OTHER_THREAD}
HOLDS_GIL = frozenset({Cause.CPU_GIL_HELD, Cause.GIL_HELD_OFF_CPU, Cause.GIL_WAIT_OTHER_THREAD})


@dataclass(frozen=True, slots=True)
class Frame:
    """A line that a function is at. `function` is its qualified name, as far as that is known."""

    module: str
    function: str
    file: str
    line: int

    @property
    def name(self) -> str:
        """`module:qualname`, the culprit's name in metrics."""
        return f"{self.module}:{self.function}"

    @property
    def source_line(self) -> str:
        """What stands there, without its indentation; empty where the source is not at hand."""
        try:
            with open(self.file, encoding="utf-8", errors="replace") as source:
                return next(islice(source, self.line - 1, None), "").strip()
        except (OSError, ValueError):
            return ""


Stack = tuple[Frame, ...]  # the innermost last, as tracebacks have it


@dataclass(frozen=True, slots=True)
class Victim:
    """A request that waited."""

    route: str
    request_id: str
    trace_id: str
    lost_seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """One stall, as far as it is known. Seconds unless said otherwise; None: not known.

    `lost_by_route` has every victim's time, `victims` the first ten. `folded` counts the samples
    by stack.
    """

    id: str
    phase: str  # "ongoing", "ended"
    started_at: str  # ISO 8601, UTC
    duration_seconds: float
    cause: Cause
    culprit: Frame | None
    culprit_finished: bool | None  # whether the response had ended; None: no request known
    route: str
    request_id: str | None
    trace_id: str | None
    victims_count: int
    victims: tuple[Victim, ...]
    lost_by_route: tuple[tuple[str, float], ...]
    thread: str | None
    gil_held: bool
    on_cpu_seconds: float | None
    run_queue_seconds: float | None
    off_cpu_seconds: float | None
    gc_seconds: float | None
    throttled_seconds: float | None
    system_call: str | None
    evidence: str  # "watchdog", "remote", "late"
    samples: int
    stack: Stack
    folded: tuple[tuple[Stack, int], ...]
    pid: int

    def facts(self) -> dict[str, object]:
        """As JSON has it; for the page, the log line, and whoever asks."""
        facts = {name: getattr(self, name) for name in self.__slots__}
        for inner in ("folded", "lost_by_route"):
            del facts[inner]
        if self.culprit is not None:
            facts["culprit"] = {**asdict(self.culprit), "source_line": self.culprit.source_line}
        facts["victims"] = [
            {**asdict(victim), "lost_seconds": round(victim.lost_seconds, 6)}
            for victim in self.victims
        ]
        facts["stack"] = [asdict(frame) for frame in self.stack]
        return {
            name: round(fact, 6) if isinstance(fact, float) else fact
            for name, fact in facts.items()
        }


def stall_id(pid: int, due_ns: int) -> str:
    """The same, whoever sees the stall: it begins when a beat is due."""
    return f"{pid:x}-{due_ns:x}"


def wall_time(monotonic_ns: int) -> str:
    """When that was: ISO 8601, UTC."""
    seconds, rest = divmod(time.time_ns() - time.monotonic_ns() + monotonic_ns, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1000:06d}Z"
