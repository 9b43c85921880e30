"""`docker-compose.yml` as the real Compose reads it, without a Docker engine."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).parent.parent
COMPOSE_FILE = ROOT / "docker-compose.yml"
_PROGRAM = Path(sys.executable).parent / "docker-compose"

Service = Mapping[str, Any]
Services = Mapping[str, Service]


def compose(
    *arguments: str, file: Path = COMPOSE_FILE, env_file: str = ".env.example"
) -> "subprocess.CompletedProcess[str]":
    """What Compose says; names in `file` are relative to the project, wherever it is."""
    where = ["--project-directory", str(ROOT), "--env-file", env_file, "-f", str(file)]
    return subprocess.run(
        [str(_PROGRAM), *where, *arguments],
        cwd=ROOT,
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )


def services_of(file: Path = COMPOSE_FILE) -> Services:
    """Every service, with all that it takes over from others."""
    done = compose("config", "--format", "json", file=file)
    assert done.stdout, done.stderr  # the wheel's program exits with 0 whatever happens
    services: Services = json.loads(done.stdout)["services"]
    return services


def mounts_of(service: Service) -> Iterator[tuple[Path, PurePosixPath]]:
    """What a container sees of this machine, and where."""
    for mount in service.get("volumes", []):
        if mount["type"] == "bind":
            yield Path(mount["source"]), PurePosixPath(mount["target"])


def missing_files(services: Services) -> list[str]:
    """What services name and nobody has: Docker would put an empty folder there, and go on."""
    named = [source for service in services.values() for source, _ in mounts_of(service)]
    built = [service["build"] for service in services.values() if "build" in service]
    named += [Path(build["context"]) / build["dockerfile"] for build in built]
    return [str(each) for each in named if not each.exists()]


def behind(service: Service, path: str) -> Path:
    """The file of this project that a container finds at `path`."""
    for source, target in mounts_of(service):
        if PurePosixPath(path).is_relative_to(target):
            return source / PurePosixPath(path).relative_to(target)
    raise LookupError(f"nothing is mounted at {path}")


def ports_of(service: Service) -> set[int]:
    """On which ports other containers reach it."""
    published = {port["target"] for port in service.get("ports", [])}
    return published | {int(port) for port in service.get("expose", [])}


def published_at(service: Service, port: int) -> str:
    """The address, of this machine, of a container's port."""
    (found,) = [each for each in service["ports"] if each["target"] == port]
    return f"{found['host_ip']}:{found['published']}"
