"""`docker-compose.yml` as the real Compose reads it, without a Docker engine."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).parent.parent
COMPOSE = Path(sys.executable).parent / "docker-compose"


def compose(*arguments: str, env_file: str = ".env.example") -> "subprocess.CompletedProcess[str]":
    command = [str(COMPOSE), "--env-file", env_file, "-f", "docker-compose.yml", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def services() -> Mapping[str, Any]:
    done = compose("config", "--format", "json")
    assert done.stdout, done.stderr  # the wheel's program exits with 0 whatever happens
    services: Mapping[str, Any] = json.loads(done.stdout)["services"]
    return services


def test_without_a_password_compose_says_where_to_put_one() -> None:
    done = compose("config", env_file="/dev/null")

    assert "copy .env.example to .env" in done.stderr


def test_every_port_is_bound_to_this_machine_only(services: Mapping[str, Any]) -> None:
    ports = [port for each in services.values() for port in each.get("ports", [])]

    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_everything_that_keeps_running_has_a_health_check(services: Mapping[str, Any]) -> None:
    built_in = {"service"}  # the image has one
    staying = {name for name, each in services.items() if each.get("restart") == "unless-stopped"}

    checked = {name for name in staying if services[name].get("healthcheck", {}).get("test")}

    assert checked | built_in == staying


def test_what_we_build_cannot_write_or_gain_privileges(services: Mapping[str, Any]) -> None:
    ours = [each for each in services.values() if "build" in each]

    assert len(ours) == 5
    assert all(each["read_only"] and each["cap_drop"] == ["ALL"] for each in ours)


def test_every_file_that_is_named_exists(services: Mapping[str, Any]) -> None:
    for each in services.values():
        if build := each.get("build"):
            assert (Path(build["context"]) / build["dockerfile"]).is_file()
        for mount in each.get("volumes", []):
            assert mount["type"] != "bind" or Path(mount["source"]).exists(), mount


def test_every_file_that_the_image_copies_exists() -> None:
    lines = (ROOT / "service" / "Dockerfile").read_text().splitlines()
    copied = [
        line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line
    ]

    assert copied
    assert all((ROOT / source).exists() for source in copied)


def test_every_command_exists(services: Mapping[str, Any]) -> None:
    commands = [each["command"] for each in services.values() if "build" in each]

    for command in commands:
        shown = subprocess.run(
            [sys.executable, "-m", "service", command[0], "--help"], cwd=ROOT, check=False
        )
        assert shown.returncode == 0, command
