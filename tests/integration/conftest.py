"""One running service per module, over servers of all; what a test breaks is mended after it."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from service.demo.database import prepare_database
from service.demo.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.conftest import RunningStandIn
from tests.integration.running import RunningService, running_service, running_stand_in


@dataclass(frozen=True, slots=True)
class World:
    """All that a service stands on."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    reviews: RunningStandIn
    inventory: RunningStandIn
    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a service in this world."""
        return {
            "DATABASE_URL": self.postgres.dsn_of("integration"),
            "REDIS_URL": self.valkey.url,
            "REVIEWS__URL": self.reviews.url,
            "INVENTORY__URL": self.inventory.url,
        }

    def mend(self) -> None:
        """All servers run and all stand-ins are well, at once."""
        self.postgres.start()
        self.valkey.start()
        for stand_in in (self.reviews, self.inventory):
            stand_in.behave(mode="ok", latency_ms=0, jitter_ms=0, share=1.0)

    def shares(self, product_id: int) -> bool:
        """Whether the replicas have a product in common."""
        with Redis.from_url(self.valkey.url) as client:
            return bool(client.keys(f"*product*:{product_id}"))

    def forget(self) -> None:
        """No replica has cached anything, and no upstream was asked for anything."""
        with Redis.from_url(self.valkey.url) as client:
            client.flushall()
        for stand_in in (self.reviews, self.inventory):
            stand_in.forget()


@pytest.fixture(scope="session")
def world(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Real servers, and stand-ins that answer at once."""
    folder = tmp_path_factory.mktemp("services")
    with ExitStack() as started:
        reviews, inventory = (
            started.enter_context(running_stand_in(kind)) for kind in ("reviews", "inventory")
        )
        world = World(postgres, valkey, reviews, inventory, folder)
        world.mend()
        with asyncio.Runner() as runner:
            runner.run(prepare_database(postgres, "integration"))
        yield world


@pytest.fixture(scope="module", autouse=True)
def _begun_anew(world: World) -> None:
    """As if no other module had been there."""
    world.mend()
    world.forget()


@pytest.fixture(scope="module")
def module_settings() -> dict[str, str]:
    """What a module's service has other than the defaults; modules override this."""
    return {}


@pytest.fixture(scope="module")
def service(world: World, module_settings: dict[str, str]) -> Iterator[RunningService]:
    """The module's service."""
    with running_service(world.folder, **world.settings, **module_settings) as running:
        yield running


@pytest.fixture(autouse=True)
def _mended(world: World) -> Iterator[None]:
    yield
    world.mend()
