"""Rows against what a model takes, and rows into a batch."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from service.predictions.domain import Array, Manifest, ModelInputError, Row, Tensor


def check_rows(manifest: Manifest, rows: Sequence[Row]) -> None:
    """Raises ModelInputError, which says what the model takes."""
    if not rows:
        raise ModelInputError("There is no input.")
    names = {tensor.name for tensor in manifest.inputs}
    for row in rows:
        if row.keys() != names:
            raise ModelInputError(
                f"The inputs are {', '.join(sorted(names))}; got {', '.join(sorted(row))}."
            )
        for tensor in manifest.inputs:
            _check_array(tensor, row[tensor.name])
        _check_free_sizes(manifest, row)


def size_of(row: Row) -> int:
    """How much there is to compute: elements of all its tensors."""
    return sum(array.size for array in row.values())


def batch_of(rows: Sequence[Row]) -> Mapping[str, Array]:
    """All rows as one; the shorter ones are filled up with 0."""
    return {name: _stacked([row[name] for row in rows]) for name in rows[0]}


def _stacked(arrays: Sequence[Array]) -> Array:
    shapes = {array.shape for array in arrays}
    if len(shapes) == 1:
        return np.stack(arrays)
    longest = np.max([array.shape for array in arrays], axis=0)
    batch = np.zeros((len(arrays), *longest), arrays[0].dtype)
    for into, array in zip(batch, arrays, strict=True):
        into[tuple(slice(length) for length in array.shape)] = array
    return batch


def _check_array(tensor: Tensor, array: Array) -> None:
    wanted = tensor.shape[1:]
    fits = len(wanted) == array.ndim and all(
        have == want or (want == -1 and have > 0)
        for have, want in zip(array.shape, wanted, strict=True)
    )
    if not fits or array.dtype != tensor.dtype:
        raise ModelInputError(
            f"{tensor.name}: takes {tensor.datatype} {_written(wanted)},"
            f" got {array.dtype} {_written(array.shape)}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelInputError(f"{tensor.name}: takes finite numbers.")


def _check_free_sizes(manifest: Manifest, row: Row) -> None:
    """What may vary is a text's length: the same in every tensor, and bounded."""
    sizes = {
        have
        for tensor in manifest.inputs
        for have, want in zip(row[tensor.name].shape, tensor.shape[1:], strict=True)
        if want == -1
    }
    if len(sizes) > 1:
        raise ModelInputError(f"The inputs are of one length; got {_written(sorted(sizes))}.")
    if manifest.max_tokens is not None and sizes and max(sizes) > manifest.max_tokens:
        raise ModelInputError(f"At most {manifest.max_tokens} tokens are read.")


def _written(shape: Iterable[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"
