"""Teaches the image model from Fashion-MNIST and writes its folder.

python -m training.image_classification --data …/shared/data --out service/models
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from training.calibration import (
    confidence_distribution,
    expected_calibration_error,
    temperature_of,
)
from training.image_data import (
    Pixels,
    Products,
    native,
    outliers,
    photographed,
    read_products,
)
from training.image_network import Lesson, export, logits_of, taught
from training.image_outliers import TRAINED
from training.image_photos import photo_of, white_photo_of
from training.image_unseen_outliers import UNSEEN
from training.manifest import write_manifest
from training.onnx_answers import answers_of, batch_tolerance, session_of

NAME, VERSION = "image_classification", "v1.0"
LABELS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SEED = 5
EPOCHS = 9
PHOTOGRAPHED = 22_000
OUTLIERS_EACH, BLANK_SHARE = 650, 0.03
MEASURED_PHOTOS, MEASURED_OUTLIERS_EACH = 2_000, 100
PRODUCTS_REFUSED = 0.007  # of the held-out ones; the goal is less than 0.01 of others

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class HeldOut:
    """What the model is measured on: products in three views, and what is none."""

    native: Pixels
    white: Pixels
    varied: Pixels
    labels: NDArray[np.int64]
    outliers: Pixels
    unseen: Pixels


def main() -> None:
    """Build everything: pictures, network, figures, folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="has fashion/train-*.gz")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)  # the numbers depend on it; two threads are no faster here
    train, held_out = read_products(given.data / "fashion", SEED)
    lesson = lesson_of(train)
    print(f"{len(lesson.labels)} pictures of products, {len(lesson.outliers)} outliers", flush=True)
    network = taught(lesson, epochs=EPOCHS, seed=SEED)
    write_model(network, held_out_of(held_out), given.out / NAME / VERSION)


def lesson_of(products: Products) -> Lesson:
    """All products as they came, some of them as photos too, and outliers of all kinds."""
    some = products.part(slice(PHOTOGRAPHED))
    return Lesson(
        np.concatenate([native(products), photographed(some, photo_of, SEED)]),
        np.concatenate([products.labels, some.labels]),
        few_blank(outliers(TRAINED, OUTLIERS_EACH, SEED)),
    )


def few_blank(drawn: Pixels) -> Pixels:
    """Most noise and many textures end as the same black square: it need not be seen that often."""
    blank = ~drawn.any(axis=(1, 2))
    kept = int(BLANK_SHARE * (~blank).sum())
    return np.concatenate([drawn[~blank], drawn[blank][:kept]])


def held_out_of(products: Products) -> HeldOut:
    """Other products, other seeds."""
    some = products.part(slice(MEASURED_PHOTOS))
    return HeldOut(
        native(products),
        photographed(some, white_photo_of, SEED + 1),
        photographed(some, photo_of, SEED + 1),
        products.labels,
        outliers(TRAINED, MEASURED_OUTLIERS_EACH, SEED + 1),
        outliers(UNSEEN, MEASURED_OUTLIERS_EACH, SEED + 1),
    )


def write_model(network: torch.nn.Module, held_out: HeldOut, folder: Path) -> None:
    """Export, calibrate, measure what was exported, and write it all down."""
    folder.mkdir(parents=True, exist_ok=True)
    logits = logits_of(network, np.concatenate([held_out.native, held_out.varied]))
    labels = np.concatenate([held_out.labels, held_out.labels[: len(held_out.varied)]])
    temperature = temperature_of(logits, labels)
    export(network, temperature, folder / "model.onnx")
    session = session_of(folder / "model.onnx")
    energies = [_answers(session, view)[1] for view in (held_out.native, held_out.white)]
    limit = round(float(max(np.quantile(e, 1 - PRODUCTS_REFUSED) for e in energies)), 3)
    metrics = measured(session, held_out, limit)
    metrics |= {
        "temperature": temperature,
        "parameters": float(sum(weights.numel() for weights in network.parameters())),
    }
    metrics = {name: round(figure, 4) for name, figure in metrics.items()}
    print(metrics, flush=True)
    probabilities, _ = _answers(session, held_out.native)
    write_manifest(folder, manifest(session, metrics, limit, probabilities))
    template = Path(__file__).with_name("image_classification_card.md").read_text("utf-8")
    (folder / "MODEL_CARD.md").write_text(template.format(**metrics, energy_limit=limit), "utf-8")


