"""The service as users run it: a process of its own, with an API port and an ops port."""

import asyncio
import http.client
import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.demo.ports import free_port
from tests.conftest import RunningStandIn
from tests.exposition import value_in
from tests.service.command import command, environment_of

PATIENCE_SECONDS = 60.0


class RunningService:
    """One `stallscope serve`."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, ops_port: int, output: Path
    ) -> None:
        self.process, self.port, self.ops_port, self.output = process, port, ops_port, output

    @property
    def url(self) -> str:
        """Of the API port."""
        return f"http://127.0.0.1:{self.port}"

    def ops(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status and body of a page on the ops port, or of what is done there by POST."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=20)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """What `/readyz` says."""
        status, text = self.ops("/readyz")
        return status, json.loads(text)

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series, 0 when there is none."""
        return value_in(self.ops("/metrics")[1], name, **labels)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait; gives the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def unexpected_errors(self) -> list[str]:
        """The exceptions behind its 500s, innermost frame last."""
        events = (json.loads(line) for line in self.log().splitlines())
        return [
            f"{each['exc_type']}: {each['exc_value']} in "
            + " > ".join(f"{frame['name']}:{frame['lineno']}" for frame in each["frames"][-5:])
            for event in events
            if event["event"].startswith("Exception in ASGI")
            for each in event["exception"]
        ]

    def log(self) -> str:
        """All whole lines that it has written: one may be half there while it is looked at."""
        written, end, _ = self.output.read_text().rpartition("\n")
        return written + end


@contextmanager
def running_service(folder: Path, **settings: str) -> Iterator[RunningService]:
    """A service that is ready; killed at the end, if it is still there."""
    with started_service(folder, **settings) as service:
        until(lambda: service.readiness()[0] == 200, "the service is ready")
        yield service


@contextmanager
def started_service(folder: Path, **settings: str) -> Iterator[RunningService]:
    """A service that answers, but may never be ready; it ends as the other does."""
    ports = {"HOST": "127.0.0.1", "PORT": str(free_port()), "OPS_PORT": str(free_port())}
    environment = environment_of(**{**ports, **settings})
    port, ops_port = int(environment["PORT"]), int(environment["OPS_PORT"])
    output = folder / f"service-{port}.log"
    with (
        output.open("wb") as log,
        subprocess.Popen(
            command("serve"), cwd=folder, env=environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            service = RunningService(process, port, ops_port, output)
            _await_answers(service)
            yield service
            if process.poll() is None:
                service.stop()
        finally:
            process.kill()


@contextmanager
def running_stand_in(kind: str, **settings: str) -> Iterator[RunningStandIn]:
    """A stand-in in a process of its own: one that is told to send without end needs a core."""
    port = free_port()
    arguments = ("stand-in", kind, "--port", str(port))
    with subprocess.Popen(command(*arguments), env=environment_of(**settings)) as process:
        try:
            stand_in = RunningStandIn(f"http://127.0.0.1:{port}")
            until(lambda: _answers(stand_in), f"the {kind} stand-in answers")
            yield stand_in
        finally:
            process.terminate()


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return when `condition` holds; fails when it does not for PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        await asyncio.sleep(0.05)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.05)


def _await_answers(service: RunningService) -> None:
    def answers() -> bool:
        assert service.process.poll() is None, service.log()
        try:
            return bool(service.readiness()[1]["phase"] == "serving")
        except (OSError, http.client.HTTPException):
            return False

    until(answers, "the service answers")


def _answers(stand_in: RunningStandIn) -> bool:
    try:
        stand_in.requests()
    except (OSError, http.client.HTTPException):
        return False
    return True
