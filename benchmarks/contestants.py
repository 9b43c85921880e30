"""Who takes part, and how each is started: one process on one core, production settings."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from benchmarks.installation import EXPRESS, node_program, peer_program
from benchmarks.programs import module

THREADS = 32
CACHE_SECONDS = 30
# gunicorn's workers close a kept connection after 2 s unless told, and keep 1000 at most.
_GUNICORN = ("--workers", "1", "--worker-class", "gthread", "--threads", str(THREADS))
_GUNICORN_CONNECTIONS = ("--keep-alive", "75", "--worker-connections", "4000", "--backlog", "2048")

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Contestant:
    """`command` gives what to run on a port, None when its runtime is missing here."""

    name: str
    command: Callable[[int], list[str] | None]
    uncached: Environment
    cached: Environment | None


def _gunicorn(application: str) -> Callable[[int], list[str]]:
    def command(port: int) -> list[str]:
        bind = ("--bind", f"127.0.0.1:{port}", application)
        return [peer_program("gunicorn"), *_GUNICORN, *_GUNICORN_CONNECTIONS, *bind]

    return command


def _uvicorn(application: str) -> Callable[[int], list[str]]:
    def command(port: int) -> list[str]:
        options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--port", port)
        return module("uvicorn", application, *options, "--log-level", "warning")

    return command


def _express(port: int) -> list[str] | None:
    node = node_program()
    return [node, str(EXPRESS / "server.js")] if node else None


def _service(port: int) -> list[str]:
    return [sys.executable, "-m", "service", "serve"]


_PEER_CACHED = {"CACHE_SECONDS": str(CACHE_SECONDS)}

OURS = Contestant(
    "Stallscope",
    _service,
    # The shortest life there is; the products are asked for in turn, so that none is met again
    # before it is over, and what is measured includes looking into the cache and writing to it.
    uncached={"CACHE__TTL_SECONDS": "1", "CACHE__STALE_SECONDS": "1"},
    cached={"CACHE__TTL_SECONDS": str(CACHE_SECONDS)},
)
SILENT = replace(OURS, name="Stallscope, signals off")
BARE = Contestant("bare FastAPI", _uvicorn("benchmarks.peers.bare:app"), {}, {})
FLASK = Contestant("Flask", _gunicorn("benchmarks.peers.flask_app.app:app"), {}, _PEER_CACHED)
DJANGO = Contestant(
    "Django", _gunicorn("benchmarks.peers.django_app.wsgi:application"), {}, _PEER_CACHED
)
EXPRESS_APP = Contestant("Express", _express, {"NODE_ENV": "production"},
                         {"NODE_ENV": "production", **_PEER_CACHED})  # fmt: skip
NAIVE = Contestant("naive FastAPI", _uvicorn("benchmarks.peers.naive_fastapi.app:app"), {}, None)

ALL = (OURS, FLASK, DJANGO, EXPRESS_APP, NAIVE)
