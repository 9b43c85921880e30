"""What consumers see of a cluster in which things happen: nothing.

One order fits all: what counts what happened comes before what ends and begins replicas.
"""

import asyncio
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic

import pytest

from tests.cluster import balancer
from tests.cluster.conftest import LIMIT
from tests.cluster.running import Cluster, Replica
from tests.cluster.visitors import crowd, visitors
from tests.cluster.watching import Watched, panels_by_instance, watched
from tests.dashboards import live
from tests.integration.predicting import TABULAR_QUESTION, sum_of
from tests.integration.running import until

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("cluster"),
    pytest.mark.skipif(balancer.HAPROXY is None, reason=balancer.MISSING),
]
needs_prometheus = pytest.mark.skipif(live.PROMETHEUS is None, reason=live.MISSING)

CROWD = 1000
A_COLD_PRODUCT = 9_100
BLOCKED_SECONDS = 5.0
PRODUCT = {"http_route": "/v1/product/{product_id}/enriched"}
REQUESTS = "http_server_request_duration_seconds_count"


@pytest.fixture(autouse=True)
def _whole(cluster: Cluster) -> None:
    """What the test before has broken is mended."""
    cluster.world.mend()
    for replica in (cluster.models, *cluster.replicas):
        if replica.process.poll() is not None:
            replica.start()
    cluster.await_all()


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(cluster, tmp_path_factory.mktemp("prometheus")) as watching:
        yield watching


def test_a_thousand_requests_for_a_cold_product_ask_each_source_at_most_once_in_all(
    cluster: Cluster,
) -> None:
    cluster.world.reviews.behave(latency_ms=100)

    statuses = _asked_at_once(cluster, [f"10.0.{n // 250}.{n % 250}" for n in range(CROWD)])

    assert statuses == {200: CROWD}
    for stand_in in (cluster.world.reviews, cluster.world.inventory):
        assert stand_in.requests()["by_product"][str(A_COLD_PRODUCT)] == 1
    assert all(asked > 0 for asked in _asked_of_each(cluster).values())


def test_a_rate_limit_is_the_limit_of_all_replicas_together(cluster: Cluster) -> None:
    for attempt in range(20):
        before = _times_without_valkey(cluster)
        began = monotonic()
        statuses = _asked_at_once(cluster, [f"10.1.0.{attempt}"] * 4 * LIMIT, seconds=0.8)
        seconds = int(monotonic() - began) + 1  # however slow the machine is
        # A starved replica may take Valkey for gone, and then counts for itself.
        if _times_without_valkey(cluster) == before:
            break

    assert statuses.keys() == {200, 429}
    assert LIMIT <= statuses[200] <= LIMIT * seconds
    for replica in cluster.replicas:
        assert replica.metric("rate_limited_requests_total") > 0


@needs_prometheus
def test_what_prometheus_counts_of_each_replica_adds_up_to_what_was_asked(
    cluster: Cluster, prometheus: Watched
) -> None:
    before = sum(_asked_of_each(cluster).values())
    with visitors(cluster.balancer.url) as load:
        load.have_been_answered(20)

    counted = _asked_of_each(cluster)
    query = f'sum by (instance) ({REQUESTS}{{http_route="{PRODUCT["http_route"]}"}})'
    until(lambda: prometheus.by_instance(query) == counted, "Prometheus has seen the last one")
    assert sum(counted.values()) - before == load.answered
    assert all(count > 0 for count in counted.values())


@needs_prometheus
def test_a_panel_shows_the_replica_that_was_chosen_and_no_other(
    cluster: Cluster, prometheus: Watched
) -> None:
    everybody = {replica.instance for replica in cluster.replicas}
    shown = set()
    for query in panels_by_instance():
        shown |= prometheus.instances_shown(query, ".+")
        chosen = cluster.replicas[1].instance
        assert prometheus.instances_shown(query, chosen) <= {chosen}, query.name

    assert shown == everybody


@needs_prometheus
def test_prometheus_says_which_replica_is_blocked(cluster: Cluster, prometheus: Watched) -> None:
    replica = cluster.replicas[2]
    paged = 'sum by (instance) (ALERTS{alertname="EventLoopBlocked", alertstate="firing"})'

    with _blocked(replica):
        until(lambda: bool(prometheus.by_instance(paged)), "somebody is paged")
        found = prometheus.by_instance(paged)

    assert found.keys() == {replica.instance}


