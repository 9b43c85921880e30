"""`stallscope demo`: everything on this machine, started, explained, and stopped again.

The stand-ins listen where REVIEWS__URL and INVENTORY__URL point, on 8101 and 8102 without them.
"""

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from service.demo.addresses import Address, AddressError, Addresses, WatchAddresses
from service.demo.database import prepare_database
from service.demo.embedded import (
    EmbeddedPostgres,
    EmbeddedServer,
    EmbeddedValkey,
    ServerError,
    run_folder,
)
from service.demo.faults import Pace, Stage, cause_faults
from service.demo.folders import FolderError
from service.demo.guide import guide
from service.demo.interrupts import InterruptedDemoError, Interrupts
from service.demo.monitoring import Monitoring
from service.demo.processes import end, kill, launch
from service.demo.rehearsals import Fault
from service.demo.traffic import send_traffic

_START_SECONDS = 120.0
# More than the service gives its last requests.
_GRACE_SECONDS = 15.0
_WATCH_SECONDS = 0.2
_POLL_SECONDS = 0.1
_DATABASE = "stallscope"
_EXIT_AFTER_KILL = 130


class PartEndedError(Exception):
    """A part of the demo ended by itself or never became ready."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `stallscope demo` was asked for; without a duration it runs until Ctrl-C."""

    duration_seconds: float | None = None
    traffic: bool = True
    faults: Sequence[Fault] = ()


def run_demo(options: DemoOptions) -> int:
    """Run the demo; the exit code: 0 when it was stopped or its time was over, else 1.

    130 when a second signal made it kill everything. Call it from the main thread.
    """
    try:
        addresses = Addresses.from_environment(os.environ)
        addresses.check()
        watch_addresses = WatchAddresses.beside(addresses, os.environ)
    except AddressError as error:
        print(error, file=sys.stderr)
        return 1
    demo = _Demo(options, addresses, watch_addresses)
    interrupts = Interrupts(demo.kill)
    with interrupts.handled():
        code = _run(demo, interrupts)
    return _EXIT_AFTER_KILL if interrupts.killed else code


def _run(demo: "_Demo", interrupts: Interrupts) -> int:
    code = 0
    try:
        with ExitStack() as parts:
            try:
                demo.start(parts)
                interrupts.run(demo.serve())
            except (PartEndedError, ServerError, FolderError) as error:
                print(error, file=sys.stderr, flush=True)
                code = 1
            finally:
                interrupts.stop_reacting()
                print("Stopping everything.", flush=True)
    except InterruptedDemoError:
        pass
    return code


class _Demo:
    def __init__(
        self, options: DemoOptions, addresses: Addresses, watch_addresses: WatchAddresses
    ) -> None:
        self._options = options
        self._addresses = addresses
        self._monitoring = Monitoring(addresses.ops, watch_addresses)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._servers: list[EmbeddedServer] = []

    def start(self, parts: ExitStack) -> None:
        """Start everything, each part to be stopped by `parts`. Raises when one cannot start."""
        folder = parts.enter_context(run_folder())
        print(f"Stallscope demo; its files are in {folder}", flush=True)
        self._monitoring.start(parts, folder)
        valkey, postgres = EmbeddedValkey(folder / "valkey"), EmbeddedPostgres(folder / "pg")
        self._servers = [valkey, postgres]
        for server in self._servers:
            with _step(f"Starting {server.name}"):
                parts.enter_context(server)
        with _step("Preparing the database, 10,000 products"):
            asyncio.run(prepare_database(postgres, _DATABASE))
        dsn = postgres.dsn_of(_DATABASE)
        self._start_upstreams(parts)
        self._start_service(parts, dsn, valkey.url)
        self._monitoring.tell_who_ended()
        print(f"\n{guide(self._addresses, dsn, self._monitoring)}\n")
        print(self._farewell(), flush=True)

    async def serve(self) -> None:
        """Until the duration is over or a part ends by itself, which raises PartEndedError."""
        try:
            async with (
                asyncio.timeout(self._options.duration_seconds),
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self._watch())
                if self._options.traffic:
                    group.create_task(send_traffic(self._addresses.api.url))
                if faults := self._options.faults:
                    stage = Stage(self._addresses, {each.name: each for each in self._servers})
                    group.create_task(cause_faults(stage, faults, Pace.of(faults)))
                if self._monitoring.receives_alerts:
                    group.create_task(self._monitoring.receive_alerts())
        except TimeoutError:
            pass
        except ExceptionGroup as failures:
            # The others were cancelled because of this one.
            raise failures.exceptions[0] from None

    def kill(self) -> None:
        """Kill whatever runs."""
        watchers = self._monitoring.running.values()
        servers = (server.process for server in self._servers)
        processes = [*self._children.values(), *watchers, *servers]
        for process in processes:
            if process is not None:
                kill(process)

    def _start_upstreams(self, parts: ExitStack) -> None:
        for kind, address in (
            ("reviews", self._addresses.reviews),
            ("inventory", self._addresses.inventory),
        ):
            with _step(f"Starting the {kind} stand-in"):
                where = ("--host", address.host, "--port", str(address.port))
                self._start_child(parts, address.part, ["stand-in", kind, *where], {})
                self._await_answer(address, "/health")

    def _start_service(self, parts: ExitStack, dsn: str, redis_url: str) -> None:
        addresses = self._addresses
        settings = {
            "DATABASE_URL": dsn,
            "REDIS_URL": redis_url,
            "REVIEWS__URL": addresses.reviews.url,
            "INVENTORY__URL": addresses.inventory.url,
            "HOST": addresses.api.host,
            "PORT": str(addresses.api.port),
            "OPS_HOST": addresses.ops.host,
            "OPS_PORT": str(addresses.ops.port),
            "LOG_FORMAT": os.environ.get("LOG_FORMAT") or "console",
            "LOG_LEVEL": os.environ.get("LOG_LEVEL") or "warning",
        }
        with _step("Starting the service"):
            self._start_child(parts, "the service", ["serve", "--with-mistakes"], settings)
            self._await_answer(addresses.ops, "/readyz")

    def _start_child(
        self, parts: ExitStack, part: str, arguments: list[str], settings: dict[str, str]
    ) -> None:
        command = [sys.executable, "-m", "service", *arguments]
        process = launch(command, environment={**os.environ, **settings})
        parts.callback(end, process, graceful=signal.SIGTERM, grace_seconds=_GRACE_SECONDS)
        self._children[part] = process

    def _await_answer(self, address: Address, path: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(address, path):
            self._check_children()
            if time.monotonic() > deadline:
                raise PartEndedError(f"{address.url}{path} does not answer 200.")
            time.sleep(_POLL_SECONDS)

    def _check_children(self) -> None:
        for part, process in self._children.items():
            if process.poll() is not None:
                raise PartEndedError(
                    f"{part} ended by itself, with exit code {process.returncode}."
                )

    async def _watch(self) -> None:
        while True:
            self._check_children()
            self._monitoring.tell_who_ended()
            await asyncio.sleep(_WATCH_SECONDS)

    def _farewell(self) -> str:
        seconds = self._options.duration_seconds
        return (
            "Ctrl-C stops everything." if seconds is None else f"Stops by itself in {seconds:g} s."
        )


@contextmanager
def _step(what: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"  {what} …", end="", flush=True)
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f" {time.monotonic() - started:.1f} s", flush=True)


def _answers(address: Address, path: str) -> bool:
    url = urlsplit(address.url)
    # No urllib: it would ask the environment's proxy for an address of this machine.
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
