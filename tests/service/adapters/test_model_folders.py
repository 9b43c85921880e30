"""A model is read once and verified; whatever is wrong with it is named, without a path."""

import os
from pathlib import Path

import pytest

from service.adapters.model_folders import (
    ModelFolderError,
    find_versions,
    natural_order,
    read_folder,
)
from tests.service.adapters.small_models import change_manifest, flip_a_byte, write_model

NAME, VERSION = "tabular", "v1.0"


def fault_of(models: Path) -> str:
    with pytest.raises(ModelFolderError) as refused:
        read_folder(models, NAME, VERSION)
    assert str(models) not in str(refused.value)
    assert (refused.value.name, refused.value.version) == (NAME, VERSION)
    return refused.value.fault


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    flip_a_byte(write_model(tmp_path) / "model.onnx")

    assert fault_of(tmp_path) == "model.onnx is not the file whose SHA-256 the manifest has"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    (write_model(tmp_path) / "model.onnx").unlink()

    assert fault_of(tmp_path) == "model.onnx: No such file or directory"


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    (write_model(tmp_path) / "manifest.json").unlink()

    assert fault_of(tmp_path) == "manifest.json: No such file or directory"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    weights = write_model(tmp_path) / "model.onnx"
    weights.unlink()
    os.mkfifo(weights)

    assert fault_of(tmp_path) == "model.onnx is not a file"


@pytest.mark.parametrize("file", ["../tabular/v1.0/model.onnx", "/etc/passwd", "..", ".hidden", ""])
def test_a_file_outside_of_the_folder_is_not_read(tmp_path: Path, file: str) -> None:
    write_model(tmp_path, files={file: "0" * 64})

    assert fault_of(tmp_path) == f"manifest.json: files: {file!r} is no plain file name"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2"])
def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (write_model(tmp_path) / "manifest.json").write_bytes(content)

    assert fault_of(tmp_path) == "manifest.json is not JSON"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"tolerance": None}, "tolerance: Field required"),
        ({"tolerance": "0.1"}, "tolerance: Input should be a valid number"),
        ({"tolerance": 0}, "tolerance: is a number above 0"),
        ({"tolerance": float("nan")}, "tolerance: is a number above 0"),
        ({"labels": "no"}, "labels: Input should be a valid array"),
        ({"confidence_distribution": {}}, "confidence_distribution.edges: Field required"),
        ({"self_test": []}, "self_test: has no example"),
        ({"task": "cooking"}, "task: 'cooking' is not known"),
        ({"features": None}, "features: they are not those of the one input"),
        ({"task": "text_classification"}, "max_tokens: is missing"),
        (
            {"task": "text_classification", "max_tokens": 8},
            "files: tokenizer.json is missing",
        ),
        ({"task": "image_classification"}, "energy_limit: is missing"),
        ({"labels": ["a"]}, "outputs: there are no `probabilities` with one of each label"),
        ({"outputs": []}, "outputs: there are no `probabilities` with one of each label"),
        ({"name": "other"}, "it is that of other v1.0"),
        ({"version": "v2"}, "it is that of tabular v2"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object], fault: str
) -> None:
    change_manifest(write_model(tmp_path), changes)

    assert fault_of(tmp_path) == f"manifest.json: {fault}"


@pytest.mark.parametrize(
    ("tensor", "fault"),
    [
        ({"datatype": "BYTES"}, "datatype 'BYTES' is none of BOOL, "),
        ({"shape": [8, 3]}, "its first dimension is -1, the batch's"),
        ({"shape": []}, "its first dimension is -1, the batch's"),
        ({"shape": [-1, 0]}, "a dimension is -1, for any size, or above 0"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused(
    tmp_path: Path, tensor: dict[str, object], fault: str
) -> None:
    whole = {"name": "features", "datatype": "FP32", "shape": [-1, 3], **tensor}
    write_model(tmp_path, inputs=[whole])

    assert fault_of(tmp_path).startswith(f"manifest.json: features: {fault}")


def test_an_output_whose_size_is_open_cannot_be_put_together(tmp_path: Path) -> None:
    write_model(tmp_path, outputs=[{"name": "p", "datatype": "FP32", "shape": [-1, -1]}])

    assert fault_of(tmp_path) == "manifest.json: outputs: only their first dimension may vary"


def test_what_was_read_stays_as_it_was(tmp_path: Path) -> None:
    weights = write_model(tmp_path) / "model.onnx"
    verified = weights.read_bytes()

    folder = read_folder(tmp_path, NAME, VERSION)
    flip_a_byte(weights)

    assert folder.files == {"model.onnx": verified}
    assert folder.manifest.confidence_distribution.edges == (0.5, 0.75, 1.0)


def test_a_folder_is_known_by_its_content(tmp_path: Path) -> None:
    write_model(tmp_path)
    one, same = (read_folder(tmp_path, NAME, VERSION) for _ in range(2))
    write_model(tmp_path, weight=2.0)
    other = read_folder(tmp_path, NAME, VERSION)

    assert one.sha256 == same.sha256 != other.sha256


def test_versions_are_found_in_their_natural_order(tmp_path: Path) -> None:
    for version in ("v1.9", "v1.10", "v2", "v1.0"):
        write_model(tmp_path, version=version)
    (tmp_path / ".git" / "v1.0").mkdir(parents=True)
    (tmp_path / "README.md").touch()

    assert find_versions(tmp_path) == {NAME: ["v2", "v1.10", "v1.9", "v1.0"]}


def test_any_two_versions_can_be_compared() -> None:
    odd = ["", "1", "v", "v1", "1v", "v1.0-rc", "v1.0", "latest"]

    assert len(sorted(odd, key=natural_order)) == len(odd)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_versions(tmp_path / "none")
