"""The process' side of the sidecar: starts it, talks to it, ends it."""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from ...forks import forget_in_children
from ...settings import StallSettings
from ..culprit import Territory
from ..pulse import Pulse
from .config import Config
from .finding import Finding, Function
from .lines import LineReader, LineWriter
from .permission import allow_children, forbid_children
from .spawning import (
    UnavailableError,
    interpreter,
    pidfd_of_this_process,
    py_spy,
    shared_descriptor,
    spawned,
)

_MESSAGES_KEPT = 20
_GLANCE_MS = 5
_WITHOUT = "who holds the GIL is not seen from outside"


class Sidecar:
    """Made by `start`. What it cannot do is said in `limits`; no method raises because of it.

    `mode` is "remote" once the sidecar has shown that it can see stacks, else "watchdog".
    """

    def __init__(self, pulse: Pulse) -> None:
        self.mode = "watchdog"
        self.limits: tuple[str, ...] = ()
        self._pulse = pulse
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        pulse: Pulse,
        settings: StallSettings,
        territory: Territory,
        base: Collection[Function] = (),
    ) -> "Sidecar":
        """Start it beside this process. Takes milliseconds: what it can see is known later.

        `base` has the file and the qualified name of each function that runs the loop.
        """
        sidecar = cls(pulse)
        try:
            sidecar._start(settings.threshold_seconds, territory, base)
        except (UnavailableError, OSError) as error:
            sidecar._limit(str(error))
        return sidecar

    @property
    def alive(self) -> bool:
        """Whether there is one."""
        return self._process is not None and self._process.poll() is None

    def tell(self, message: Mapping[str, object]) -> None:
        """Send what JSON can hold. Never waits: what does not fit into the pipe may be lost.

        `{"base": [[file, function], …]}`, `{"application": [folder, …]}`; `{"stall": facts}` is
        what is to be said of a stall when the process dies in it, until `{"ended": id}`.
        """
        with self._lock:
            if self._process is not None:
                self._outbox.put(json.dumps(message).encode())

    def receive(self) -> list[Finding]:
        """What it has found since. Never waits."""
        with self._lock:
            if self._process is None:
                return []
            self._outbox.flush()
            findings = [each for line in self._inbox.lines() for each in self._heard(line)]
            if self._inbox.ended:
                self._note_death(self._process)
            return findings

    def wait(self, seconds: float) -> None:
        """Until there is something to receive, while the sidecar is looking; at most so long."""
        limit = monotonic() + seconds
        while self._process is not None and self._pulse["looking_after"] and monotonic() < limit:
            if self._readable.poll(_GLANCE_MS):
                return

    def stop(self, timeout_seconds: float = 2.0) -> None:
        """End it, and see that it is gone. Again: nothing."""
        self.tell({"stop": True})
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.stop)
        try:
            process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # within a system call that does not end
                process.wait(timeout_seconds)
        finally:
            self._let_go(process)
            forbid_children()

    def forget_parent(self) -> None:
        """In a forked child: it is the parent's."""
        process, self._process, self._lock = self._process, None, threading.Lock()
        self.mode = "watchdog"
        if process is not None:
            process.returncode = 0  # not ours to wait for
            self._let_go(process)

    def _start(
        self, threshold_seconds: float, territory: Territory, base: Collection[Function]
    ) -> None:
        config = Config(
            pid=os.getpid(),
            pidfd=-1,
            pulse=shared_descriptor(self._pulse),
            py_spy=py_spy(),
            roots=tuple(each for each in sys.path if each),
            threshold_seconds=threshold_seconds,
            territory=territory,
            base=frozenset(base),
        )
        python = interpreter()
        allow_children()
        try:
            with pidfd_of_this_process() as descriptors:
                self._adopt(spawned(python, [config.pulse, *descriptors]))
        except OSError:
            forbid_children()
            raise
        pidfd = next(iter(descriptors), -1)
        self._outbox.put(replace(config, pidfd=pidfd).to_json())

    def _adopt(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None  # `spawned` makes both
        assert process.stdout is not None
        self._outbox = LineWriter(process.stdin.fileno(), _MESSAGES_KEPT)
        self._inbox = LineReader(process.stdout.fileno())
        self._readable = select.poll()
        self._readable.register(process.stdout, select.POLLIN)
        self._ready = False
        self._process = process
        forget_in_children(self)
        atexit.register(self.stop)  # an interpreter that is torn down is no hang

    def _heard(self, line: bytes) -> list[Finding]:
        if self._ready:
            return [Finding.from_json(line)]
        self._ready, reason = True, json.loads(line)["reason"]
        if reason is None:
            self.mode = "remote"
        else:
            self._limit(reason)
        return []

    def _note_death(self, process: "subprocess.Popen[bytes]") -> None:
        """Killed, or out of memory. It is not started again: that may happen again, too."""
        self._process, self.mode = None, "watchdog"
        atexit.unregister(self.stop)
        self._let_go(process)
        forbid_children()
        self._limit(f"the sidecar has died (exit status {process.wait()})")

    def _let_go(self, process: "subprocess.Popen[bytes]") -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _limit(self, reason: str) -> None:
        self.limits = (*self.limits, f"{_WITHOUT}: {reason}")
