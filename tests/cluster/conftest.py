"""One cluster for all tests: it takes seconds to begin."""

import asyncio
from collections.abc import Iterator

import pytest

from service.demo.database import prepare_database
from service.demo.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.cluster.running import Cluster, running_cluster
from tests.integration.conftest import World
from tests.integration.running import running_stand_in

LIMIT = 100


@pytest.fixture(scope="package")
def cluster(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Three replicas, and a fourth process that has their models."""
    folder = tmp_path_factory.mktemp("cluster")
    with (
        running_stand_in("reviews") as reviews,
        running_stand_in("inventory") as inventory,
    ):
        world = World(postgres, valkey, reviews, inventory, folder)
        world.mend()
        world.forget()
        with asyncio.Runner() as runner:
            runner.run(prepare_database(postgres, "integration"))
        with running_cluster(world, replicas=3, RATE_LIMIT=f"{LIMIT}/second") as cluster:
            yield cluster
