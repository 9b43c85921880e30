"""Real servers for every test: PostgreSQL, Valkey, and the upstream stand-ins.

The servers start when a test first asks for them, one each per xdist worker.
"""

import asyncio
import gc
import http.client
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis import Redis

from service.demo.answers import Kind
from service.demo.database import prepare_database
from service.demo.embedded import EmbeddedPostgres, EmbeddedValkey, short_temp_folder
from service.demo.stand_ins import serve_stand_in

pytest_plugins = ["tests.browser"]


def pytest_configure(config: pytest.Config) -> None:
    """Let children hear Ctrl-C, also from a background job, and us open enough connections."""
    gc.disable()  # until all tests are collected: of what is loaded by then nothing ends
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # 1,000 users at once are as many connections; an ordinary user's limit is 1,024.
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    config.addinivalue_line("markers", "covers_processes: its processes are covered, too.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups wait more than they compute, single tests compute: let each have some of the other.

    xdist hands them out in this order, so that the processors are rarely idle.
    """
    groups: dict[str, list[pytest.Item]] = {}
    singles = []
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is None:
            singles.append(item)
        else:
            groups.setdefault(mark.args[0], []).append(item)
    ahead = len(singles) // (len(groups) + 1)
    items[:] = []
    for group in groups.values():
        items += group + singles[:ahead]
        del singles[:ahead]
    items += singles


def pytest_collection_finish() -> None:
    """Thousands of tests and all that they import stay: the collector need not look at them."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """What is not covered runs two or three times as fast: Hypothesis' examples, and `no_cover`.

    pytest-cov stops one measurement for the latter, and an xdist worker has three.
    """
    if not any(item.get_closest_marker(name) for name in ("no_cover", "hypothesis")):
        return (yield)
    traces: Any = sys.gettrace(), threading.gettrace()
    _trace_with(None, None)
    try:
        return (yield)
    finally:
        _trace_with(*traces)


def _trace_with(here: Any, in_new_threads: Any) -> None:
    sys.settrace(here)
    threading.settrace(in_new_threads)


@pytest.fixture(scope="session", autouse=True)
def _what_covers_processes() -> Iterator[dict[str, str]]:
    """Out of the environment: coverage takes as long again, and most processes are alike."""
    found = {name: value for name, value in os.environ.items() if name.startswith("COV")}
    with _processes_covered(found, if_true=False):
        yield found


@pytest.fixture(scope="module", autouse=True)
def _processes_of_modules_are_covered_if_marked(
    request: pytest.FixtureRequest, _what_covers_processes: dict[str, str]
) -> Iterator[None]:
    marks = getattr(request.module, "pytestmark", [])
    names = {mark.name for mark in (marks if isinstance(marks, list) else [marks])}
    with _processes_covered(_what_covers_processes, if_true="covers_processes" in names):
        yield


@pytest.fixture(autouse=True)
def _processes_of_tests_are_covered_if_marked(
    request: pytest.FixtureRequest, _what_covers_processes: dict[str, str]
) -> Iterator[None]:
    marked = {mark.name for mark in request.node.iter_markers()}
    is_wanted = "covers_processes" in marked and "no_cover" not in marked
    with _processes_covered(_what_covers_processes, if_true=is_wanted):
        yield


@contextmanager
def _processes_covered(variables: dict[str, str], *, if_true: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in variables.items():
            if if_true:
                patched.setenv(name, value)
            else:
                patched.delenv(name, raising=False)  # pytest-cov may have set it again
        yield


_TEMPLATE = "template_products"
_database_numbers = count(1)


class RunningStandIn:
    """A stand-in on a thread and a loop of its own, so that no test's loop can hold it up.

    All methods block for about a millisecond; they may be called from anywhere.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def behave(self, **behaviour: object) -> dict[str, Any]:
        """Change `mode`, `latency_ms`, `jitter_ms`, `share`; gives all four. Refusals fail."""
        changed: dict[str, Any] = self._call("PUT", "/behaviour", behaviour)
        return changed

    def requests(self) -> dict[str, Any]:
        """`count` and `by_product` (by id, as text) since the stand-in began, or forgot."""
        counted: dict[str, Any] = self._call("GET", "/requests")
        return counted

    def forget(self) -> None:
        """Count requests anew."""
        self._call("DELETE", "/requests")

    def _call(self, method: str, path: str, body: object = None) -> Any:
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)
        try:
            connection.request(method, path, json.dumps(body))
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        assert response.status in (200, 204), answer
        return json.loads(answer) if answer else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server; a test that stops it may leave it stopped, but not suspended."""
    with short_temp_folder() as folder, EmbeddedPostgres(folder / "pg") as server:
        yield server


@pytest.fixture(scope="session")
def _database_template(postgres: EmbeddedPostgres) -> str:
    _run(prepare_database(postgres, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, _database_template: str) -> Iterator[str]:
    """A database of the test's own, migrated, with all 10,000 products."""
    postgres.start()
    name = f"test_{next(_database_numbers)}"
    _administer(
        postgres, f"CREATE DATABASE {name} TEMPLATE {_database_template} STRATEGY FILE_COPY"
    )
    yield postgres.dsn_of(name)
    postgres.start()
    _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """A server; a test that stops it may leave it stopped, but not suspended."""
    with short_temp_folder() as folder, EmbeddedValkey(folder / "valkey") as server:
        yield server


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """The address of an empty Valkey."""
    valkey.start()
    with Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@pytest.fixture
def reviews() -> Iterator[RunningStandIn]:
    """The reviews API; well, until told otherwise."""
    with _running_stand_in("reviews") as stand_in:
        yield stand_in


@pytest.fixture
def inventory() -> Iterator[RunningStandIn]:
    """The inventory API; well, until told otherwise."""
    with _running_stand_in("inventory") as stand_in:
        yield stand_in


def _administer(postgres: EmbeddedPostgres, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(postgres.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    _run(execute())


def _run(work: Coroutine[Any, Any, object]) -> None:
    # A loop of its own, which leaves pytest-asyncio's current one as it is.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


@contextmanager
def _running_stand_in(kind: Kind) -> Iterator[RunningStandIn]:
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        finished = asyncio.Event()
        async with serve_stand_in(kind) as url:
            started.set_result((url, asyncio.get_running_loop(), finished))
            await finished.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name=kind, daemon=True)
    thread.start()
    url, loop, finished = started.result(timeout=10)
    yield RunningStandIn(url)
    loop.call_soon_threadsafe(finished.set)
    thread.join(timeout=10)
    assert not thread.is_alive()
