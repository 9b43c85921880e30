"""How a pod starts, is watched, ends, and what it may do."""

import pytest

from middleware.ops.probes import ALIVE_WITHIN_SECONDS
from service.settings import Settings
from service.workers.supervisor import STOP_MARGIN_SECONDS
from tests.deploy.installation import Installation, quantity

pytestmark = pytest.mark.no_cover

# A stall that lasts as long as this is reported, and must not end the process.
STALL_SECONDS = 10
BLOCKED_SECONDS = 5


def test_a_stall_does_not_fail_the_liveness_probe(installation: Installation) -> None:
    assert ALIVE_WITHIN_SECONDS >= STALL_SECONDS, "while the ops port answers"
    for pod in installation.serving:
        probe = pod.probe("livenessProbe")
        assert probe["httpGet"] == {"path": "/livez", "port": "ops"}
        silence = probe["periodSeconds"] * (probe["failureThreshold"] - 1)
        assert silence >= STALL_SECONDS, "while nothing answers, as when Python's lock is held"


def test_a_replica_that_is_blocked_for_five_seconds_is_out_of_the_service_by_then(
    installation: Installation,
) -> None:
    for pod in installation.serving:
        probe = pod.probe("readinessProbe")
        assert probe["httpGet"] == {"path": "/readyz", "port": "ops"}
        worst = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
        assert worst <= BLOCKED_SECONDS
        assert probe["failureThreshold"] > 1, "one lost answer is no reason"


def test_a_replica_may_start_slowly(installation: Installation) -> None:
    for pod in installation.serving:
        probe = pod.probe("startupProbe")
        assert probe["httpGet"] == {"path": "/livez", "port": "ops"}
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 60


def test_a_replica_that_ends_has_time_for_all_that_it_does_then(
    installation: Installation,
) -> None:
    for pod in installation.serving:
        settings = installation.environment(pod)
        default = Settings.model_fields["shutdown_grace_seconds"].default
        grace = float(settings.get("SHUTDOWN_GRACE_SECONDS", default))
        told = pod.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        needed = told + grace + STOP_MARGIN_SECONDS
        assert pod.spec["terminationGracePeriodSeconds"] > needed, pod.owner


def test_a_rollout_takes_no_replica_away_before_another_is_ready(
    installation: Installation,
) -> None:
    spec = installation.one("Deployment", "stallscope")["spec"]

    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_nothing_has_more_rights_than_it_needs(installation: Installation) -> None:
    for pod in installation.pods:
        assert pod.spec["automountServiceAccountToken"] is False, pod.owner
        assert pod.spec["enableServiceLinks"] is False, pod.owner
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, pod.owner
        assert not {"hostPID", "hostNetwork", "shareProcessNamespace"} & pod.spec.keys()


def test_the_namespace_refuses_more_rights(installation: Installation) -> None:
    labels = installation.one("Namespace", "stallscope")["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_everything_has_requests_and_limits(installation: Installation) -> None:
    for pod in installation.pods:
        resources = pod.container["resources"]
        for name in ("cpu", "memory"):
            wanted, most = (quantity(resources[each][name]) for each in ("requests", "limits"))
            assert 0 < wanted <= most, pod.owner
        for volume in pod.spec.get("volumes", ()):
            assert "sizeLimit" in volume["emptyDir"], pod.owner


def test_every_volume_is_mounted_and_every_mount_is_a_volume(installation: Installation) -> None:
    for pod in installation.pods:
        volumes = {volume["name"] for volume in pod.spec.get("volumes", ())}
        mounts = {mount["name"] for mount in pod.container.get("volumeMounts", ())}
        assert volumes == mounts, pod.owner


def test_uploads_have_a_place(installation: Installation) -> None:
    for pod in installation.serving:
        assert {mount["mountPath"] for mount in pod.container["volumeMounts"]} == {"/tmp"}
