"""Inputs that a model does not take are refused with what it takes; the others make a batch."""

import numpy as np
import pytest

from service.adapters.model_inputs import batch_of, check_rows, size_of
from service.predictions.domain import Array, Manifest, ModelInputError, Tensor
from tests.service.adapters.small_models import text_manifest


def manifest(*tensors: Tensor) -> Manifest:
    whole = text_manifest(max_tokens=8)
    return Manifest(
        **{
            **{name: getattr(whole, name) for name in whole.__dataclass_fields__},
            "inputs": tensors,
        }
    )


IDS, MASK = Tensor("ids", "INT64", (-1, -1)), Tensor("mask", "INT64", (-1, -1))
PIXELS = Tensor("pixels", "FP32", (-1, 1, 2, 2))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({}, "The inputs are ids, mask; got "),
        ({"ids": [1]}, "The inputs are ids, mask; got ids"),
        ({"ids": [1], "mask": [1], "types": [0]}, "got ids, mask, types"),
        ({"ids": [1.5], "mask": [1]}, r"ids: takes INT64 \[-1\], got float64 \[1\]"),
        ({"ids": [[1]], "mask": [1]}, r"ids: takes INT64 \[-1\], got int64 \[1, 1\]"),
        ({"ids": 1, "mask": [1]}, r"ids: takes INT64 \[-1\], got int64 \[\]"),
        (
            {"ids": np.zeros(0, np.int64), "mask": np.zeros(0, np.int64)},
            r"takes INT64 \[-1\], got int64 \[0\]",
        ),
        ({"ids": [1, 2], "mask": [1]}, r"The inputs are of one length; got \[1, 2\]"),
        ({"ids": [1] * 9, "mask": [1] * 9}, "At most 8 tokens are read"),
    ],
)
def test_tokens_that_the_model_cannot_read_are_refused(row: dict[str, Array], fault: str) -> None:
    arrays = {name: np.asarray(array) for name, array in row.items()}

    with pytest.raises(ModelInputError, match=fault):
        check_rows(manifest(IDS, MASK), [arrays])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_finite_number_is_refused(value: float) -> None:
    with pytest.raises(ModelInputError, match="pixels: takes finite numbers"):
        check_rows(manifest(PIXELS), [{"pixels": np.full((1, 2, 2), value, np.float32)}])


def test_another_size_than_the_models_is_refused() -> None:
    with pytest.raises(ModelInputError, match=r"takes FP32 \[1, 2, 2\], got float32 \[1, 2, 3\]"):
        check_rows(manifest(PIXELS), [{"pixels": np.zeros((1, 2, 3), np.float32)}])


def test_no_rows_are_refused() -> None:
    with pytest.raises(ModelInputError, match="There is no input"):
        check_rows(manifest(PIXELS), [])


def test_what_the_model_takes_is_let_through() -> None:
    check_rows(manifest(PIXELS), [{"pixels": np.zeros((1, 2, 2), np.float32)}])
    check_rows(manifest(IDS, MASK), [{"ids": np.ones(8, int), "mask": np.ones(8, int)}])


def test_shorter_rows_are_filled_up_with_nothing() -> None:
    rows = [
        {"ids": np.array([1, 2]), "n": np.array([5])},
        {"ids": np.array([3]), "n": np.array([6])},
    ]

    batch = batch_of(rows)

    assert batch["ids"].tolist() == [[1, 2], [3, 0]]
    assert batch["n"].tolist() == [[5], [6]]
    assert size_of(rows[0]) == 3


def test_any_dimension_may_be_filled_up() -> None:
    batch = batch_of([{"x": np.ones((1, 2))}, {"x": np.ones((2, 1))}])

    assert batch["x"].tolist() == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]
