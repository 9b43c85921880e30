"""Metrics say what runs here, as traces do."""

import pytest

from middleware import Observability, Telemetry

from .asgi_calls import hello, running
from .observing import quiet_settings


async def test_target_info_names_the_service_its_version_and_its_instance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    telemetry = Telemetry(quiet_settings(), service_name="shop", service_version="1.2")

    async with running(Observability(hello, telemetry=telemetry)):
        info = telemetry.registry.get_target_info() or {}

    assert (info["service_name"], info["service_version"]) == ("shop", "1.2")
    assert len(info["service_instance_id"]) == 36
    assert info["deployment_environment_name"] == "test"
