"""How the variants are run: by the peers' Python, which has them all and the service's FastAPI."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata

from benchmarks.contestants import OURS as STALLSCOPE
from benchmarks.cores import CONTESTANT_CORE, on_core
from benchmarks.installation import PYTHON_PEERS, peer_program
from benchmarks.overhead.in_process import Cost
from benchmarks.overhead.variants import Variant
from benchmarks.programs import ROOT, module, running
from service.demo.ports import free_port

SLACK_SECONDS = 60.0
_PACKAGES = (
    "fastapi",
    "starlette",
    "uvicorn",
    "prometheus-client",
    "prometheus-fastapi-instrumentator",
    "starlette-exporter",
    "asgi-correlation-id",
    "structlog",
    "sentry-sdk",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-fastapi",
)
# How many threads wanted a core before each run, on average over a minute.
load_averages: list[float] = []


class VariantError(Exception):
    """A variant could not be measured; the message is the end of what it said."""


@contextmanager
def open_sink() -> Iterator[Mapping[str, str]]:
    """Something to export to, on the surroundings' core; the environment that leads to it."""
    port = free_port()
    with running(module("benchmarks.overhead.sink", port), [port]):
        yield {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_SERVICE_NAME": "overhead",
            "SENTRY_DSN": f"http://public@127.0.0.1:{port}/1",
        }


def take_spans(sink: Mapping[str, str]) -> int:
    """How many spans have arrived since this was last asked."""
    with urllib.request.urlopen(f"{sink['OTEL_EXPORTER_OTLP_ENDPOINT']}/spans", timeout=30) as said:
        return int(said.read())


def environment(variant: Variant, sink: Mapping[str, str]) -> dict[str, str]:
    """All that a variant's process is told."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**inherited, "PYTHONPATH": str(ROOT), **sink, **variant.environment}


def measure_in_process(variant: Variant, sink: Mapping[str, str], seconds: float) -> Cost:
    """One run on the contestants' core. Raises VariantError."""
    load_averages.append(os.getloadavg()[0])
    task = json.dumps({**variant.app, "seconds": seconds})
    command = [peer_program("python"), "-m", "benchmarks.overhead.in_process", task]
    with on_core(CONTESTANT_CORE):
        process = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(variant, sink),
            capture_output=True,
            text=True,
            timeout=seconds + SLACK_SECONDS,
            check=False,
        )
    if process.returncode != 0:
        raise VariantError(process.stderr[-2000:])
    return Cost(**json.loads(process.stdout))


@dataclass(frozen=True)
class Server:
    """One that listens."""

    port: int
    pid: int


@contextmanager
def served(factory: str, told: Mapping[str, str]) -> Iterator[Server]:
    """uvicorn on the contestants' core, as in production; what it writes goes to /dev/null."""
    port = free_port()
    options = ["--factory", factory, "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    quiet = ["--no-access-log", "--log-level", "warning"]
    command = [peer_program("python"), "-m", "uvicorn", *options, *quiet]
    with running(command, [port], told, CONTESTANT_CORE) as process:
        yield Server(port, process.pid)


def versions(packages: Sequence[str] = _PACKAGES) -> str:
    """Of everything that is compared, and of what it stands on."""
    folder = next((PYTHON_PEERS / "lib").glob("python*")) / "site-packages"
    found = {
        name: distribution.version
        for name in packages
        for distribution in metadata.distributions(name=name, path=[str(folder)])
    }
    ours = f"{STALLSCOPE.name} {metadata.version('stallscope')}"
    return ", ".join([ours, *(f"{name} {version}" for name, version in found.items())])
