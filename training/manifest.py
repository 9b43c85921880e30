"""Writes what the service believes of a model: its manifest, with the hashes of its files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
NOT_SERVED = {MANIFEST, "MODEL_CARD.md"}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `manifest` into `folder` with `files`: the sha256 of every file read to serve."""
    served = sorted(file for file in folder.iterdir() if file.name not in NOT_SERVED)
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in served}
    text = json.dumps({**manifest, "files": files}, indent=2, sort_keys=True, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
