"""Installations with one thing changed."""

import shutil
from pathlib import Path

from deploy.validate import KUBERNETES, Manifest, build

PRODUCTION = "overlays/production/kustomization.yaml"

# A file, what it says, and what it says instead, once.
Change = tuple[str, str, str]


def production_with(folder: Path, *changes: Change) -> list[Manifest]:
    """Production with all components, built from a copy with these changes. Raises BuildError."""
    copy = folder / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    kustomization = copy / PRODUCTION
    kustomization.write_text(kustomization.read_text().replace("  # - ../../c", "  - ../../c"))
    for name, old, new in changes:
        text = (copy / name).read_text()
        assert old in text, f"{name} has no {old}"
        (copy / name).write_text(text.replace(old, new, 1))
    return build(kustomization.parent)
