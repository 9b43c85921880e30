"""The container's own environment, run as a process: what the manifests count on is so."""

import json
import re
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from dashboards.names import METRICS
from deploy.validate import KUBERNETES
from service.demo.embedded import EmbeddedPostgres
from tests.conftest import RunningStandIn
from tests.deploy.installation import Installation, quantity
from tests.integration.running import RunningService, running_service, started_service, until
from tests.service.command import run

pytestmark = pytest.mark.no_cover

README = KUBERNETES.parent / "README.md"
USERS = "stallscope", "stallscope_migrations"
LOGGED = METRICS.ml_prediction_log_rows_total.name
SIDECAR_BYTES = 16 * 2**20
QUESTIONS = {
    "/predict": {"features": [14.2, 19.1, 92.3, 640.1, 0.097, 0.106, 0.091, 0.05, 0.181, 0.0628]},
    "/predict/sentiment": {"texts": ["It boils in no time."] * 8},
}


@pytest.fixture
def environment(
    local: Installation, redis_url: str, reviews: RunningStandIn, inventory: RunningStandIn
) -> Mapping[str, str]:
    """That of the service's container, but for where its dependencies are."""
    here = {"REDIS_URL": redis_url, "REVIEWS__URL": reviews.url, "INVENTORY__URL": inventory.url}
    return local.environment(local.pod("stallscope")) | here


@dataclass(frozen=True, slots=True)
class Database:
    """One without a schema, as its two users have it."""

    of_the_service: str
    of_the_migration: str


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """Made by the SQL of deploy/README.md."""
    cluster, inside = re.findall("```sql\n(.*?)```", README.read_text(), re.DOTALL)
    dsn = postgres.dsn_of("stallscope")
    await _administer(postgres.dsn, *cluster.splitlines())
    service, migration = (dsn.replace("//postgres@", f"//{user}@") for user in USERS)
    await _administer(migration, *inside.splitlines())
    yield Database(service, migration)
    await _administer(postgres.dsn, "DROP DATABASE stallscope WITH (FORCE)")
    await _administer(postgres.dsn, *(f"DROP ROLE {user}" for user in USERS))


def test_a_new_replica_waits_for_the_migration_and_then_serves(
    tmp_path: Path, environment: Mapping[str, str], database: Database
) -> None:
    settings = {**environment, "DATABASE_URL": database.of_the_service}

    with started_service(tmp_path, **settings) as service:
        status, said = service.readiness()
        assert status == 503
        assert "stallscope migrate" in said["checks"]["migrations"]["reason"]
        assert service.ops("/livez")[0] == 200, "else it would be restarted"

        done = run("migrate", folder=tmp_path, DATABASE_URL=database.of_the_migration)
        assert done.returncode == 0, done.stderr

        until(lambda: service.readiness()[0] == 200, "the replica is ready")
        _ask(service, "/predict", QUESTIONS["/predict"])
        until(
            lambda: service.metric(LOGGED, outcome="written") == 1,
            "its prediction is written down",
        )


def test_a_replica_needs_no_more_memory_than_it_asks_for(
    tmp_path: Path, local: Installation, environment: Mapping[str, str], database_url: str
) -> None:
    resources = local.pod("stallscope").container["resources"]
    requested = quantity(resources["requests"]["memory"])

    with running_service(tmp_path, **environment, DATABASE_URL=database_url) as service:
        for path, question in QUESTIONS.items():
            _ask(service, path, question)
        resident = service.metric(METRICS.process_resident_memory_bytes.name)
        assert service.stop() == 0

    assert resident + SIDECAR_BYTES < requested


def _ask(service: RunningService, path: str, question: object) -> None:
    request = urllib.request.Request(
        service.url + path,
        data=json.dumps(question).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


async def _administer(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
