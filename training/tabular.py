"""Fits the tabular models to scikit-learn's breast-cancer data and writes their folders.

python -m training.tabular --out service/models
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, TensorProto, checker, helper
from onnx.utils import Extractor
from onnxruntime import InferenceSession
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from training.calibration import (
    confidence_distribution,
    expected_calibration_error,
    softmax,
    temperature_of,
)
from training.manifest import write_manifest
from training.onnx_answers import answers_of, batch_tolerance, session_of

NAME = "tabular"
LABELS = ("negative", "positive")
SEED = 5
FOLDS, REPEATS = 5, 5
LEAST_ACCURACY, LEAST_AUC = 0.93, 0.98
LEAST_PROBABILITY = 1e-9  # what a temperature is applied to: its logarithm has to be finite

# For the self-test: a small and regular, a large and irregular, and a doubtful one.
INVENTED = [
    [11.5, 16.0, 74.0, 410.0, 0.09, 0.07, 0.03, 0.02, 0.17, 0.06],
    [19.5, 23.0, 130.0, 1200.0, 0.11, 0.16, 0.18, 0.1, 0.2, 0.06],
    [14.5, 20.0, 94.0, 650.0, 0.1, 0.11, 0.09, 0.05, 0.18, 0.06],
]

Floats: TypeAlias = NDArray[np.floating[Any]]
Classifier = Any  # scikit-learn has no type for it
Figures = dict[str, float]


class Tempered:
    """A classifier with all its probabilities sharpened or flattened by one temperature."""

    def __init__(self, model: Classifier) -> None:
        self.model = model
        self.temperature = 1.0

    def fit(self, features: Floats, labels: NDArray[np.int64]) -> Self:
        """Find the temperature on folds kept back, then fit to all."""
        kept_back = cross_val_predict(self.model, features, labels, method="predict_proba")
        self.temperature = temperature_of(_logarithm(kept_back), labels)
        self.model.fit(features, labels)
        return self

    def predict_proba(self, features: Floats) -> Floats:
        """Probabilities (samples, 2)."""
        return softmax(_logarithm(self.model.predict_proba(features)) / self.temperature)


def _logarithm(probabilities: Floats) -> Floats:
    logarithm: Floats = np.log(np.clip(probabilities, LEAST_PROBABILITY, 1))
    return logarithm


CANDIDATES: Mapping[str, Callable[[], Classifier]] = {
    "A logistic regression on scaled features": lambda: make_pipeline(
        StandardScaler(), LogisticRegression(C=1.0, max_iter=5_000)
    ),
    "A nearly unpenalised logistic regression on scaled features": lambda: make_pipeline(
        StandardScaler(), LogisticRegression(C=100.0, max_iter=5_000)
    ),
    "A logistic regression on squares and products of scaled features": lambda: make_pipeline(
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=5_000),
    ),
    "Support vector machines with Platt's scaling": lambda: CalibratedClassifierCV(
        make_pipeline(StandardScaler(), SVC(C=3.0, gamma=0.1)), cv=5
    ),
    "Support vector machines with isotonic calibration": lambda: CalibratedClassifierCV(
        make_pipeline(StandardScaler(), SVC(C=3.0, gamma=0.1)), method="isotonic", cv=5
    ),
    "A regularised quadratic discriminant on scaled features": lambda: make_pipeline(
        StandardScaler(), QuadraticDiscriminantAnalysis(reg_param=0.1)
    ),
    "A regularised quadratic discriminant on scaled features, with a temperature": lambda: Tempered(
        make_pipeline(StandardScaler(), QuadraticDiscriminantAnalysis(reg_param=0.1))
    ),
    "Extra trees with Platt's scaling": lambda: CalibratedClassifierCV(
        ExtraTreesClassifier(100, min_samples_leaf=2, random_state=SEED), cv=5
    ),
    "Random forests with isotonic calibration": lambda: CalibratedClassifierCV(
        RandomForestClassifier(100, min_samples_leaf=2, random_state=SEED),
        method="isotonic",
        cv=5,
    ),
}
FIRST = next(iter(CANDIDATES))


def main() -> None:
    """Compare the candidates, write v1.0 with the first and v1.1 with the best calibrated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out / NAME
    bunch = load_breast_cancer()
    features, labels = bunch.data[:, :10], 1 - bunch.target  # there 0 is malignant
    answers, figures = {}, {}
    for method, make in CANDIDATES.items():
        answers[method] = cross_validated(make, features, labels)
        figures[method] = figures_of(answers[method], labels)
        print(method, figures[method], flush=True)
    for version, method in (("v1.0", FIRST), ("v1.1", best_calibrated(figures))):
        folder = out / version
        folder.mkdir(parents=True, exist_ok=True)
        export(CANDIDATES[method]().fit(features, labels), folder / "model.onnx")
        own = {
            "version": version,
            "description": f"Tells malignant from benign; not for clinical use. {method}.",
            "metrics": figures[method],
            "features": ranges([str(name) for name in bunch.feature_names[:10]], features),
            "confidence_distribution": confidence_distribution(np.concatenate(answers[method])),
        }
        shared = described(session_of(folder / "model.onnx"), features.astype(np.float32))
        write_manifest(folder, {**shared, **own})
        card = (
            Path(__file__)
            .with_name("tabular_card.md")
            .read_text("utf-8")
            .format(version=version, method=method, compared=compared(figures), **figures[method])
        )
        (folder / "MODEL_CARD.md").write_text(card, "utf-8")


