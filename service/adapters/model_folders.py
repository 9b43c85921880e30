"""Models on disk, `<name>/<version>/`: read once, verified, and never looked at again.

Whatever is served is made from the bytes whose hashes were right, so that a file which is changed
meanwhile, or half written, changes nothing.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from service.predictions.domain import DATATYPES, Manifest, Tensor

MANIFEST = "manifest.json"
WEIGHTS = "model.onnx"
TOKENIZER = "tokenizer.json"

# No separators, nothing hidden, nothing that climbs.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MANIFEST = TypeAdapter(Manifest)


class ModelFolderError(Exception):
    """A version of a model cannot be served; the message names no path, and may be shown."""

    def __init__(self, name: str, version: str, fault: str) -> None:
        super().__init__(f"{name} {version}: {fault}")
        self.name = name
        self.version = version
        self.fault = fault


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model as it was read; `sha256` is its identity, two with the same one are the same."""

    manifest: Manifest
    files: Mapping[str, bytes]
    sha256: str

    def error(self, fault: str) -> ModelFolderError:
        """Say what is wrong with it."""
        return ModelFolderError(self.manifest.name, self.manifest.version, fault)


def find_versions(models: Path) -> dict[str, list[str]]:
    """The names and versions that have a folder each, the newest version first.

    Raises OSError when the folder of the models is not readable.
    """
    return {
        name.name: sorted((each.name for each in _folders(name)), key=natural_order, reverse=True)
        for name in _folders(models)
    }


def natural_order(version: str) -> list[tuple[int, int, str]]:
    """A key to sort by: v1.10 comes after v1.9."""
    parts = re.findall(r"\d+|\D+", version)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def read_folder(models: Path, name: str, version: str) -> ModelFolder:
    """Read and verify one version; blocks for the time of reading it. Raises ModelFolderError."""
    try:
        return _read(models / name / version, name, version)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        file = Path(str(error.filename)).name if error.filename else "a file"
        raise ModelFolderError(name, version, f"{file}: {reason}") from error
    except ValueError as error:
        raise ModelFolderError(name, version, str(error)) from error


def _read(folder: Path, name: str, version: str) -> ModelFolder:
    written = _bytes_of(folder, MANIFEST)
    manifest = _parse(written)
    if fault := next(_faults(manifest, name, version), None):
        raise ValueError(f"{MANIFEST}: {fault}")
    files = {file: _bytes_of(folder, file) for file in manifest.files}
    for file, expected in manifest.files.items():
        if hashlib.sha256(files[file]).hexdigest() != expected:
            raise ValueError(f"{file} is not the file whose SHA-256 the manifest has")
    return ModelFolder(manifest, files, hashlib.sha256(written).hexdigest())


def _bytes_of(folder: Path, file: str) -> bytes:
    path = folder / file
    if path.exists() and not path.is_file():  # reading a pipe would last for ever
        raise ValueError(f"{file} is not a file")
    return path.read_bytes()


def _parse(written: bytes) -> Manifest:
    try:
        return _MANIFEST.validate_json(written, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if fault["type"] == "json_invalid":
            raise ValueError(f"{MANIFEST} is not JSON") from None
        place = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"{MANIFEST}: {place}: {fault['msg']}") from None


def _faults(manifest: Manifest, name: str, version: str) -> Iterator[str]:
    if (manifest.name, manifest.version) != (name, version):
        yield f"it is that of {manifest.name} {manifest.version}"
    for file in manifest.files:
        if not _PLAIN_NAME.fullmatch(file):
            yield f"files: {file!r} is no plain file name"
    if not (manifest.tolerance > 0 and isfinite(manifest.tolerance)):
        yield "tolerance: is a number above 0"
    expected = manifest.confidence_distribution
    if len(expected.edges) != len(expected.shares) + 1:
        yield "confidence_distribution: has one edge more than shares"
    if not manifest.self_test:
        yield "self_test: has no example"
    for tensor in (*manifest.inputs, *manifest.outputs):
        yield from _tensor_faults(tensor)
    yield from _output_faults(manifest)
    yield from _task_faults(manifest)


def _tensor_faults(tensor: Tensor) -> Iterator[str]:
    if tensor.datatype not in DATATYPES:
        yield f"{tensor.name}: datatype {tensor.datatype!r} is none of {', '.join(DATATYPES)}"
    if tensor.shape[:1] != (-1,):
        yield f"{tensor.name}: its first dimension is -1, the batch's"
    if any(size < 1 and size != -1 for size in tensor.shape):
        yield f"{tensor.name}: a dimension is -1, for any size, or above 0"


def _output_faults(manifest: Manifest) -> Iterator[str]:
    shapes = {tensor.name: tensor.shape for tensor in manifest.outputs}
    if any(-1 in shape[1:] for shape in shapes.values()):
        yield "outputs: only their first dimension may vary"
    if shapes.get("probabilities") != (-1, len(manifest.labels)):
        yield "outputs: there are no `probabilities` with one of each label"


def _task_faults(manifest: Manifest) -> Iterator[str]:
    """What a task needs besides."""
    if manifest.task == "tabular_classification":
        if [tensor.shape for tensor in manifest.inputs] != [(-1, len(manifest.features))]:
            yield "features: they are not those of the one input"
    elif manifest.task == "text_classification":
        if manifest.max_tokens is None or manifest.max_tokens < 1:
            yield "max_tokens: is missing"
        if TOKENIZER not in manifest.files:
            yield f"files: {TOKENIZER} is missing"
    elif manifest.task == "image_classification":
        if manifest.energy_limit is None:
            yield "energy_limit: is missing"
    else:
        yield f"task: {manifest.task!r} is not known"


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir() and _PLAIN_NAME.fullmatch(path.name)]
