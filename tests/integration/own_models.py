"""A folder of models of a test's own, which it may add to and damage."""

import json
import shutil
from pathlib import Path

from service.settings import PACKAGED_MODELS

FIRST = "v1.0"


def copy_models(into: Path) -> Path:
    """The first version of each packaged model."""
    for model in PACKAGED_MODELS.iterdir():
        shutil.copytree(model / FIRST, into / model.name / FIRST)
    return into


def add_version(models: Path, name: str, version: str, **changes: object) -> Path:
    """The model's first version again, with another number and what else changes its manifest."""
    folder = models / name / version
    shutil.copytree(models / name / FIRST, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "version": version, **changes}))
    return folder


def flip_byte(file: Path) -> None:
    """The one in its middle."""
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    file.write_bytes(damaged)
