"""`serve --workers 2` as users run it, and clients who do not leave it alone."""

import asyncio
import json
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from service.listeners import StartError, bind
from service.workers.addresses import ops_ports
from tests.integration.conftest import World
from tests.integration.customers import Customers
from tests.integration.running import RunningService, until
from tests.service.command import command, environment_of

WORKERS = 2
HOST = "127.0.0.1"


class RunningSupervisor(RunningService):
    """One `stallscope serve --workers 2`."""

    def workers(self) -> list[dict[str, Any]]:
        """Those who serve: `worker` (its number), `pid`, `ops_port`, `ready`; [] when none."""
        try:
            workers: list[dict[str, Any]] = self.readiness()[1]["workers"]
        except OSError:
            return []
        return workers

    def pids(self) -> set[int]:
        """Of those who serve."""
        return {worker["pid"] for worker in self.workers()}

    def all_ready(self) -> bool:
        """Whether there are as many as there should be."""
        assert self.process.poll() is None, self.log()
        workers = self.workers()
        return len(workers) == WORKERS and all(worker["ready"] for worker in workers)

    def targets(self) -> dict[str, str]:
        """What Prometheus is told: a worker's number, its address."""
        groups = json.loads(self.ops("/targets")[1])
        return {group["labels"]["worker"]: group["targets"][0] for group in groups}

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of this kind. Others are not read as JSON: beside a load there are many,
        and who asks again and again would keep the GIL from the clients."""
        lines = (line for line in self.log().splitlines() if f'"{name}"' in line)
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def restarts(self, reason: str) -> float:
        """As counted."""
        return self.metric("stallscope_worker_restarts_total", reason=reason)

    def rolled(self) -> list[bool]:
        """Of each rolling restart that is over: whether it was complete."""
        return [event["complete"] for event in self.events("rolling_restart_ended")]


@contextmanager
def running_supervisor(world: World, **settings: str) -> Iterator[RunningSupervisor]:
    """A supervisor whose workers are all ready; killed at the end, if it is still there."""
    ports = {"HOST": HOST, "PORT": "0", "OPS_PORT": str(free_ops_port())}
    environment = environment_of(**{**world.settings, **ports, **settings})
    output = world.folder / f"supervisor-{ports['OPS_PORT']}.log"
    with (
        output.open("ab") as log,
        subprocess.Popen(
            command("serve", "--workers", str(WORKERS)),
            cwd=world.folder,
            env=environment,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            supervisor = RunningSupervisor(process, 0, int(ports["OPS_PORT"]), output)
            until(supervisor.all_ready, "the workers are ready")
            supervisor.port = supervisor.events("supervisor_started")[0]["port"]
            yield supervisor
            if process.poll() is None:
                supervisor.stop()
        finally:
            process.kill()


@asynccontextmanager
async def under_load(supervisor: RunningSupervisor) -> AsyncIterator[Customers]:
    """Customers with and without kept connections come, until the port or the block is closed."""
    customers = Customers(supervisor.port)
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        with customers.come(group, regulars=12, newcomers=8):
            await customers.have_been_answered(200)
            yield customers


def free_ops_port() -> int:
    """One with enough free ones after it, below those that the system gives to clients."""
    for first in random.sample(range(20_000, 32_000), 100):
        try:
            with bind("OPS_PORT", HOST, first):
                ops_ports(HOST, first, WORKERS)
        except StartError:
            continue
        return first
    raise AssertionError("no free ports")


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only what its parent has not buried yet."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def scrape(target: str) -> dict[str, float]:
    """The sums of each sample over its labels."""
    sums: dict[str, float] = {}
    with urlopen(f"http://{target}/metrics", timeout=20) as response:
        text = response.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums
