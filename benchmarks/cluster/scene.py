"""The replicas and their balancers: as many balancers as numbers of replicas are compared.

All replicas run all the time, so that 1, 2 and 3 take turns and whatever else the machine does
meets them alike. They share one core; everything else has the other one.
"""

import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arena import Arena
from benchmarks.cores import CONTESTANT_CORE, SURROUNDINGS_CORE, cpu_seconds, on_core
from benchmarks.programs import START_SECONDS, ProgramError, module, running
from service.demo.ports import free_port
from tests.cluster.balancer import Balancer, Place, running_balancer

MOST_REPLICAS = 3


@dataclass(frozen=True)
class Replica:
    """One that is ready."""

    place: Place
    pid: int
    log: Path

    def scrape(self, *, zipped: bool = False) -> bytes:
        """What Prometheus reads, as it comes over the wire."""
        headers = {"Accept-Encoding": "gzip"} if zipped else {}
        return _asked(self.place.ops_port, "/metrics", headers)[1]

    def kilobytes(self, field: str) -> int:
        """`Rss` or `Pss` of the process without its sidecar."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


@dataclass(frozen=True)
class Scene:
    """Replicas, and a balancer for the first of them, the first two, and so on."""

    arena: Arena
    replicas: Sequence[Replica]
    balancers: Sequence[Balancer]

    def cpu_seconds(self, replicas: int) -> float:
        """Of the first so many, in all."""
        return sum(cpu_seconds(each.pid) for each in self.replicas[:replicas])


@contextmanager
def replicas(
    arena: Arena, surroundings: Mapping[str, str], number: int, **settings: str
) -> Iterator[list[Replica]]:
    """So many, all of them ready."""
    with ExitStack() as started:
        found = []
        for _ in range(number):
            place = Place(free_port(), free_port())
            ports = {"PORT": str(place.port), "OPS_PORT": str(place.ops_port)}
            log = arena.folder / f"replica-{place.port}.log"
            environment = {**surroundings, "LOG_LEVEL": "info", **ports, **settings}
            command = module("service", "serve")
            process = started.enter_context(
                running(command, [place.port], environment, CONTESTANT_CORE, log)
            )
            found.append(Replica(place, process.pid, log))
        for replica in found:
            _await_readiness(replica)
        yield found


@contextmanager
def open_scene(
    arena: Arena, surroundings: Mapping[str, str], number: int, **settings: str
) -> Iterator[Scene]:
    """So many replicas, each number of them behind a balancer of its own."""
    with (
        replicas(arena, surroundings, number, **settings) as started,
        on_core(SURROUNDINGS_CORE),
        ExitStack() as balancers,
    ):
        places = [replica.place for replica in started]
        before = []
        for count in range(1, number + 1):
            folder = arena.folder / f"balancer-{count}-{places[0].port}"
            folder.mkdir()
            before.append(balancers.enter_context(running_balancer(folder, places[:count])))
        yield Scene(arena, started, before)


def _await_readiness(replica: Replica) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if _asked(replica.place.ops_port, "/readyz", {})[0] == 200:
                return
        except OSError:
            pass  # not yet there
        if time.monotonic() > deadline:
            raise ProgramError(f"A replica is not ready: {replica.log.read_text()[-2000:]}")
        time.sleep(0.1)


def _asked(port: int, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
