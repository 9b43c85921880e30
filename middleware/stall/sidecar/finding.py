"""What the sidecar saw of one moment of a stall."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from types import CodeType

from ..record import Frame, Stack

Function = tuple[str, str]  # file and qualified name


@dataclass(frozen=True, slots=True)
class SeenThread:
    """A thread of the watched process. `native_id` is what the system calls it.

    `ready`: it is on a CPU, or would be if there was one for it.
    """

    name: str
    native_id: int
    owns_gil: bool
    stack: Stack
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen after the beat `sequence`, at `at_ns` of CLOCK_MONOTONIC.

    `threads` are the loop's and the one that owns the GIL, as far as they could be seen. Times are
    nanoseconds since that beat, 0 where the system does not say: CPU time of the loop's thread,
    its wait for a CPU, CPU time of the other threads, the quota's throttling, and the garbage
    collection that goes on.
    """

    sequence: int
    at_ns: int
    stopped: bool
    threads: tuple[SeenThread, ...]
    on_cpu_ns: int
    run_queue_ns: int
    other_cpu_ns: int
    throttled_ns: int
    gc_ns: int
    system_call: str | None  # of the loop's thread

    def owner(self, loop_thread: int) -> str | None:
        """Who owns the GIL: "loop", "other", None when nobody was seen to."""
        owner = self._owner
        if owner is None:
            return None
        return "loop" if owner.native_id == loop_thread else "other"

    @property
    def owner_name(self) -> str | None:
        """The name of the thread that owns the GIL."""
        return self._owner.name if self._owner else None

    @property
    def owner_is_ready(self) -> bool:
        """Whether the thread that owns the GIL waits for nothing but a CPU."""
        return self._owner is not None and self._owner.ready

    @property
    def owner_stack(self) -> Stack:
        """Where the thread that owns the GIL is."""
        return self._owner.stack if self._owner else ()

    def loop_stack(self, loop_thread: int, runner: Collection[CodeType] = ()) -> Stack:
        """Where the loop's thread is, without what runs the loop."""
        base = {(code.co_filename, code.co_qualname) for code in runner}
        return above(base, self.thread(loop_thread))

    def thread(self, native_id: int) -> SeenThread | None:
        """The thread of that id, if it was seen."""
        return next((each for each in self.threads if each.native_id == native_id), None)

    @property
    def _owner(self) -> SeenThread | None:
        return next((each for each in self.threads if each.owns_gil), None)

    def to_json(self) -> bytes:
        """For `from_json` on the other side."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Finding":
        """Raises ValueError, KeyError or TypeError when it is none."""
        facts = json.loads(text)
        threads = [
            SeenThread(**{**each, "stack": tuple(Frame(**frame) for frame in each["stack"])})
            for each in facts["threads"]
        ]
        return cls(**{**facts, "threads": tuple(threads)})


def above(base: Collection[Function], thread: SeenThread | None) -> Stack:
    """The part of a thread's stack that is inside of every function of `base`."""
    stack = thread.stack if thread else ()
    for index in range(len(stack), 0, -1):
        frame = stack[index - 1]
        if (frame.file, frame.function) in base:
            return stack[index:]
    return stack
