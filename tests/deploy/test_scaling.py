"""How many replicas there are, and by what that is decided."""

import re
from collections.abc import Mapping
from typing import Any

import promql_parser as promql
import pytest
import yaml

from dashboards.names import METRICS
from deploy.validate import KUBERNETES
from service.settings import DatabaseSettings
from tests.deploy.installation import Installation, quantity

pytestmark = pytest.mark.no_cover

ADAPTER = KUBERNETES / "components" / "autoscaling" / "prometheus_adapter.yaml"
# PostgreSQL's max_connections less superuser_reserved_connections, as it comes.
CONNECTIONS = 100 - 3
GAUGES = {metric.name for metric in METRICS if metric.kind == "gauge"}
# What prometheus-adapter puts in.
_FILLED = {
    "<<.GroupBy>>": "pod",
    "<<.LabelMatchers>>": 'namespace="stallscope",pod=~"a|b"',
}


@pytest.fixture
def autoscaler(production: Installation) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = production.one("HorizontalPodAutoscaler", "stallscope")["spec"]
    return spec


def asked_for(autoscaler: Mapping[str, Any]) -> set[str]:
    """The names of the metrics that Prometheus has to have."""
    return {
        each["pods"]["metric"]["name"] for each in autoscaler["metrics"] if each["type"] == "Pods"
    }


def adapter_rules() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(ADAPTER.read_text())["rules"]
    return rules


def test_replicas_follow_the_event_loop_and_the_requests_in_flight(
    autoscaler: Mapping[str, Any],
) -> None:
    assert asked_for(autoscaler) == {
        METRICS.asyncio_eventloop_utilization_ratio.name,
        METRICS.http_server_active_requests.name,
    }
    assert asked_for(autoscaler) <= GAUGES


def test_the_adapter_gives_every_metric_that_is_asked_for(autoscaler: Mapping[str, Any]) -> None:
    rules = adapter_rules()

    assert {rule["name"]["as"] for rule in rules} == asked_for(autoscaler)
    for rule in rules:
        assert rule["seriesQuery"].startswith(f"{rule['name']['as']}{{")
        assert rule["metricsQuery"].count(f"({rule['name']['as']}{{") == 1
        assert rule["resources"]["overrides"].keys() == {"namespace", "pod"}


def test_prometheus_can_read_what_the_adapter_asks() -> None:
    for rule in adapter_rules():
        query = re.sub("|".join(_FILLED), lambda found: _FILLED[found[0]], rule["metricsQuery"])
        promql.parse(query)
        promql.parse(rule["seriesQuery"])


def test_a_busy_loop_is_relieved_before_it_is_full(autoscaler: Mapping[str, Any]) -> None:
    (target,) = (
        quantity(each["pods"]["target"]["averageValue"])
        for each in autoscaler["metrics"]
        if each["type"] == "Pods"
        and each["pods"]["metric"]["name"] == METRICS.asyncio_eventloop_utilization_ratio.name
    )

    assert target < 0.9, "where the alert EventLoopSaturated begins"


def test_replicas_come_quickly_and_go_slowly(autoscaler: Mapping[str, Any]) -> None:
    up, down = autoscaler["behavior"]["scaleUp"], autoscaler["behavior"]["scaleDown"]

    assert up["stabilizationWindowSeconds"] == 0
    assert down["stabilizationWindowSeconds"] >= 300
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_it_scales_the_deployment_and_nobody_else_does(
    production: Installation, autoscaler: Mapping[str, Any]
) -> None:
    target = autoscaler["scaleTargetRef"]
    deployment = production.one(target["kind"], target["name"])

    assert "replicas" not in deployment["spec"]
    assert autoscaler["minReplicas"] >= 3


def test_all_replicas_and_the_one_of_a_rollout_find_a_database_connection(
    production: Installation, autoscaler: Mapping[str, Any]
) -> None:
    service = production.pod("stallscope")
    settings = production.environment(service)
    pool = int(settings.get("DATABASE__POOL_MAX_SIZE", DatabaseSettings().pool_max_size))
    surge = production.one("Deployment", "stallscope")["spec"]["strategy"]["rollingUpdate"]

    assert (autoscaler["maxReplicas"] + surge["maxSurge"]) * pool <= CONNECTIONS


def test_on_one_machine_there_are_two(local: Installation) -> None:
    assert local.one("Deployment", "stallscope")["spec"]["replicas"] == 2


def test_replicas_are_spread_over_zones_and_nodes(production: Installation) -> None:
    spread = production.pod("stallscope").spec["topologySpreadConstraints"]

    assert {each["topologyKey"]: each["whenUnsatisfiable"] for each in spread} == {
        "topology.kubernetes.io/zone": "DoNotSchedule",
        "kubernetes.io/hostname": "ScheduleAnyway",
    }


def test_drains_take_one_replica_at_a_time(installation: Installation) -> None:
    budget = installation.one("PodDisruptionBudget", "stallscope")

    assert budget["spec"]["maxUnavailable"] == 1
