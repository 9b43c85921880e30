"""`docker-compose.yml` as the real Compose reads it, without a Docker engine."""

import re
from pathlib import Path

import pytest

from service.__main__ import main
from service.settings import Settings
from tests.composing import (
    COMPOSE_FILE,
    ROOT,
    Services,
    compose,
    missing_files,
    mounts_of,
    services_of,
)

pytestmark = pytest.mark.no_cover

MOUNTED = re.findall(r"\./(dashboards/\S+?):/", COMPOSE_FILE.read_text())
# The reason stands in the file.
UNCHECKED = {"collector", "tempo", "traffic"}


@pytest.fixture(scope="module")
def services() -> Services:
    return services_of()


@pytest.mark.parametrize("password", ["POSTGRES_PASSWORD", "GRAFANA_PASSWORD"])
def test_without_a_password_compose_says_where_to_put_one(tmp_path: Path, password: str) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    env_file = tmp_path / "env"
    env_file.write_text("\n".join(line for line in lines if not line.startswith(password)))

    done = compose("config", env_file=str(env_file))

    assert password in done.stderr
    assert "copy .env.example to .env" in done.stderr


def test_no_password_stands_in_the_file() -> None:
    said = re.findall(r"(?:PASSWORD: |://\w+:(?=.+@))(.+)", COMPOSE_FILE.read_text())

    assert len(said) == 3
    assert all(re.match(r"\$\{\w+_PASSWORD:\?", each) for each in said), said


def test_every_port_is_bound_to_this_machine_only_and_once(services: Services) -> None:
    ports = [port for each in services.values() for port in each.get("ports", [])]

    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


def test_everything_that_keeps_running_has_a_health_check(services: Services) -> None:
    built_in = {"service-1", "service-2"}  # the image has one
    staying = {name for name, each in services.items() if each["restart"] == "unless-stopped"}

    checked = {name for name in staying if services[name].get("healthcheck", {}).get("test")}

    assert checked | built_in | UNCHECKED == staying
    assert not checked & UNCHECKED


def test_nobody_waits_for_what_is_never_told(services: Services) -> None:
    for name, each in services.items():
        for other, wait in each.get("depends_on", {}).items():
            ends = services[other]["restart"] == "no"
            assert ends == (wait["condition"] == "service_completed_successfully"), (name, other)
            assert wait["condition"] != "service_healthy" or other not in UNCHECKED, (name, other)


def test_the_service_does_not_wait_for_what_only_watches_it(services: Services) -> None:
    awaited = services["service-1"]["depends_on"]

    assert not {"collector", "grafana", "loki", "prometheus", "tempo"} & set(awaited)
    assert services["service-1"]["logging"]["options"]["fluentd-async"] == "true"


def test_nobody_can_write_gain_privileges_or_take_the_whole_machine(services: Services) -> None:
    for name, each in services.items():
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert int(each["mem_limit"]) <= 1 << 30, name
        assert each["cpus"] <= 2, name


def test_only_what_starts_as_root_keeps_some_of_its_rights(services: Services) -> None:
    assert {name for name, each in services.items() if "cap_add" in each} == {"postgres", "valkey"}


def test_every_image_is_of_one_version(services: Services) -> None:
    for name, each in services.items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-alpine)?$", each["image"]), name


def test_every_file_that_is_named_exists(services: Services) -> None:
    assert missing_files(services) == []


@pytest.mark.parametrize("name", MOUNTED)
def test_a_wrong_mount_is_found(tmp_path: Path, name: str) -> None:
    mistaken = tmp_path / "docker-compose.yml"
    mistaken.write_text(COMPOSE_FILE.read_text().replace(f"./{name}:/", f"./{name}x:/"))

    assert missing_files(services_of(mistaken)) == [f"{ROOT / name}x"]


def test_what_is_mounted_is_this_project_and_cannot_be_changed(services: Services) -> None:
    mounts = [mount for each in services.values() for mount in mounts_of(each)]
    writable = [
        mount["source"]
        for each in services.values()
        for mount in each.get("volumes", [])
        if mount["type"] == "bind" and not mount.get("read_only")
    ]

    assert len(mounts) == len(MOUNTED)
    assert all(source.is_relative_to(ROOT) for source, _ in mounts)  # no Docker socket
    assert writable == []


def test_every_file_that_the_image_copies_exists() -> None:
    lines = (ROOT / "service" / "Dockerfile").read_text().splitlines()
    copied = [
        line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line
    ]

    assert copied
    assert all((ROOT / source).exists() for source in copied)


def test_every_command_exists_with_its_options(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [each["command"] for each in services.values() if "build" in each]

    for command in commands:
        with pytest.raises(SystemExit, match=r"^0$"):
            main([*command, "--help"])
        told = capsys.readouterr().out
        assert all(word in told for word in command if word.startswith("--")), command


def test_the_service_understands_its_environment(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env
    environment = services["service-1"]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings = Settings.from_environment()

    assert settings.stall.logs_url == environment["STALL__LOGS_URL"]
    for name in environment:
        assert name.startswith("OTEL_") or name.lower().split("__")[0] in Settings.model_fields


def test_replicas_differ_in_their_names_and_ports_only(services: Services) -> None:
    def common(name: str) -> dict[str, object]:
        return {
            key: {**value, "OTEL_RESOURCE_ATTRIBUTES": ""} if key == "environment" else value
            for key, value in services[name].items()
            if key != "ports"
        }

    assert common("service-1") == common("service-2")
