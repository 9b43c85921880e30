"""Which way the arrows point: STYLE's import table, as a test. A new arrow is an edit here."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FEATURES = ("products", "predictions")
TECHNOLOGIES = {"aiohttp", "asyncpg", "cachetools", "limits", "onnxruntime", "redis"}

# Who may import whom, besides the standard library: the first row that fits a module counts. A
# module stands for what is below it, too; {feature} for the feature that the module belongs to.
ARROWS = {
    "service": "",
    "service.products": "",
    "service.contracts*": "pydantic service.contracts",
    "service.background": "structlog",
    "service.lifecycle": "",
    "service.listeners": "",
    "service.logs": "orjson structlog",
    "service.metrics": "prometheus_client",
    "service.settings": "limits pydantic pydantic_settings redis",
    # Features know no technology, no other feature, and nothing of HTTP outside their router.
    "service.health*": "fastapi service.contracts",
    "service.*.domain": "",
    "service.*.ports": "{feature}.domain",
    "service.*.single_flight": "",
    "service.*.answers": "{feature}.domain",
    "service.*.consultation": "{feature}.domain {feature}.ports",
    "service.*.representation": "pydantic {feature}.domain",
    "service.*.enricher": "{feature} service.background service.metrics",
    "service.*.router": "fastapi {feature} service.contracts",
    # Technology, one each; which, is told apart below.
    "service.adapters*": (
        "pydantic structlog yarl service.adapters service.background service.lifecycle"
        " service.metrics service.products.domain service.products.ports service.settings "
        + " ".join(TECHNOLOGIES)
    ),
    # What every request passes, whatever it is about.
    "service.edge.access": "fastapi prometheus_client",
    "service.edge.admission": "prometheus_client starlette service.edge",
    "service.edge.compression": "starlette service.edge",
    "service.edge.problems": "orjson service.edge.asgi",
    "service.edge*": "service.edge",
    # The knots.
    "service.errors": (
        "fastapi starlette service.edge service.products.domain service.products.router"
    ),
    "service.http_protocol": "uvicorn service.edge",
    "service.lifespan": (
        "structlog service.adapters service.background service.edge.access service.lifecycle"
        " service.metrics service.products.enricher service.products.ports service.settings"
    ),
    "service.openapi": "fastapi pydantic starlette service.contracts",
    "service.ops": "prometheus_client starlette uvicorn service.lifecycle",
    "service.app": "fastapi prometheus_client starlette service",
    "service.server": (
        "asyncpg fastapi structlog uvicorn service.app service.http_protocol service.lifecycle"
        " service.listeners service.ops service.settings"
    ),
    # Looks after processes that serve, and serves nothing but its ops port: no FastAPI, no app.
    "service.workers.child": "",
    "service.workers.metrics": "prometheus_client service.workers",
    "service.workers.ops": "prometheus_client uvicorn service.edge.asgi service.workers",
    "service.workers.supervisor": (
        "prometheus_client structlog service.listeners service.settings service.workers"
    ),
    "service.workers*": "structlog service.listeners service.workers",
    "service.__main__": "asyncpg uvloop service",
    # Beside the service, not part of it: it may fill the database, and reach the rest by network.
    "service.demo*": "aiohttp asyncpg pydantic pydantic_core service.adapters.postgres_migrations"
    " service.demo",
}

IMPORT_EVERYTHING = """
import importlib, json, sys, threading, warnings
warnings.simplefilter("error")
from prometheus_client import REGISTRY

forbidden, found = ("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn"), []
sys.addaudithook(lambda event, args: found.append(event) if event.startswith(forbidden) else None)
collectors = set(REGISTRY._names_to_collectors)
for module in sys.argv[1:]:
    importlib.import_module(module)
    found += [f"{module} started a thread"] * (threading.active_count() - 1)
found += sorted(set(REGISTRY._names_to_collectors) - collectors)
print(json.dumps(found))
"""


def every_module() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / "service").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


MODULES = dict(every_module())


def imports_of(module: str) -> Iterator[str]:
    """Full names of all that a module imports, wherever in it; relative imports are not ours."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            whole = node.module or ""
            names = (f"{whole}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else whole for name in names)


def foreign_imports_of(module: str) -> set[str]:
    return {each for each in imports_of(module) if top_of(each) not in sys.stdlib_module_names}


def top_of(module: str) -> str:
    return module.partition(".")[0]


def may_import(module: str) -> list[str]:
    row = next(row for row in ARROWS if fnmatchcase(module, row))
    return ARROWS[row].replace("{feature}", ".".join(module.split(".")[:2])).split()


def is_within(module: str, packages: list[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_row_allows(module: str) -> None:
    allowed = may_import(module)

    assert {each for each in foreign_imports_of(module) if not is_within(each, allowed)} == set()


def test_every_row_speaks_of_a_module_there_is() -> None:
    fitting = {next(row for row in ARROWS if fnmatchcase(module, row)) for module in MODULES}

    assert set(ARROWS) - fitting == set()


@pytest.mark.parametrize(
    "module", [each for each in MODULES if each.startswith("service.adapters")]
)
def test_an_adapter_knows_one_technology(module: str) -> None:
    technologies = {top_of(each) for each in foreign_imports_of(module)} & TECHNOLOGIES

    assert len(technologies) <= 1


def test_features_and_technology_meet_only_where_the_knots_are_tied() -> None:
    features = [f"service.{feature}" for feature in FEATURES]

    both = {
        module
        for module in MODULES
        if any(is_within(each, features) for each in imports_of(module))
        and any(is_within(each, ["service.adapters"]) for each in imports_of(module))
        and not is_within(module, ["service.adapters"])
    }

    assert both <= {"service.app", "service.lifespan"}


@pytest.mark.parametrize("feature", FEATURES)
def test_features_do_not_know_each_other(feature: str) -> None:
    others = [f"service.{other}" for other in FEATURES if other != feature]
    own = [module for module in MODULES if is_within(module, [f"service.{feature}"])]

    assert [each for module in own for each in imports_of(module) if is_within(each, others)] == []


def test_importing_does_nothing_but_import() -> None:
    programs = {"service.demo.launch"}  # run by its path, never imported
    command = [sys.executable, "-c", IMPORT_EVERYTHING, *sorted(MODULES.keys() - programs)]

    done = subprocess.run(
        command, env={}, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )

    assert done.stderr == ""
    assert json.loads(done.stdout) == []
