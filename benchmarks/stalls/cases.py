"""The rows of the table: what happens, and whose fault it is."""

from dataclasses import dataclass

from benchmarks.stalls import provocations
from benchmarks.stalls.app import SECONDS
from benchmarks.stalls.guilt import Guilty, function, marked
from benchmarks.stalls.provocations import Provocation, asking, computing


@dataclass(frozen=True)
class Case:
    """`guilty` None: no code is. `stalls`: whether the loop stands still at all."""

    label: str
    provoke: Provocation
    guilty: Guilty | None = None
    stalls: bool = True


GUILTY = (
    Case(
        "`time.sleep` in a handler",
        asking(f"/sleep/handler/7?seconds={SECONDS}"),
        marked("handler"),
    ),
    Case("… in a child task", asking("/sleep/child/7"), marked("child")),
    Case("… in a `call_later` callback", asking("/later"), marked("block")),
    Case("`Lock.acquire`", asking("/wait/lock"), marked("lock")),
    Case("`socket.recv`", asking("/wait/socket"), marked("socket")),
    Case("`subprocess.run`", asking("/wait/subprocess"), marked("subprocess")),
    Case("pure Python on the CPU", asking(f"/compute/spin?seconds={SECONDS}"), marked("spin")),
    Case(
        "`pbkdf2_hmac` (lets go of the GIL)",
        computing("pbkdf2", "/compute/pbkdf2"),
        marked("pbkdf2"),
    ),
    Case(
        "catastrophic `re.match` (GIL held)", computing("match", "/compute/match"), marked("match")
    ),
    Case("`sum(range(n))` (GIL held)", computing("sum", "/compute/sum"), marked("sum")),
    Case("a C sleep that holds the GIL", asking(f"/threads/gil?seconds={SECONDS}"), marked("gil")),
    Case(
        "`re.match` on another thread holds the GIL",
        computing("match", "/threads/hog/matches"),
        marked("hog-matches"),
    ),
    Case(
        "`gc.collect()` of 4 million objects",
        provocations.collecting,
        function("threads.py", "collect"),
    ),
    Case(
        "300 callbacks of 1 ms",
        asking("/callbacks/many?count=300"),
        function("callbacks.py", "work_a_little"),
    ),
)
INNOCENT = (
    Case(f"SIGSTOP for {SECONDS:g} s", provocations.stopping),
    Case("starved by other processes", provocations.starving),
    Case("idle beside four busy processes", provocations.idling_beside_hogs, stalls=False),
    Case("`to_thread(time.sleep)`", provocations.sleeping_elsewhere, stalls=False),
)
ALL = (*GUILTY, *INNOCENT)
