"""The scenario application as users run theirs: `uvicorn`, a process of its own, either loop."""

import http.client
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.demo.ports import free_port
from tests.exposition import samples_in
from tests.middleware.otlp_receiver import OtlpReceiver
from tests.middleware.sentry_receiver import SentryReceiver

from .output import Output

HOST = "127.0.0.1"
PATIENCE_SECONDS = 40.0
ROOT = Path(__file__).parent.parent.parent

UVICORN = [sys.executable, "-m", "uvicorn", "tests.stalls.app.main:app"]
UVICORN += ["--timeout-graceful-shutdown", "1"]

# Many stalls in little time.
QUICK = {"STALL__THRESHOLD_SECONDS": "0.04", "STALL__HEARTBEAT_SECONDS": "0.01"}

Stall = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """A response, and the trace that its request belonged to."""

    status: int
    body: bytes
    trace_id: str

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class RunningApp:
    """One server process, and everything that it tells."""

    loop: str
    process: subprocess.Popen[bytes]
    port: int
    ops_port: int
    output: Output
    otlp: OtlpReceiver
    sentry: SentryReceiver

    def get(self, path: str, trace_id: str | None = None) -> Answered:
        """Ask, and wait for the answer."""
        trace_id = trace_id or new_trace()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE_SECONDS)
        with closing(connection):
            connection.request("GET", path, headers={"traceparent": _traceparent(trace_id)})
            response = connection.getresponse()
            return Answered(response.status, response.read(), trace_id)

    def ask(self, path: str, trace_id: str | None = None) -> "Future[Answered]":
        """Ask from a thread of its own."""
        answered: Future[Answered] = Future()

        def run() -> None:
            try:
                answered.set_result(self.get(path, trace_id))
            except (OSError, http.client.HTTPException) as error:
                answered.set_exception(error)

        threading.Thread(target=run, name=f"ask-{path}", daemon=True).start()
        return answered

    def stop(self) -> int:
        """Stop it as a supervisor does; its exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)

    def ops(self, path: str) -> tuple[int, bytes]:
        """Status and body of a page of the ops port."""
        connection = http.client.HTTPConnection(HOST, self.ops_port, timeout=PATIENCE_SECONDS)
        with closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()

    def page(self) -> dict[str, Any]:
        """What `/stalls.json` says."""
        status, body = self.ops("/stalls.json")
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        return answer

    def stalls(self) -> list[Stall]:
        """All of them, the newest first."""
        stalls: list[Stall] = self.page()["stalls"]
        return stalls

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels."""
        values = self.series(name)
        return sum(value for found, value in values if labels.items() <= found.items())

    def series(self, name: str) -> list[tuple[dict[str, str], float]]:
        """All labels and values of one metric."""
        text = self.ops("/metrics")[1].decode()
        return [(sample.labels, sample.value) for sample in samples_in(text, name)]


def new_trace() -> str:
    """A trace id of somebody who has begun to trace."""
    return secrets.token_hex(16)


def _traceparent(trace_id: str) -> str:
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `condition` gives once it is true; fails when it is not for so long."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


@contextmanager
def running_app(
    loop: str,
    otlp: OtlpReceiver,
    sentry: SentryReceiver,
    *,
    within: Sequence[str] = (),
    **settings: str,
) -> Iterator[RunningApp]:
    """The application, ready; what is left of it is killed at the end.

    `within` is a command that executes another, its last arguments.
    """
    port, ops_port = free_port(), free_port()
    environment = {
        "OPS_PORT": str(ops_port),
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "2000",
        "SENTRY_DSN": sentry.dsn,
    }
    process = subprocess.Popen(
        [*within, *UVICORN, "--loop", loop, "--port", str(port)],
        cwd=ROOT,
        # Nothing of coverage's: nobody traces every line of what serves.
        env={"PATH": os.environ["PATH"], **environment, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    output = Output(process.stdout, process.stderr)
    app = RunningApp(loop, process, port, ops_port, output, otlp, sentry)
    try:
        until(lambda: _answers(app), "the app answers")
        yield app
        app.stop()
    finally:
        process.kill()
        process.wait()
    output.join(PATIENCE_SECONDS)  # a sidecar that outlived its parent would still have stderr


def _answers(app: RunningApp) -> bool:
    assert app.process.poll() is None, app.output.text()
    try:
        return app.ops("/readyz")[0] == 200 and app.get("/quick").status == 200
    except (OSError, http.client.HTTPException):
        return False
