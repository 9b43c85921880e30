"""Who may reach whom, and that whatever is named is there."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.deploy.installation import Installation, Pod

pytestmark = pytest.mark.no_cover


def test_every_selector_selects_a_pod(installation: Installation) -> None:
    for what, selector in selectors(installation):
        assert [pod for pod in installation.pods if pod.is_selected_by(selector)], what


def test_requests_and_scrapes_go_to_what_serves_and_nowhere_else(
    installation: Installation,
) -> None:
    selecting = [*installation.all("Service"), *installation.all("PodMonitor")]

    for each in selecting:
        for pod in installation.pods:
            if pod.is_selected_by(each["spec"]["selector"]):
                assert not {"migrate", "fill"} & {*pod.container.get("args", ())}, each["kind"]


def test_every_port_that_is_named_is_a_port_of_the_container(installation: Installation) -> None:
    for service in installation.all("Service"):
        pods = _selected(installation, service["spec"]["selector"])
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        assert all(targets <= pod.ports.keys() for pod in pods), service["metadata"]["name"]
    for monitor in installation.all("PodMonitor"):
        endpoints = {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]}
        for pod in _selected(installation, monitor["spec"]["selector"]):
            assert endpoints <= pod.ports.keys()
    for pod in installation.pods:
        probes = [value for name, value in pod.container.items() if name.endswith("Probe")]
        asked = {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe}
        assert asked <= pod.ports.keys(), pod.owner


def test_every_network_policy_names_ports_that_are_there(installation: Installation) -> None:
    for policy in installation.all("NetworkPolicy"):
        own = _selected(installation, policy["spec"]["podSelector"])
        for rule in policy["spec"].get("ingress", ()):
            for port in rule["ports"]:
                assert all(port["port"] in pod.ports for pod in own), policy["metadata"]["name"]
        for rule in policy["spec"].get("egress", ()):
            for pod in _named_here(installation, rule):
                assert {port["port"] for port in rule["ports"]} <= {*pod.ports.values()}, rule


def test_the_ops_port_is_open_to_prometheus_alone(installation: Installation) -> None:
    prometheus = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }

    rules = [
        rule
        for policy in installation.all("NetworkPolicy")
        for rule in policy["spec"].get("ingress", ())
        if any(port["port"] in {"ops", 9464} for port in rule["ports"])
    ]

    assert rules
    assert all(rule["from"] == [prometheus] for rule in rules)
    assert all(len(rule["ports"]) == 1 for rule in rules)


def test_every_pod_of_ours_is_closed_but_for_what_a_policy_opens(
    installation: Installation,
) -> None:
    for pod in installation.pods:
        if "app.kubernetes.io/part-of" in pod.labels:
            directions = {
                direction
                for policy in installation.all("NetworkPolicy")
                if pod.is_selected_by(policy["spec"]["podSelector"])
                for direction in policy["spec"]["policyTypes"]
            }
            assert directions == {"Ingress", "Egress"}, pod.owner


def test_every_dependency_of_the_service_on_this_machine_may_be_reached(
    local: Installation,
) -> None:
    service = local.pod("stallscope")
    reachable = {
        pod.owner
        for policy in local.all("NetworkPolicy")
        if service.is_selected_by(policy["spec"]["podSelector"])
        for rule in policy["spec"].get("egress", ())
        for pod in _named_here(local, rule)
    }

    assert reachable == {"postgres", "valkey", "reviews", "inventory"}


def selectors(installation: Installation) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every one there is, and what it belongs to."""
    for each in installation.manifests:
        what, spec = f"{each['kind']}/{each['metadata']['name']}", each.get("spec", {})
        for name in ("selector", "podSelector"):
            if name in spec:
                yield what, spec[name]
    for pod in installation.pods:
        for constraint in pod.spec.get("topologySpreadConstraints", ()):
            yield f"the spread of {pod.owner}", constraint["labelSelector"]


def _selected(installation: Installation, selector: Mapping[str, Any]) -> list[Pod]:
    return [pod for pod in installation.pods if pod.is_selected_by(selector)]


def _named_here(installation: Installation, rule: Mapping[str, Any]) -> list[Pod]:
    """The pods of this namespace that a rule lets be reached."""
    selectors = [
        peer["podSelector"]
        for peer in rule["to"]
        if "podSelector" in peer and "namespaceSelector" not in peer
    ]
    found = [pod for each in selectors for pod in _selected(installation, each)]
    assert bool(found) == bool(selectors), rule
    return found
