"""Builds every installation of deploy/kubernetes and looks for faults: `python -m deploy.validate`.

No cluster is asked. Kubernetes' own kinds are held against its published schemas, strictly: a field
that they do not have is a fault. Rules are read by promtool.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate  # type: ignore[import-untyped]
import yaml

from deploy.custom_kinds import PREDICTOR, SPECS, Schema

KUBERNETES = Path(__file__).parent / "kubernetes"
# The oldest and the newest version that this is for; what needs the oldest is `sleep` in preStop.
VERSIONS = ("1.30", kubernetes_validate.latest_version())

NO_KUBECTL = "MISSING: kubectl 1.24 or newer (https://kubernetes.io/docs/tasks/tools/)"
PROMTOOL = shutil.which("promtool")
NO_PROMTOOL = "MISSING: Debian's package `prometheus` (apt-get install prometheus)"

# Components that production has as a comment: `kserve` is one to uncomment.
_UNUSED_COMPONENT = re.compile(r"^  # (- \.\./\.\./components/\w+)$", re.MULTILINE)

Manifest = Mapping[str, Any]


class BuildError(Exception):
    """kustomize refused; the message is its own."""


@cache
def has_kubectl() -> bool:
    """Whether there is one with a kustomize that knows components and replacements."""
    if shutil.which("kubectl") is None:
        return False
    # Debian 12's has one of 2019, and no word of it here.
    return "kustomizeVersion" in _run("kubectl", "version", "--client", "--output=json").stdout


def build(overlay: Path) -> list[Manifest]:
    """What `kubectl apply -k` would send. Raises BuildError."""
    done = _run("kubectl", "kustomize", str(overlay))
    if done.returncode:
        raise BuildError(done.stderr.strip())
    return list(yaml.safe_load_all(done.stdout))


def _with_all_components() -> list[Manifest]:
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(KUBERNETES, Path(folder) / "kubernetes")
        kustomization = copy / "overlays" / "production" / "kustomization.yaml"
        kustomization.write_text(_UNUSED_COMPONENT.sub(r"  \1", kustomization.read_text()))
        return build(kustomization.parent)


# What is installed somewhere, by name. Each raises BuildError.
INSTALLATIONS: Mapping[str, Callable[[], list[Manifest]]] = {
    "local": lambda: build(KUBERNETES / "overlays" / "local"),
    "production": lambda: build(KUBERNETES / "overlays" / "production"),
    "production with all components": _with_all_components,
}


def faults(manifests: Sequence[Manifest]) -> list[str]:
    """What Kubernetes, its operators or Prometheus would refuse or ignore."""
    found = [
        f"{manifest['kind']}/{manifest['metadata']['name']}: {fault}"
        for manifest in manifests
        for fault in _faults_of(manifest)
    ]
    names = [_identity(manifest) for manifest in manifests]
    return found + [f"{name}: is there twice" for name in {*names} if names.count(name) > 1]


def _identity(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"


def _faults_of(manifest: Manifest) -> Iterator[str]:
    schema = SPECS.get((manifest["apiVersion"], manifest["kind"]))
    if schema is None:
        for version in VERSIONS:
            yield from _refused(manifest, version)
        return
    rest = {name: value for name, value in manifest.items() if name != "spec"}
    yield from _refused({**rest, "apiVersion": "v1", "kind": "ConfigMap"})
    yield from _mismatches(schema, manifest["spec"])
    if manifest["kind"] == "PrometheusRule":
        yield from _rejected_rules(manifest["spec"])
    if manifest["kind"] == "InferenceService":
        yield from _predictor_faults(manifest["spec"]["predictor"])


def _refused(manifest: Manifest, version: str = VERSIONS[0]) -> Iterator[str]:
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        place = ".".join(map(str, error.absolute_path))
        yield f"{place}: {error.message} (Kubernetes {version})"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield error.message


def _mismatches(schema: Schema, document: Any) -> Iterator[str]:
    for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(document):
        yield f"{'.'.join(map(str, error.instance_path))}: {error.message}"


def _predictor_faults(predictor: Manifest) -> Iterator[str]:
    own = {name: predictor[name] for name in PREDICTOR["properties"] if name in predictor}
    yield from _mismatches(PREDICTOR, own)
    pod = {name: value for name, value in predictor.items() if name not in own}
    metadata = {"name": "predictor"}
    yield from _refused({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})


def _rejected_rules(spec: Manifest) -> Iterator[str]:
    if PROMTOOL is None:
        sys.stderr.write(f"{NO_PROMTOOL}: the rules are not read by it\n")
        return
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(json.dumps(spec))  # JSON is YAML
        file.flush()
        done = _run(PROMTOOL, "check", "rules", "--lint=all", "--lint-fatal", file.name)
    if done.returncode:
        yield f"promtool: {done.stdout}{done.stderr}".strip()


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main() -> int:
    """Say every fault; 1 when there is one."""
    if not has_kubectl():
        sys.stderr.write(f"deploy/kubernetes IS NOT VALIDATED. {NO_KUBECTL}\n")
        return 0
    status = 0
    try:
        for name, built in INSTALLATIONS.items():
            for fault in faults(built()):
                sys.stderr.write(f"{name}: {fault}\n")
                status = 1
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