def cross_validated(
    make: Callable[[], Classifier], features: Floats, labels: NDArray[np.int64]
) -> Floats:
    """Probabilities (repeats, samples, 2), each from a model that did not see the sample."""
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=SEED)
    answers = np.zeros((REPEATS, len(labels), 2))
    for number, (fitted, kept_back) in enumerate(folds.split(features, labels)):
        model = make().fit(features[fitted], labels[fitted])
        answers[number // FOLDS, kept_back] = model.predict_proba(features[kept_back])
    return answers


def figures_of(answers: Floats, labels: NDArray[np.int64]) -> Figures:
    """Means over the repeats; the calibration error needs all of them, its bins are small."""
    repeats = [
        (
            (answer.argmax(axis=1) == labels).mean(),
            roc_auc_score(labels, answer[:, 1]),
            brier_score_loss(labels, answer[:, 1]),
            log_loss(labels, answer[:, 1]),
        )
        for answer in answers
    ]
    accuracy, auc, brier_score, loss = np.mean(repeats, axis=0).round(4).tolist()
    error = expected_calibration_error(np.concatenate(answers), np.tile(labels, len(answers)))
    return {
        "accuracy": accuracy,
        "auc": auc,
        "brier_score": brier_score,
        "log_loss": loss,
        "expected_calibration_error": round(error, 4),
    }


def best_calibrated(candidates: Mapping[str, Figures]) -> str:
    """The least Brier score plus calibration error, of those that tell well enough.

    The Brier score alone would also reward telling better, the calibration error alone a model
    that says little.
    """
    return min(
        (
            method
            for method, figures in candidates.items()
            if figures["accuracy"] >= LEAST_ACCURACY and figures["auc"] >= LEAST_AUC
        ),
        key=lambda method: (
            candidates[method]["brier_score"] + candidates[method]["expected_calibration_error"]
        ),
    )


def ranges(names: Sequence[str], features: Floats) -> list[dict[str, str | float]]:
    """Where each feature lay."""
    lows, highs = features.min(axis=0).tolist(), features.max(axis=0).tolist()
    return [
        {"name": name, "low": low, "high": high}
        for name, low, high in zip(names, lows, highs, strict=True)
    ]


def compared(candidates: Mapping[str, Figures]) -> str:
    """All candidates' figures, as a table for the card."""
    names = ("accuracy", "auc", "brier_score", "log_loss", "expected_calibration_error")
    lines = [f"| candidate | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for method, figures in candidates.items():
        lines.append(f"| {method} | {' | '.join(f'{figures[name]:.4f}' for name in names)} |")
    return "\n".join(lines)


def export(model: Classifier, path: Path) -> None:
    """Write the whole pipeline as ONNX; probabilities are its only output."""
    converted = to_onnx(
        model.model if isinstance(model, Tempered) else model,
        initial_types=[("features", FloatTensorType([None, 10]))],
        options={"zipmap": False},
        target_opset=17,
    )
    served = Extractor(converted).extract_model(["features"], ["probabilities"])
    if isinstance(model, Tempered):
        _temper(served.graph, model.temperature)
    checker.check_model(served)
    path.write_bytes(served.SerializeToString())


def _temper(graph: GraphProto, temperature: float) -> None:
    """Do in the graph what Tempered does."""
    for node in graph.node:
        node.output[:] = ["plain" if name == "probabilities" else name for name in node.output]
    constants = {"least": LEAST_PROBABILITY, "most": 1.0, "temperature": temperature}
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        for name, value in constants.items()
    )
    graph.node.extend(
        [
            helper.make_node("Clip", ["plain", "least", "most"], ["clipped"]),
            helper.make_node("Log", ["clipped"], ["logarithm"]),
            helper.make_node("Div", ["logarithm", "temperature"], ["tempered"]),
            helper.make_node("Softmax", ["tempered"], ["probabilities"], axis=1),
        ]
    )


def described(session: InferenceSession, features: NDArray[np.float32]) -> dict[str, Any]:
    """What both versions have in common, and the answers of the self-test."""
    answers = answers_of(session, np.array(INVENTED, np.float32))["probabilities"]
    return {
        "name": NAME,
        "task": "tabular_classification",
        "labels": LABELS,
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 10]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(LABELS)]}],
        "trained_on": "All 569 samples of Breast Cancer Wisconsin (Diagnostic), from scikit-learn.",
        "measured_on": "The same samples, each answered by models that did not see it: 5-fold"
        " cross-validation, repeated 5 times.",
        "self_test": [
            {
                "inputs": {"features": INVENTED},
                "outputs": {"probabilities": np.round(answers.astype(float), 6).tolist()},
            }
        ],
        "tolerance": 0.01,
        "batch_tolerance": batch_tolerance(session, features),
    }


if __name__ == "__main__":
    main()
