"""The containers of `docker-compose.yml`, with what they are configured with."""

import re
from functools import cache
from typing import Any

import yaml

from tests.composing import Service, Services, behind, services_of


@cache
def services() -> Services:
    """Every one; Compose is asked once."""
    return services_of()


def service(name: str) -> Service:
    """One of them."""
    return services()[name]


def text_in(name: str, path: str) -> str:
    """A file, found as the container finds it."""
    return behind(service(name), path).read_text()


def configuration_path(name: str) -> str:
    """Where the program is told to look."""
    (path,) = re.findall(r"--?config(?:\.file)?=(\S+)", " ".join(service(name)["command"]))
    return str(path)


def configuration(name: str) -> Any:
    """What it finds there."""
    return yaml.safe_load(text_in(name, configuration_path(name)))
