"""Who answers, each up all the while and free to use both cores."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata

from benchmarks.arena import Arena
from benchmarks.contestants import OURS
from benchmarks.cores import CONTESTANT_CORE, SURROUNDINGS_CORE
from benchmarks.installation import HERE
from benchmarks.predictions.question import PATH
from benchmarks.programs import running
from benchmarks.scenarios import UPSTREAM_MS
from service.demo.ports import free_port
from service.settings import PACKAGED_MODELS

READY_SECONDS = 60.0
APP = HERE / "peers" / "transformers_app"
ENVIRONMENT = APP / ".venv"
NAMED_PEER = "transformers, MiniLM-L6, `async def`"
# Their names, architectures and the route's prefix; those of one architecture are one process.
_PEERS = (
    (NAMED_PEER, "MiniLM-L6", ""),
    ("transformers, MiniLM-L6, `def`: in threads", "MiniLM-L6", "/in-a-thread"),
    ("transformers, DistilBERT, `async def`", "DistilBERT", ""),
)
_ONE_TEXT = b'{"texts": ["Ready?"]}'


@dataclass(frozen=True)
class Contestant:
    """One that is ready; `ops_port` is ours alone."""

    name: str
    port: int
    pid: int
    prefix: str = ""
    ops_port: int | None = None


@contextmanager
def contestants(arena: Arena) -> Iterator[list[Contestant]]:
    """Ours first, then the peers."""
    with ExitStack() as programs:
        ready = [programs.enter_context(_ours(arena))]
        served: dict[str, Contestant] = {}
        for name, architecture, prefix in _PEERS:
            if architecture not in served:
                served[architecture] = programs.enter_context(_peer(arena, architecture))
            peer = served[architecture]
            ready.append(Contestant(name, peer.port, peer.pid, prefix))
        yield ready


def versions() -> str:
    """Of what computes here and there."""
    ours = [f"{name} {metadata.version(name)}" for name in ("stallscope", "onnxruntime")]
    folder = next((ENVIRONMENT / "lib").glob("python*")) / "site-packages"
    theirs = metadata.distributions(path=[str(folder)])
    named = {each.name: f"{each.name} {each.version}" for each in theirs}
    return ", ".join([*ours, *(named[name] for name in ("torch", "transformers", "fastapi"))])


@contextmanager
def both_cores() -> Iterator[None]:
    """Whatever is started in here may use the two cores that the other scenarios keep apart."""
    cores = {core for core in (CONTESTANT_CORE, SURROUNDINGS_CORE) if core is not None}
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _ours(arena: Arena) -> Iterator[Contestant]:
    port, ops_port = free_port(), free_port()
    command = OURS.command(port)
    assert command is not None
    with arena.surroundings(UPSTREAM_MS) as surroundings, both_cores():
        told = {**surroundings, "PORT": str(port), "OPS_PORT": str(ops_port)}
        with running(command, [port], told, None, arena.folder / "ours.log") as process:
            _await_prediction(port)
            yield Contestant(OURS.name, port, process.pid, ops_port=ops_port)


@contextmanager
def _peer(arena: Arena, architecture: str) -> Iterator[Contestant]:
    port = free_port()
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--port", str(port)]
    app = ["benchmarks.peers.transformers_app.app:app", "--log-level", "warning"]
    # The one that ours uses; DistilBERT's has the same words.
    tokenizer = next((PACKAGED_MODELS / "sentiment_analysis").glob("*/tokenizer.json"))
    told = {"ARCHITECTURE": architecture, "TOKENIZER_FILE": str(tokenizer)}
    command = [_python(), "-m", "uvicorn", *app, *options]
    log = arena.folder / f"{architecture}.log"
    with both_cores(), running(command, [port], told, None, log) as process:
        _await_prediction(port)
        yield Contestant(architecture, port, process.pid)


def _python() -> str:
    """The peer's, in an environment of its own, installed if need be."""
    requirements, mark = (APP / "requirements.txt").read_text(), ENVIRONMENT / "installed"
    python = str(ENVIRONMENT / "bin" / "python")
    if not mark.is_file() or mark.read_text() != requirements:
        print("Installing torch and transformers, once: 1.2 GB and more.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", APP / "requirements.txt"], check=True)
        mark.write_text(requirements)
    return python


def _await_prediction(port: int) -> None:
    """A service may listen before its models are loaded."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{PATH}", _ONE_TEXT, {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=READY_SECONDS):
                return
        except urllib.error.HTTPError as error:
            if time.monotonic() > deadline:
                said = error.read().decode(errors="replace")
                raise TimeoutError(f"port {port}: no prediction: {said}") from error
            time.sleep(0.1)
