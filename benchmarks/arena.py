"""What all contestants share: one PostgreSQL, one Valkey, the same two upstreams."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.catalogue import fill, migrate
from benchmarks.contestants import THREADS, Contestant
from benchmarks.cores import CONTESTANT_CORE, SURROUNDINGS_CORE, on_core
from benchmarks.load.plan import Plan
from benchmarks.load_run import run_load
from benchmarks.programs import module, running
from service.demo.embedded import EmbeddedPostgres, EmbeddedValkey
from service.demo.folders import short_temp_folder
from service.demo.ports import free_port

PRODUCTS = 10_000
DATABASE_URL = "postgresql://postgres@127.0.0.1:{port}/postgres"


@dataclass(frozen=True)
class Started:
    """A contestant that listens."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True)
class Arena:
    """The servers that live as long as the benchmark."""

    folder: Path
    database_port: int
    redis_port: int

    @contextmanager
    def surroundings(
        self, upstream_ms: float, database_ms: float = 0.0
    ) -> Iterator[Mapping[str, str]]:
        """Upstreams and a database as far away as said; the environment that leads to them."""
        reviews, inventory, database = free_port(), free_port(), self.database_port
        with ExitStack() as programs:
            upstreams = module("benchmarks.upstreams", reviews, inventory, upstream_ms)
            programs.enter_context(running(upstreams, [reviews, inventory]))
            if database_ms:
                database = free_port()
                proxy = module("benchmarks.delay_proxy", database, self.database_port, database_ms)
                programs.enter_context(running(proxy, [database]))
            yield self._environment(reviews, inventory, database)

    def _environment(self, reviews: int, inventory: int, database: int) -> dict[str, str]:
        urls = {
            "REVIEWS": f"http://127.0.0.1:{reviews}",
            "INVENTORY": f"http://127.0.0.1:{inventory}",
        }
        return {
            "DATABASE_URL": DATABASE_URL.format(port=database),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            **{f"{name}__URL": url for name, url in urls.items()},  # as the service reads it
            **{f"{name}_URL": url for name, url in urls.items()},  # as the peers do
            "THREADS": str(THREADS),
            "LOG_LEVEL": "warning",
        }

    @contextmanager
    def started(
        self,
        contestant: Contestant,
        surroundings: Mapping[str, str],
        *,
        cached: bool,
        extra: Mapping[str, str] | None = None,
    ) -> Iterator[Started | None]:
        """The contestant on its core with an empty cache; None where it cannot run."""
        self.empty_cache()
        port, ops_port = free_port(), free_port()
        command = contestant.command(port)
        if command is None:
            yield None
            return
        own = (contestant.cached if cached else contestant.uncached) or {}
        ports = {"PORT": str(port), "OPS_PORT": str(ops_port)}
        environment = {**surroundings, **own, **ports, **(extra or {})}
        log = self.folder / f"{contestant.name.replace(' ', '-')}.log"
        with running(command, [port], environment, CONTESTANT_CORE, log) as process:
            started = Started(contestant.name, port, process.pid)
            warm_up(started, cached=cached)
            yield started

    def empty_cache(self) -> None:
        with redis.Redis(port=self.redis_port) as client:
            client.flushall()


def warm_up(started: Started, *, cached: bool) -> None:
    """Fill pools and code caches, and the cache where there is one."""
    ids = Plan(started.port, connections=16, seconds=4.0 if cached else 2.0, ids="cycle")
    run_load(ids)


@contextmanager
def open_arena() -> Iterator[Arena]:
    """Start the servers on the surroundings' core and fill the catalogue."""
    with ExitStack() as servers, on_core(SURROUNDINGS_CORE):
        folder = servers.enter_context(short_temp_folder())
        database_port, redis_port = free_port(), free_port()
        servers.enter_context(EmbeddedPostgres(folder / "postgres", port=database_port))
        servers.enter_context(EmbeddedValkey(folder / "valkey", port=redis_port))
        database_url = DATABASE_URL.format(port=database_port)
        migrate(database_url)
        asyncio.run(fill(database_url, PRODUCTS))
        yield Arena(folder, database_port, redis_port)