def measured(session: InferenceSession, held_out: HeldOut, limit: float) -> dict[str, float]:
    """How good the exported model is; a product that it is unsure of counts as wrong."""
    figures = {}
    for view in ("native", "white", "varied"):
        probabilities, energy = _answers(session, getattr(held_out, view))
        labels = held_out.labels[: len(energy)]
        right, sure = probabilities.argmax(axis=1) == labels, energy <= limit
        figures[f"accuracy_{view}"] = float((right & sure).mean())
        figures[f"unsure_{view}"] = float((~sure).mean())
        figures[f"calibration_error_{view}"] = expected_calibration_error(probabilities, labels)
    for families in ("outliers", "unseen"):
        _, energy = _answers(session, getattr(held_out, families))
        by_family = (energy > limit).reshape(-1, MEASURED_OUTLIERS_EACH).mean(axis=1)
        print(families, by_family.round(2).tolist(), flush=True)
        figures[f"unsure_{families}"] = float(by_family.mean())
    figures["accuracy"] = figures["accuracy_native"]
    figures["expected_calibration_error"] = figures["calibration_error_native"]
    return figures


def manifest(
    session: InferenceSession,
    metrics: Mapping[str, float],
    limit: float,
    probabilities: Floats,
) -> dict[str, Any]:
    """What the service has to know."""
    drawings = np.stack([_shirt(), _trousers()])[:, None]
    answers = answers_of(session, drawings)
    noise = np.random.default_rng(SEED).random((64, 1, 28, 28), np.float32)
    return {
        "name": NAME,
        "version": VERSION,
        "task": "image_classification",
        "description": "Names the kind of garment, shoe or bag in a product photo.",
        "labels": LABELS,
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 1, 28, 28]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(LABELS)]},
            {"name": "energy", "datatype": "FP32", "shape": [-1]},
        ],
        "metrics": metrics,
        "measured_on": "5,000 pictures held out of Fashion-MNIST's training split, as they are;"
        " 2,000 of them as colour photos; unsure counts as wrong.",
        "trained_on": "The other 55,000 pictures of Fashion-MNIST's training split, 22,000 of"
        " them also as colour photos, and drawn pictures that show no product.",
        "self_test": [
            {
                "inputs": {"pixels": _rounded(drawings)},
                "outputs": {
                    "probabilities": _rounded(answers["probabilities"]),
                    "energy": _rounded(answers["energy"]),
                },
            }
        ],
        "tolerance": 0.01,
        "batch_tolerance": batch_tolerance(session, noise),
        "confidence_distribution": confidence_distribution(probabilities),
        "energy_limit": limit,
    }


def _answers(session: InferenceSession, pixels: Pixels) -> tuple[Floats, Floats]:
    answers = answers_of(session, pixels[:, None].astype(np.float32) / 255)
    return answers["probabilities"], answers["energy"]


def _rounded(values: Floats) -> Any:
    return np.round(values.astype(float), 6).tolist()


def _shirt() -> Floats:
    """A drawing for the self-test: a body with two sleeves."""
    drawn = np.zeros((28, 28), np.float32)
    drawn[2:26, 8:20] = 0.7
    drawn[2:10, 2:26] = 0.8
    drawn[2:4, 12:16] = 0
    return drawn


def _trousers() -> Floats:
    """Another: two legs."""
    drawn = np.zeros((28, 28), np.float32)
    drawn[1:27, 9:13] = drawn[1:27, 15:19] = 0.6
    drawn[1:6, 9:19] = 0.9
    return drawn


if __name__ == "__main__":
    main()