def test_postgresql_restarts_and_nobody_notices(cluster: Cluster) -> None:
    with visitors(cluster.balancer.url) as load:
        cluster.world.postgres.stop()
        load.have_been_answered(20)
        cluster.world.postgres.start()
        load.have_been_answered(20)


def test_valkey_restarts_and_nobody_notices(cluster: Cluster) -> None:
    with visitors(cluster.balancer.url) as load:
        cluster.world.valkey.stop()
        load.have_been_answered(20)
        cluster.world.valkey.start()
        load.have_been_answered(20)


def test_a_blocked_loop_costs_a_replica_its_readiness_and_nothing_else(cluster: Cluster) -> None:
    replica, others = cluster.replicas[1], (cluster.replicas[0], cluster.replicas[2])

    def is_out_and_left_alone() -> bool:
        status, said = replica.readiness()
        is_alive = replica.ops("/livez")[0] == 200
        return (status, *said["checks"]) == (503, "event_loop") and is_alive

    with visitors(cluster.balancer.url), _blocked(replica):
        until(lambda: _blamed(replica) == ("/fault/block", "block"), "the stall is reported")
        until(is_out_and_left_alone, "the blocked replica is alive, and not ready")
        until(lambda: not cluster.uses(replica), "the balancer has noticed")
        assert all(_blamed(each) != ("/fault/block", "block") for each in others)

    cluster.await_all()


def test_a_replica_is_killed_and_nobody_notices(cluster: Cluster) -> None:
    replica = cluster.replicas[0]
    with visitors(cluster.balancer.url) as load:
        replica.kill()
        until(lambda: not cluster.uses(replica), "the balancer has noticed")
        load.have_been_answered(20)
        replica.start()
        cluster.await_all()


def test_every_replica_is_replaced_in_turn_and_nobody_notices(cluster: Cluster) -> None:
    with visitors(cluster.balancer.url):
        for replica in cluster.replicas:
            assert replica.stop() == 0
            replica.start()
            cluster.await_all()


def test_without_the_server_of_the_models_predictions_wait_and_products_go_on(
    cluster: Cluster,
) -> None:
    assert _predicted(cluster)[0] == 200
    with visitors(cluster.balancer.url) as load:
        cluster.models.kill()

        status, retry_after = _predicted(cluster)
        assert status == 503
        assert int(retry_after or 0) >= 1

        load.have_been_answered(20)
        cluster.models.start()
        until(lambda: _predicted(cluster)[0] == 200, "predictions are answered again")


@contextmanager
def _blocked(replica: Replica) -> Iterator[None]:
    """Its loop, for five seconds of the block; who asked for that is answered afterwards."""

    def block() -> int:
        url = f"{replica.url}/fault/block?seconds={BLOCKED_SECONDS}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            status: int = answer.status
            return status

    with ThreadPoolExecutor(1) as thread:
        blocking = thread.submit(block)
        yield
        assert blocking.result() == 200


def _asked_of_each(cluster: Cluster) -> dict[str, float]:
    """How often each instance was asked for products, whatever it answered."""
    return {each.instance: sum_of(each, REQUESTS, **PRODUCT) for each in cluster.replicas}


def _asked_at_once(cluster: Cluster, callers: list[str], seconds: float = 0.0) -> Counter[int]:
    url = f"{cluster.balancer.url}/v1/product/{A_COLD_PRODUCT}/enriched"
    return asyncio.run(crowd(url, callers, seconds))


def _times_without_valkey(cluster: Cluster) -> int:
    return sum(replica.log().count('"redis_unavailable"') for replica in cluster.replicas)


def _blamed(replica: Replica) -> tuple[str, str] | None:
    """Route and function of what blocks the replica's loop."""
    for stall in replica.stalls():
        if stall["phase"] == "ongoing" and stall["culprit"]:
            return stall["route"], stall["culprit"]["function"]
    return None


def _predicted(cluster: Cluster) -> tuple[int, str | None]:
    """How a prediction is answered: the status, and when to come again."""
    headers = {"Content-Type": TABULAR_QUESTION.kind}
    url = cluster.balancer.url + TABULAR_QUESTION.path
    request = urllib.request.Request(url, TABULAR_QUESTION.body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"]
