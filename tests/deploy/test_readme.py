"""deploy/README.md leaves nothing out, and names nothing that is not there."""

import re

import pytest

from deploy.validate import KUBERNETES
from tests.deploy.installation import Installation, secret_keys

pytestmark = pytest.mark.no_cover

README = (KUBERNETES.parent / "README.md").read_text()
PRODUCTION = KUBERNETES / "overlays" / "production"
_BOARDS = "stallscope-overview"
_HASH_OR_TAG = re.compile(r"-([bcdfghkmt2456789]{10}|\d+\.\d+\.\d+)$")


def test_every_object_is_explained(installation: Installation) -> None:
    for each in installation.manifests:
        name = _HASH_OR_TAG.sub("", each["metadata"]["name"])
        if each["metadata"].get("labels", {}).get("grafana_dashboard"):
            name = _BOARDS
        rows = [row for row in README.splitlines() if f"`{name}" in row and row.startswith("|")]
        assert any(each["kind"] in row for row in rows), f"{each['kind']} {name}"


def test_every_key_of_the_secret_is_explained(everything: Installation) -> None:
    for pod in everything.pods:
        for reference in secret_keys(pod):
            assert f"| `{reference['key']}` |" in README


def test_every_file_to_change_and_every_setting_in_it_is_named() -> None:
    files = {path.name for path in PRODUCTION.iterdir()}
    settings = re.findall(r"^(\w+)=", (PRODUCTION / "settings.env").read_text(), re.MULTILINE)

    assert settings
    assert [name for name in (*files, *settings) if name not in README] == []


@pytest.mark.parametrize("path", re.findall(r"deploy/kubernetes/[\w./-]+", README))
def test_every_path_exists(path: str) -> None:
    assert (KUBERNETES.parent.parent / path).exists()
