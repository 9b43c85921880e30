"""What the containers are told: settings, secrets, commands, images."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from deploy.validate import NO_KUBECTL, has_kubectl
from service.__main__ import main
from service.settings import Settings
from tests.deploy.installation import Installation, secret_keys
from tests.deploy.variants import PRODUCTION, production_with

pytestmark = pytest.mark.no_cover

# What is read by others in the process: OpenTelemetry, uvicorn. POD_* stand in other values.
_OTHERS = ("OTEL_", "FORWARDED_ALLOW_IPS", "POD_")
_SECRETS = {
    "DATABASE_URL": "postgresql://user:password@db.example.com/stallscope",
    "REDIS_URL": "rediss://:password@redis.example.com:6379/0",
    "API_KEYS": "0" * 64,
    "SENTRY_DSN": "https://key@sentry.example.com/1",
    "OPS_TOKEN": "a-token-of-the-operators",
}


def test_every_variable_is_a_setting(installation: Installation) -> None:
    settings = {*setting_names(Settings)}
    ours = [pod for pod in installation.pods if pod.is_ours]

    named = {
        name
        for pod in ours
        for name in (
            *installation.environment(pod),
            *(each["name"] for each in pod.container.get("env", ())),
        )
    }

    assert {name for name in named if not name.startswith(_OTHERS)} <= settings


def test_the_service_takes_its_settings(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no .env
    for pod in installation.serving:
        with monkeypatch.context() as environment:
            for reference in secret_keys(pod):
                environment.setenv(reference["variable"], _SECRETS[reference["key"]])
            for name, value in installation.environment(pod).items():
                environment.setenv(name, value)

            settings = Settings.from_environment()

        assert settings.ops_host == "0.0.0.0", "nobody could scrape it"
        assert {settings.port, settings.ops_port} == {*pod.ports.values()}


def test_every_command_is_one(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    for pod in installation.pods:
        if pod.is_ours:
            with pytest.raises(SystemExit) as ended:
                main([*pod.container["args"], "--help"])
            assert ended.value.code == 0, capsys.readouterr().err


def test_every_reference_to_a_config_map_finds_one(installation: Installation) -> None:
    for pod in installation.pods:
        for source in pod.container.get("envFrom", ()):
            assert installation.has("ConfigMap", source["configMapRef"]["name"]), pod.owner


def test_on_one_machine_every_secret_is_made_and_in_production_none(
    local: Installation, everything: Installation
) -> None:
    secret = local.one("Secret", "stallscope-secrets")
    references = [each for pod in local.pods for each in secret_keys(pod)]

    assert {each["name"] for each in references} == {secret["metadata"]["name"]}
    needed = {each["key"] for each in references if not each.get("optional")}
    assert needed <= secret["data"].keys()
    assert everything.all("Secret") == []
    named = {each["name"] for pod in everything.pods for each in secret_keys(pod)}
    assert named == {"stallscope-secrets"}


@pytest.mark.skipif(not has_kubectl(), reason=NO_KUBECTL)
def test_the_job_that_migrates_is_another_one_for_another_tag(tmp_path: Path) -> None:
    manifests = production_with(tmp_path, (PRODUCTION, "newTag: 0.1.0", "newTag: 9.8.7-rc.1"))
    installation = Installation(manifests)

    (job,) = installation.all("Job")
    assert job["metadata"]["name"] == "stallscope-migrate-9.8.7-rc.1"
    images = {pod.container["image"] for pod in installation.pods}
    assert images == {"registry.example.com/stallscope:9.8.7-rc.1"}


def test_all_that_is_ours_is_one_image(installation: Installation) -> None:
    assert len({pod.container["image"] for pod in installation.pods if pod.is_ours}) == 1


def test_the_models_server_computes_itself_and_the_service_asks_it(
    everything: Installation,
) -> None:
    service, models = everything.pod("stallscope"), everything.pod("stallscope-models")

    assert everything.environment(service)["MODELS__REMOTE_URL"] == "http://stallscope-models:8000"
    assert everything.environment(models)["MODELS__REMOTE_URL"] == ""
    assert "API_KEYS" not in {each["variable"] for each in secret_keys(models)}


def setting_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """As environment variables."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from setting_names(inner, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"
