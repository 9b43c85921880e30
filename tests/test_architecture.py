"""Which way the arrows point: STYLE's import table, as a test. A new arrow is an edit here."""

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.no_cover

PACKAGES = ("dashboards", "middleware", "service")

FEATURES = ("products", "predictions")
TECHNOLOGIES = {
    *("aiohttp", "asyncpg", "cachetools", "limits", "onnxruntime", "PIL", "redis", "tokenizers"),
}

# Who may import whom, besides the standard library: the first row that fits a module counts. A
# module stands for what is below it, too; {feature} for the feature that the module belongs to.
ARROWS = {
    # The middleware: no framework, never the service; each backend in its own corner.
    "middleware": "middleware",
    "middleware.asgi": "",
    "middleware.route": "middleware.asgi",
    "middleware.exchange": "opentelemetry middleware.asgi middleware.route",
    "middleware.websocket": "middleware.asgi middleware.exchange",
    "middleware.health": "",
    "middleware.lifespan": "middleware.asgi middleware.health",
    "middleware.collector": "middleware.forks",
    "middleware.drops": "prometheus_client",
    "middleware.cells": "prometheus_client middleware.drops",
    "middleware.process_metrics": "prometheus_client middleware.stall",
    "middleware.settings": "pydantic pydantic_settings",
    "middleware.logs*": (
        "orjson structlog middleware.drops middleware.exchange middleware.forks middleware.logs"
    ),
    "middleware.dependencies.*aiohttp*": "aiohttp prometheus_client middleware.dependencies",
    "middleware.dependencies.*asyncpg*": "asyncpg prometheus_client middleware.dependencies",
    "middleware.dependencies.*redis*": "redis prometheus_client middleware.dependencies",
    "middleware.dependencies*": (
        "aiohttp redis prometheus_client middleware.cells middleware.drops middleware.dependencies"
    ),
    "middleware.ops*": (
        "prometheus_client structlog uvicorn middleware.asgi middleware.collector"
        " middleware.exchange middleware.health middleware.ops middleware.route"
        " middleware.settings middleware.stall"
    ),
    "middleware.setup*sentry*": (
        "sentry_sdk structlog middleware.drops middleware.exchange middleware.logs middleware.setup"
        " middleware.signals.sentry"
    ),
    "middleware.setup.stepping_aiohttp": "aiohttp opentelemetry middleware.setup",
    "middleware.setup*": "opentelemetry structlog middleware.drops middleware.setup",
    "middleware.signals.logs": (
        "structlog middleware.exchange middleware.logs middleware.records middleware.websocket"
    ),
    "middleware.signals.metrics": (
        "prometheus_client middleware.cells middleware.drops middleware.exchange"
        " middleware.records middleware.route"
    ),
    "middleware.signals.websockets": (
        "prometheus_client middleware.cells middleware.drops middleware.exchange middleware.route"
    ),
    "middleware.signals.sentry": (
        "middleware.asgi middleware.exchange middleware.logs middleware.route middleware.setup"
    ),
    "middleware.signals*": (
        "opentelemetry structlog middleware.asgi middleware.drops middleware.exchange"
        " middleware.logs"
        " middleware.route middleware.setup middleware.signals"
    ),
    "middleware.stall.explain": "middleware.stall.record",
    # Where a stall goes: one backend each.
    "middleware.stall.report.*metrics": (
        "prometheus_client middleware.cells middleware.drops middleware.stall"
    ),
    "middleware.stall.report.log_lines": "structlog middleware.stall",
    "middleware.stall.report.spans": (
        "opentelemetry middleware.exchange middleware.setup.identity middleware.signals"
        " middleware.stall"
    ),
    "middleware.stall.report.sentry": "middleware.signals.sentry middleware.stall",
    "middleware.stall.report*": "middleware.stall",
    "middleware.stall.sidecar.launcher": "middleware.forks middleware.settings middleware.stall",
    "middleware.forks": "",
    "middleware.in_flight": "middleware.exchange",
    "middleware.records": "middleware.drops middleware.exchange middleware.forks",
    "middleware.stall.garbage": "middleware.forks middleware.stall",
    "middleware.stall.detector": (
        "middleware.drops middleware.in_flight middleware.settings middleware.stall"
    ),
    "middleware.stall.heartbeat": "middleware.in_flight middleware.settings middleware.stall",
    # The sidecar is a process of its own, which has to stay small: nothing that is installed.
    "middleware.stall.sidecar*": "middleware.stall",
    "middleware.stall.[wa]*": (
        "middleware.drops middleware.exchange middleware.in_flight middleware.route"
        " middleware.stall"
    ),
    "middleware.stall.samples": "middleware.collector middleware.stall",
    "middleware.stall*": "middleware.exchange middleware.in_flight middleware.stall",
    "middleware.pytest_plugin": (
        "prometheus_client pytest uvloop middleware.drops middleware.settings middleware.stall"
    ),
    "middleware.observability": (
        "structlog middleware.asgi middleware.exchange middleware.lifespan middleware.settings"
        " middleware.signals middleware.telemetry middleware.websocket"
    ),
    "middleware.telemetry": "prometheus_client middleware",
    # Names of metrics are all that it wants of the others.
    "dashboards*": (
        "grafana_foundation_sdk prometheus_client yaml dashboards middleware service.metrics"
        " service.workers.metrics"
    ),
    # The service.
    "service": "",
    "service.products": "",
    "service.predictions": "",
    "service.contracts*": "pydantic service.contracts",
    "service.background": "structlog",
    "service.listeners": "",
    "service.metrics": "prometheus_client middleware",
    "service.version": "",
    "service.settings": "limits pydantic pydantic_settings redis middleware",
    # Features know no technology, no other feature, and nothing of HTTP outside their router.
    "service.health*": "fastapi service.contracts",
    "service.predictions.domain": "numpy",
    "service.*.domain": "",
    "service.*.ports": "{feature}.domain",
    "service.*.single_flight": "",
    "service.*.answers": "{feature}.domain",
    "service.*.consultation": "{feature}.domain {feature}.ports",
    "service.*.representation": "pydantic {feature}.domain",
    "service.*.enricher": "{feature} service.background service.metrics",
    "service.*.opinions": "{feature} service.background service.metrics",
    "service.*.answering": "numpy {feature}.domain",
    "service.*.drift": "{feature}.domain service.metrics",
    "service.*.journal": "{feature} service.metrics",
    "service.*.predictor": "numpy {feature}",
    "service.*.operations": "{feature} middleware",
    # The protocol speaks of models, and is a second way to the same feature.
    "service.inference_protocol.codec": (
        "numpy orjson pydantic service.inference_protocol service.predictions.domain"
    ),
    "service.inference_protocol.router": (
        "fastapi starlette service.edge service.inference_protocol service.predictions.domain"
        " service.predictions.ports service.version"
    ),
    "service.inference_protocol*": "pydantic",
    "service.*.router": (
        "fastapi opentelemetry pydantic {feature} service.contracts service.edge.disconnects"
        " service.edge.problems"
    ),
    # Technology, one each; which, is told apart below.
    "service.adapters.sentiment_opinions": (
        "service.predictions service.products.domain service.products.ports"
    ),
    "service.adapters*": (
        "numpy opentelemetry pydantic structlog yarl middleware service.adapters"
        " service.background service.metrics service.products.domain service.products.ports"
        " service.predictions.domain service.predictions.ports service.settings"
        " service.inference_protocol.codec service.inference_protocol.wire "
        + " ".join(TECHNOLOGIES)
    ),
    # What every request passes, whatever it is about.
    "service.edge.disconnects": "fastapi",
    "service.edge.access": "fastapi prometheus_client",
    "service.edge.admission": "prometheus_client starlette middleware.asgi service.edge",
    "service.edge.compression": "starlette middleware.asgi",
    "service.edge.problems": "orjson middleware.asgi",
    "service.edge*": "middleware.asgi service.edge",
    # The knots.
    "service.errors": (
        "fastapi starlette service.edge service.predictions.domain service.products.domain"
    ),
    "service.http_protocol": "uvicorn middleware service.edge",
    "service.lifespan": (
        "structlog middleware service.adapters service.background service.edge.access"
        " service.metrics service.predictions.ports service.predictions.predictor"
        " service.products.enricher service.products.ports service.settings"
    ),
    "service.openapi": "fastapi pydantic starlette service.contracts",
    "service.app": "fastapi prometheus_client starlette middleware service",
    "service.server": (
        "asyncpg fastapi structlog uvicorn middleware service.app service.http_protocol"
        " service.background service.listeners service.predictions.operations service.settings"
    ),
    # A program of its own, which speaks HTTP with the ops port of whatever runs.
    "service.stalls": "middleware pydantic pydantic_settings rich",
    # Looks after processes that serve, and serves nothing but its ops port: no FastAPI, no app.
    "service.workers.child": "",
    "service.workers.metrics": "prometheus_client service.workers",
    "service.workers.ops": "prometheus_client uvicorn middleware.asgi service.workers",
    "service.workers.supervisor": (
        "prometheus_client structlog service.listeners service.settings service.workers"
    ),
    "service.workers*": "structlog service.listeners service.workers",
    "service.__main__": "asyncpg rich uvloop middleware service",
    # Beside the service, not part of it: it may fill the database, and reach the rest by network.
    "service.demo.mistakes": "fastapi",
    "service.demo*": (
        "aiohttp asyncpg markdown_it opentelemetry prometheus_client pydantic pydantic_core"
        " middleware service.adapters.postgres_migrations service.demo service.version"
    ),
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
    for path in sorted(path for each in PACKAGES for path in (ROOT / each).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


MODULES = dict(every_module())


@functools.cache
def imports_of(module: str) -> frozenset[str]:
    """Full names of all that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = absolute(module, node)
            inside = (f"{whole}.{alias.name}" for alias in node.names)
            names |= {name if name in MODULES else whole for name in inside}
    return frozenset(names)


def absolute(module: str, node: ast.ImportFrom) -> str:
    """Where it imports from; the middleware's own modules relatively, to be renamed with it."""
    inside = top_of(module) == "middleware"
    assert inside == (node.level > 0) or top_of(node.module or "") != top_of(module)
    is_package = MODULES[module].name == "__init__.py"
    parts = module.split(".")
    above = parts[: len(parts) - node.level + is_package] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


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
    # Run by its path, and imported once SENTRY_DSN is set: sentry_sdk opens a socket.
    programs = {"service.demo.launch", "middleware.setup.sentry_client"}
    command = [sys.executable, "-c", IMPORT_EVERYTHING, *sorted(MODULES.keys() - programs)]

    done = subprocess.run(
        command, env={}, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )

    assert done.stderr == ""
    assert json.loads(done.stdout) == []
