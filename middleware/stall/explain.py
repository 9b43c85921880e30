"""A stall in words: what the numbers say, and what to do about it."""

from .record import Cause, Stall

_MUCH = 0.2

_LOCK = "it waited for a lock"
_SLEPT = "it slept"
_NETWORK = "it waited for the network, or for what another process writes"
_SENDS = "it waited until the other side took what it sent"
_CONNECTS = "it waited for a connection"
_CHILD = "it waited for a child process"
_DISK = "it waited for a disk or a file system"
_FILE_LOCK = "it waited for a lock on a file"

_SYSTEM_CALLS = {
    **dict.fromkeys(("futex", "futex_waitv", "futex_wait", "semop", "semtimedop"), _LOCK),
    **dict.fromkeys(("clock_nanosleep", "nanosleep", "pause"), _SLEPT),
    **dict.fromkeys(("read", "readv", "recvfrom", "recvmsg", "recvmmsg"), _NETWORK),
    **dict.fromkeys(("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait"), _NETWORK),
    **dict.fromkeys(("write", "writev", "sendto", "sendmsg", "sendfile"), _SENDS),
    **dict.fromkeys(("connect", "accept", "accept4"), _CONNECTS),
    **dict.fromkeys(("wait4", "waitid", "vfork", "clone", "clone3"), _CHILD),
    **dict.fromkeys(("fsync", "fdatasync", "pread64", "pwrite64", "openat", "newfstatat"), _DISK),
    **dict.fromkeys(("getdents64", "unlink", "unlinkat", "rename", "renameat2", "statx"), _DISK),
    **dict.fromkeys(("flock", "fcntl"), _FILE_LOCK),
}

_REMEDIES = {
    Cause.BLOCKING_CALL: "Use an asynchronous client, or hand the call to asyncio.to_thread.",
    Cause.CPU: "Hand the work to a process pool, or split it and await in between.",
    Cause.CPU_GIL_HELD: (
        "Hand the call to a process pool: a thread would hold the GIL all the same."
        " Or give it less at once."
    ),
    Cause.GIL_HELD_OFF_CPU: (
        "The extension has to release the GIL while it waits: update it, or call it in a process"
        " of its own."
    ),
    Cause.GIL_WAIT_OTHER_THREAD: "Move that thread's work into a process of its own.",
    Cause.GC_PAUSE: (
        "Call gc.freeze() once everything is loaded, raise gc.set_threshold, or keep fewer"
        " objects alive."
    ),
    Cause.CPU_STARVED: "Run less beside it on this host, or ask for more CPU (requests, weights).",
    Cause.CGROUP_THROTTLED: "Raise the container's CPU limit, or remove it.",
    Cause.PROCESS_STOPPED: "Find out who stopped it: a debugger, a suspended machine, a backup.",
    Cause.LOOP_SATURATED: "Run more replicas, admit fewer requests at once, or do less in each.",
    Cause.UNKNOWN: (
        "Let the sidecar look (above the list stands what keeps it from that), or lower"
        " STALL__THRESHOLD_SECONDS."
    ),
}

_REMEDIES_BY_WAIT = {
    _LOCK: "Use asyncio.Lock, or wait for the thread behind it with asyncio.to_thread.",
    _SLEPT: "Write await asyncio.sleep(…).",
    _CHILD: "Use asyncio.create_subprocess_exec.",
    _DISK: "Hand the file's work to asyncio.to_thread.",
    _FILE_LOCK: "Hand the file's work to asyncio.to_thread.",
}


_SENTENCES = {
    Cause.BLOCKING_CALL: "The thread {used} and {waited}.",
    Cause.CPU: "The thread computed: it {used}. The loop could not run meanwhile.",
    Cause.CPU_GIL_HELD: (
        "The thread computed in C code: it {used} and did not give up the GIL. No other thread of"
        " this process could run Python."
    ),
    Cause.GIL_HELD_OFF_CPU: (
        "The thread {used}, and C code held the GIL while it {waited}. No other thread of this"
        " process could run Python."
    ),
    Cause.GIL_WAIT_OTHER_THREAD: (
        "The loop was ready and could not run for {whole}: {thread} had the GIL. No request is to"
        " blame."
    ),
    Cause.GC_PAUSE: "Python's garbage collector went through all objects, for {gc}.",
    Cause.CPU_STARVED: (
        "The thread was ready and got no CPU for {run_queue}: the host was busy with something"
        " else. The code is not to blame."
    ),
    Cause.CGROUP_THROTTLED: (
        "The container had used up its CPU quota and was held back for {throttled}. The code is"
        " not to blame."
    ),
    Cause.PROCESS_STOPPED: (
        "The whole process stood still for {whole}: it was stopped from outside (SIGSTOP, a"
        " debugger, a frozen container). The code is not to blame."
    ),
    Cause.LOOP_SATURATED: (
        "Many short callbacks came one after the other: the thread {used}, and no single callback"
        " was long."
    ),
    Cause.UNKNOWN: "The loop did not run, and nobody saw why: its thread {used}.",
}


def explanation(stall: Stall) -> str:
    """The evidence in one to three sentences, for whoever is woken by it."""
    sentences = [_SENTENCES[stall.cause].format(**_words(stall))]
    if stall.phase == "ongoing":
        sentences.insert(0, "It still lasts.")
    queued = stall.run_queue_seconds or 0.0
    if stall.cause is not Cause.CPU_STARVED and queued >= _MUCH * stall.duration_seconds > 0:
        sentences.append(f"For {in_words(queued)} of that it got no CPU: the host was busy.")
    if stall.culprit_finished:
        sentences.append("The response was out already: this is work that the request left behind.")
    return " ".join(sentences)


def remedy(cause: Cause, system_call: str | None = None) -> str:
    """What to do about it, in a sentence."""
    wait = _SYSTEM_CALLS.get(system_call or "", "")
    if cause is Cause.BLOCKING_CALL and wait in _REMEDIES_BY_WAIT:
        return _REMEDIES_BY_WAIT[wait]
    return _REMEDIES[cause]


def in_words(seconds: float) -> str:
    """A time as a person reads it: `3 ms`, `1.25 s`, `2 min 5 s`."""
    if seconds < 0.9995:
        milliseconds = seconds * 1e3
        return f"{milliseconds:.1f} ms" if 0 < milliseconds < 1 else f"{milliseconds:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _words(stall: Stall) -> dict[str, str]:
    whole = in_words(stall.duration_seconds)

    def part(seconds: float | None) -> str:
        return whole if seconds is None else f"{in_words(seconds)} of {whole}"

    on_cpu = stall.on_cpu_seconds
    used = "an unknown amount of" if on_cpu is None else f"{in_words(on_cpu)} of"
    return {
        "whole": whole,
        "used": f"used {used} CPU in {whole}",
        "waited": _waited(stall.system_call),
        "gc": part(stall.gc_seconds),
        "run_queue": part(stall.run_queue_seconds),
        "throttled": part(stall.throttled_seconds),
        "thread": f"the thread “{stall.thread}”" if stall.thread else "another thread",
    }


def _waited(system_call: str | None) -> str:
    if system_call is None:
        return "waited for something outside of Python"
    wait = _SYSTEM_CALLS.get(system_call)
    return f"sat in the system call {system_call}" + (f": {wait}" if wait else "")
