"""The sidecar itself. `launcher` starts it and says what it is to watch."""

import json
import os
import select
import signal
from dataclasses import replace
from time import monotonic_ns

from ..pulse import Beat, Pulse
from ..record import Stall, stall_id
from .config import Config, functions
from .hang import Hang
from .lines import LineReader, LineWriter
from .lookout import Lookout
from .parent import Parent
from .spyglass import Spyglass
from .stderr import StandardError
from .testimony import Ground, stall_of

_WATCHDOG_GRACE_NS = 30_000_000
_NOBODY_BEATS_NS = 250_000_000
_FINDINGS_KEPT = 10  # for a parent that does not read for an hour
_START_MS = 10_000


def run() -> None:
    """Watch until the parent says stop, or dies."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or nobody could wait for py-spy
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    inbox = LineReader(0)
    first, *messages = _first_lines(inbox)
    if first:
        config = Config.from_json(first)
        for descriptor in {config.pulse, config.pidfd} - {-1}:
            os.set_inheritable(descriptor, False)  # to py-spy
        sidecar = Program(config, inbox)
        sidecar.hear(messages)
        sidecar.run()


class Program:
    """One watched process, told of through `inbox`."""

    def __init__(self, config: Config, inbox: LineReader) -> None:
        pid, pulse = config.pid, Pulse(config.pulse)
        self._inbox, self._outbox = inbox, LineWriter(1, _FINDINGS_KEPT)
        self._stderr = StandardError()
        self._parent = Parent(pid, config.pidfd)
        self._pulse = pulse
        self._lookout = Lookout(pid, pulse, Spyglass(config.py_spy, pid, config.roots))
        self._threshold_ns = int(config.threshold_seconds * 1e9)
        self._ground = Ground(pid, config.threshold_seconds, config.territory, config.base)
        self._hang: Hang | None = None
        self._told: dict[str, object] = {}  # of the stall, by the watchdog
        self._stopped = False
        self._poll = select.poll()
        for descriptor in {0, config.pidfd} - {-1}:
            self._poll.register(descriptor, select.POLLIN)

    def run(self) -> None:
        """Returns when there is nothing to watch any more."""
        self._outbox.put(json.dumps({"reason": self._lookout.try_out()}).encode())
        while not (self._stopped or self._inbox.ended or self._parent.is_dead()):
            self._listen_until(self._attend())
        self.hear(self._inbox.lines())
        if not self._stopped and self._parent.dies():
            self._say_worker_died()

    def hear(self, messages: list[bytes]) -> None:
        """Messages of the parent; see `Sidecar.tell`."""
        for message in map(json.loads, messages):
            territory = self._ground.territory
            if "base" in message:
                self._ground = replace(self._ground, base=functions(message["base"]))
            if "application" in message:
                territory = replace(territory, application=tuple(message["application"]))
                self._ground = replace(self._ground, territory=territory)
            if "stall" in message:
                self._told = message["stall"]
            if message.get("ended") == self._told.get("id"):
                self._told = {}
            self._stopped = self._stopped or "stop" in message

    def _listen_until(self, until_ns: int) -> None:
        ready = self._poll.poll(max(0, until_ns - monotonic_ns()) // 1_000_000 + 1)
        self._outbox.flush()
        if ready:
            self.hear(self._inbox.lines())

    def _attend(self) -> int:
        """See how the process is; gives when to do so again."""
        now_ns, last = monotonic_ns(), self._pulse.read_beat()
        if self._hang and self._hang.last.sequence != last.sequence:
            self._hang = None
        if not self._pulse["loop_thread"]:
            self._hang = None
            return now_ns + _NOBODY_BEATS_NS
        late_ns = last.due_ns + self._threshold_ns
        if now_ns < late_ns:
            self._lookout.note_all_is_well()
            return late_ns
        both_late_ns = max(late_ns, self._pulse["watchdog_due_ns"] + _WATCHDOG_GRACE_NS)
        if now_ns < both_late_ns:  # the watchdog sees to it
            return both_late_ns
        return min(self._follow(last, now_ns), now_ns + self._threshold_ns)

    def _follow(self, last: Beat, now_ns: int) -> int:
        hang = self._hang = self._hang or Hang(last, now_ns)
        if now_ns >= hang.next_ns:
            self._look(hang)
        return hang.next_ns

    def _look(self, hang: Hang) -> None:
        self._pulse["looking_after"] = hang.last.sequence
        finding = self._lookout.look(hang.last)
        hang.add(finding, monotonic_ns())
        if finding is not None:
            stall = self._stall(hang)
            if hang.is_to_be_said(stall.cause):
                self._stderr.say("warning", "event_loop_stall", stall.facts())
            self._outbox.put(finding.to_json())
        self._pulse["looking_after"] = 0  # now: then the parent need not wait for it

    def _stall(self, hang: Hang) -> Stall:
        thread = self._pulse["loop_thread"]
        return stall_of(hang.findings, hang.last.due_ns, thread, self._ground)

    def _say_worker_died(self) -> None:
        """If it died in a stall: with all that both sides knew of it."""
        last = self._pulse.read_beat()
        this_stall = self._told.get("id") == stall_id(self._ground.pid, last.due_ns)
        told = self._told if this_stall else {}
        hang = self._hang
        if hang and hang.findings and hang.last.sequence == last.sequence:
            seen = self._stall(hang).facts()
            if seen["culprit"] or not told.get("culprit"):
                told = {**seen, **{name: told[name] for name in _KNOWN_INSIDE if name in told}}
        if told:
            seconds = round((monotonic_ns() - last.due_ns) / 1e9, 6)
            self._stderr.say("error", "worker_died", {**told, "duration_seconds": seconds})


# Nobody outside can tell which request it is.
_KNOWN_INSIDE = (
    "route",
    "request_id",
    "trace_id",
    "culprit_finished",
    "victims_count",
    "victims",
)


def _first_lines(inbox: LineReader) -> list[bytes]:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while not inbox.ended and poll.poll(_START_MS):
        if lines := inbox.lines():
            return lines
    return [b""]
