"""One look at the watched process, from everywhere one can be had."""

from time import monotonic_ns

from ..clocks import CgroupClock
from ..pulse import Beat, Pulse
from .finding import Finding, SeenThread
from .procfs import Process
from .spyglass import Spyglass, UnseenError

_QUOTA_NS = 5_000_000_000
_TRIALS = 15


class Lookout:
    """Looks at process `pid`, whose pulse and stacks these are."""

    def __init__(self, pid: int, pulse: Pulse, spyglass: Spyglass) -> None:
        self._process = Process(pid)
        self._pulse = pulse
        self._spyglass: Spyglass | None = spyglass
        self._cgroup = CgroupClock()
        self._throttled_ns = 0
        self._next_quota_ns = 0

    def try_out(self) -> str | None:
        """Why stacks cannot be seen, in words; they are not looked at again then."""
        process = self._process
        try:
            process.schedule_ns(process.pid)
            if self._spyglass is not None:
                self._spyglass.look(process.pid, tries=_TRIALS)
        except (OSError, ValueError) as error:
            reason = f"the system does not tell the CPU time of threads: {error}"
        except UnseenError as error:
            reason = f"py-spy cannot read this process: {error}"
        else:
            return None
        self._spyglass = None
        return reason

    def note_all_is_well(self) -> None:
        """What is counted from here on, is counted to the next stall."""
        now_ns = monotonic_ns()
        if self._throttled_ns or now_ns >= self._next_quota_ns:  # most have none: spare the file
            self._throttled_ns = self._cgroup.throttled_ns()
            self._next_quota_ns = now_ns + _QUOTA_NS

    def look(self, last: Beat) -> Finding | None:
        """What is to be seen of the stall after that beat; None: it is over, or the process is."""
        if self._process.is_over():
            return None
        try:
            finding = self._look(last)
        except OSError:  # the process or the thread has ended
            return None
        return finding if self._pulse.read_beat().sequence == last.sequence else None

    def _look(self, last: Beat) -> Finding:
        thread = self._pulse["loop_thread"]
        stopped = self._process.is_stopped()
        on_cpu_ns, run_queue_ns = self._schedule_ns(thread, last)
        cpu_ns = self._process.cpu_ns() - last.process_cpu_ns
        now_ns = monotonic_ns()
        collecting_since_ns = self._pulse["collecting_since_ns"]
        return Finding(
            sequence=last.sequence,
            at_ns=now_ns,
            stopped=stopped,
            on_cpu_ns=on_cpu_ns,
            run_queue_ns=run_queue_ns,
            other_cpu_ns=max(0, cpu_ns - on_cpu_ns),
            throttled_ns=max(0, self._cgroup.throttled_ns() - self._throttled_ns),
            gc_ns=now_ns - max(collecting_since_ns, last.due_ns) if collecting_since_ns else 0,
            system_call=self._process.system_call(thread),
            threads=() if stopped else self._threads(thread),
        )

    def _schedule_ns(self, thread: int, last: Beat) -> tuple[int, int]:
        on_cpu_ns, run_queue_ns = self._process.schedule_ns(thread)
        return max(0, on_cpu_ns - last.on_cpu_ns), max(0, run_queue_ns - last.run_queue_ns)

    def _threads(self, loop_thread: int) -> tuple[SeenThread, ...]:
        if self._spyglass is None:
            return ()
        try:
            return self._spyglass.look(loop_thread)
        except UnseenError:
            return ()
