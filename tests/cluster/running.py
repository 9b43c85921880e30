"""A cluster on one machine: replicas behind a balancer, on one PostgreSQL and one Valkey."""

import http.client
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.demo.ports import free_port
from tests.cluster.balancer import Balancer, Place, running_balancer
from tests.integration.conftest import World
from tests.integration.running import RunningService, until
from tests.service.command import command, environment_of

# However slow the machine is, nobody who waits for another replica's fetch gives up.
BUDGET_SECONDS = 20.0
PATIENT = {
    "REQUEST_BUDGET_SECONDS": f"{BUDGET_SECONDS}",
    "REVIEWS__TIMEOUT_SECONDS": "8",
    "INVENTORY__TIMEOUT_SECONDS": "8",
}


class Replica(RunningService):
    """One that can be ended and started again, where it was and as it was."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.place = Place(free_port(), free_port())
        ports = {"PORT": str(self.place.port), "OPS_PORT": str(self.place.ops_port)}
        self._environment = environment_of(HOST="127.0.0.1", **ports, **settings)
        output = folder / f"replica-{self.place.port}.log"
        super().__init__(self._launch(output), self.place.port, self.place.ops_port, output)

    @property
    def instance(self) -> str:
        """What Prometheus calls it."""
        return f"127.0.0.1:{self.ops_port}"

    def start(self) -> None:
        """Start anew, and return when it is ready."""
        self.process = self._launch(self.output)
        self.await_readiness()

    def await_readiness(self) -> None:
        """Return when it is ready."""
        until(self._is_ready, "the replica is ready")

    def kill(self) -> None:
        """End it at once, with all it has in flight; nothing if it has ended."""
        self.process.kill()
        self.process.wait()

    def stalls(self) -> list[dict[str, Any]]:
        """What has blocked its loop, newest first."""
        found: list[dict[str, Any]] = json.loads(self.ops("/stalls.json")[1])["stalls"]
        return found

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            return self.readiness()[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _launch(self, output: Path) -> subprocess.Popen[bytes]:
        with output.open("ab") as log:
            return subprocess.Popen(
                command("serve", "--with-mistakes"),
                cwd=output.parent,
                env=self._environment,
                stdout=log,
                stderr=log,
            )


@dataclass(frozen=True, slots=True)
class Cluster:
    """All of it; `models` is the replica that computes for the others."""

    world: World
    models: Replica
    replicas: Sequence[Replica]
    balancer: Balancer

    def uses(self, replica: Replica) -> bool:
        """Whether the balancer takes it for ready."""
        return self.balancer.uses(1 + self.replicas.index(replica))

    def await_all(self) -> None:
        """Return when the balancer uses all replicas."""
        until(lambda: all(map(self.uses, self.replicas)), "the balancer uses all replicas")


@contextmanager
def running_cluster(world: World, *, replicas: int, **settings: str) -> Iterator[Cluster]:
    """One whose replicas are all ready, and in use."""
    given = {**world.settings, **PATIENT}
    with ExitStack() as stack:

        def start(**more: str) -> Replica:
            replica = Replica(world.folder, **given, **more)
            stack.callback(replica.kill)
            return replica

        models = start()
        models.await_readiness()
        remote = {"MODELS__REMOTE_URL": models.url}
        started = [start(**remote, **settings) for _ in range(replicas)]
        places = [replica.place for replica in started]
        balancer = stack.enter_context(running_balancer(world.folder, places, BUDGET_SECONDS))
        cluster = Cluster(world, models, started, balancer)
        cluster.await_all()
        yield cluster
