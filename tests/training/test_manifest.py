"""A manifest names what is served, by hash, and reads the same whatever order it was made in."""

import hashlib
import json
from pathlib import Path

import pytest

from training.manifest import write_manifest


def test_a_number_that_json_has_no_word_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_manifest(tmp_path, {"metrics": {"accuracy": float("nan")}})


def test_every_served_file_has_its_hash_and_the_card_none(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "MODEL_CARD.md").write_text("for people")

    write_manifest(tmp_path, {"name": "tabular"})

    manifest = json.loads((tmp_path / "manifest.json").read_text())
    expected = {"model.onnx": hashlib.sha256(b"weights").hexdigest()}
    assert manifest == {"name": "tabular", "files": expected}


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    write_manifest(tmp_path, {"b": 1, "a": 2})
    once = (tmp_path / "manifest.json").read_bytes()

    write_manifest(tmp_path, {"a": 2, "b": 1})

    assert (tmp_path / "manifest.json").read_bytes() == once
