"""What the clocks and the witnesses say, in; the cause of a stall, out."""

from dataclasses import dataclass

from .record import Cause

# A GIL wait wakes up every 5 ms to ask again (sys.setswitchinterval); a lock's does not.
_POLLS_PER_SECOND = 50
_SCARCELY = 0.1  # of a time: a thread with so little CPU in it had to wait for one
_MANY_LOOKS = 10
_DOUBT = 0.1  # of a time: looks are taken at moments, and clocks run on


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of the time in which the loop could not run. In seconds; 0 where the system does not say."""

    seconds: float
    threshold_seconds: float
    on_cpu: float = 0.0  # CPU time of the loop's thread
    run_queue: float = 0.0  # in which it could have run, and got no CPU
    waiting_beside: float = 0.0  # in which who else may have had the GIL got no CPU
    runnable_share: float = 0.0  # of the looks that found it ready to run, in no system call
    throttled: float = 0.0  # in which the cgroup's quota was used up
    gc: float = 0.0
    other_cpu: float = 0.0  # of the process' other threads
    stopped: bool = False  # SIGSTOP, a debugger, a freezer: nothing of the process ran
    gil_wait: float = 0.0  # the longest time in which the watchdog waited for the GIL
    gil_owner: str | None = None  # "loop", "other": as seen from outside
    gil_owner_ready: bool = False  # it waited for nothing but a CPU, whenever it was looked at
    gil_polls_per_second: float = 0.0  # of the loop's thread: its voluntary context switches
    idle: bool = False  # whoever looked saw the loop wait for events
    longest_callback: float | None = None  # at least; None: nobody could tell callbacks apart
    samples: int = 0
    over: bool = True  # else it has lasted so long until now

    @property
    def own(self) -> float:
        """What is left of the time without what the host took."""
        return max(0.0, self.seconds - self.run_queue - self.throttled)

    @property
    def off_cpu(self) -> float:
        """Of its own time: waiting, for whatever it was."""
        return max(0.0, self.own - self.on_cpu)


def classify(evidence: Evidence) -> Cause:
    """First what is nobody's fault, then whose it is not, then what the loop's thread did."""
    return _from_outside(evidence) or _beside_the_loop(evidence) or _of_the_loop(evidence)


def in_run_queue(counted: float, seconds: float, looks: int, runnable_share: float) -> float:
    """Seconds without a CPU, as the system counts them, unless all who looked saw otherwise.

    Linux from 6.12 on may leave a thread in the queue that has gone to sleep, and count its sleep.
    """
    if looks < _MANY_LOOKS:
        return counted
    return min(counted, seconds * (_DOUBT + 2 * runnable_share))


def _from_outside(evidence: Evidence) -> Cause | None:
    if evidence.stopped:
        return Cause.PROCESS_STOPPED
    # Without what the host took, would it still be a stall? One that has just begun to be one
    # would not, whatever was taken; then the larger part decides, unless it has computed enough.
    known = evidence.over or evidence.on_cpu >= evidence.threshold_seconds
    limit = evidence.threshold_seconds if known else evidence.seconds / 2
    if evidence.throttled > 0 and evidence.seconds - evidence.throttled < limit:
        return Cause.CGROUP_THROTTLED
    if evidence.run_queue > 0 and evidence.seconds - evidence.run_queue < limit:
        return Cause.CPU_STARVED
    waited_itself = evidence.seconds - evidence.run_queue - _not_its_own_wait(evidence)
    if waited_itself < limit or _for_a_starved_gil(evidence):
        return Cause.CPU_STARVED
    return Cause.CGROUP_THROTTLED if evidence.own < limit else None


def _for_a_starved_gil(evidence: Evidence) -> bool:
    """Whether it waited for another thread that kept the GIL for want of a CPU."""
    is_ready = evidence.gil_owner == "other" and evidence.gil_owner_ready
    return is_ready and evidence.on_cpu + evidence.other_cpu < _SCARCELY * evidence.own


def _not_its_own_wait(evidence: Evidence) -> float:
    """Of the time off the CPU: its wait for the GIL of somebody who got none, or for a CPU."""
    return max(_wait_for_a_cpu(evidence), min(evidence.off_cpu, evidence.waiting_beside))


def _wait_for_a_cpu(evidence: Evidence) -> float:
    """The one under way, guessed by the looks: the system counts it when it is over."""
    return 0.0 if evidence.over else evidence.off_cpu * evidence.runnable_share


def _beside_the_loop(evidence: Evidence) -> Cause | None:
    if evidence.gc >= evidence.own / 2:
        return Cause.GC_PAUSE
    if _lost_to_other_threads(evidence):
        return Cause.GIL_WAIT_OTHER_THREAD
    if evidence.idle or (not evidence.samples and evidence.gil_owner is None):
        return Cause.UNKNOWN
    longest = evidence.longest_callback
    if longest is not None and longest < evidence.threshold_seconds:
        return Cause.LOOP_SATURATED
    return None


def _lost_to_other_threads(evidence: Evidence) -> bool:
    own = evidence.own
    if evidence.on_cpu >= own / 2 or evidence.gil_owner is not None:
        return evidence.on_cpu < own / 2 and evidence.gil_owner == "other"
    waits = evidence.gil_wait >= own / 2
    # Who holds the GIL does not ask for it: where both wait, it is somebody else's.
    asks = evidence.gil_polls_per_second >= _POLLS_PER_SECOND
    return (waits and asks) or ((waits or asks) and evidence.other_cpu >= own / 2)


def _of_the_loop(evidence: Evidence) -> Cause:
    own = evidence.own - _wait_for_a_cpu(evidence)
    held = evidence.gil_wait >= own / 2 or evidence.gil_owner == "loop"
    if evidence.on_cpu >= own / 2:
        return Cause.CPU_GIL_HELD if held else Cause.CPU
    if held:
        return Cause.GIL_HELD_OFF_CPU
    # Who waits does so in a system call: looks that all found it ready were not at that time.
    return Cause.UNKNOWN if evidence.runnable_share == 1 else Cause.BLOCKING_CALL
