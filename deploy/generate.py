"""Writes what Kubernetes gets of dashboards/: `python -m deploy.generate [--check]`.

The boards and runbooks as ConfigMaps for Grafana, the rules as a PrometheusRule. Their links lead
to a placeholder, which components/monitoring replaces by the host that an overlay names.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dashboards import generate as dashboards
from dashboards.alert import DASHBOARDS_URL
from dashboards.alerts import rules_yaml

GENERATED = Path(__file__).parent / "kubernetes" / "generated"
RUNBOOKS = Path(dashboards.__file__).parent / "runbooks"

PLACEHOLDER_URL = "https://grafana.invalid"

# For Grafana to mount, so in its own namespace: applied there by hand.
_RUNBOOKS = "stallscope-runbooks"
_HEADER = "# Written by `make dashboards`; never edited.\n"
_LABELS = {"app.kubernetes.io/name": "stallscope", "app.kubernetes.io/part-of": "stallscope"}
# What the sidecar in Grafana's Helm chart looks for.
_BOARD_LABELS = {**_LABELS, "grafana_dashboard": "1"}


class _Dumper(yaml.SafeDumper):
    """Writes long texts as they are, line by line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


@cache
def files() -> Mapping[str, str]:
    """The text of every generated file, by its name."""
    manifests = {f"{each['metadata']['name']}.yaml": _yaml(each) for each in _manifests()}
    applied = sorted(name for name in manifests if name != f"{_RUNBOOKS}.yaml")
    return {**manifests, "kustomization.yaml": _yaml(_kustomization(applied))}


def _manifests() -> Iterator[dict[str, Any]]:
    for name, text in dashboards.files():
        if name.endswith(".json"):
            yield _config_map(name.removesuffix(".json"), _BOARD_LABELS, {name: text})
    runbooks = {file.name: file.read_text() for file in sorted(RUNBOOKS.glob("*.md"))}
    yield _config_map(_RUNBOOKS, _LABELS, runbooks)
    yield {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "stallscope-rules", "labels": _LABELS},
        "spec": yaml.safe_load(rules_yaml().replace(DASHBOARDS_URL, PLACEHOLDER_URL)),
    }


def _config_map(name: str, labels: Mapping[str, str], data: Mapping[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def _kustomization(resources: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    }


def _yaml(document: object) -> str:
    return _HEADER + yaml.dump(document, Dumper=_Dumper, allow_unicode=True, width=100)


def stale() -> list[str]:
    """Names of files that are missing, not as they should be, or no longer generated."""
    wanted = files()
    there = {file.name: file.read_text() for file in GENERATED.iterdir()}
    return sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))


def main(arguments: list[str]) -> int:
    """Write the files; with `--check` only look at them, and be 1 when some are stale."""
    parser = argparse.ArgumentParser(prog="deploy.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    if parser.parse_args(arguments).check:
        names = stale()
        for name in names:
            sys.stderr.write(
                f"deploy/kubernetes/generated/{name} is stale: run `make dashboards`\n"
            )
        return 1 if names else 0
    GENERATED.mkdir(exist_ok=True)
    for name in stale():
        (GENERATED / name).unlink(missing_ok=True)
    for name, text in files().items():
        (GENERATED / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
