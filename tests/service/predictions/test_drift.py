"""Drift is seen when a model is asked what it was not made for, and only then."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from service.metrics import ServiceMetrics
from service.predictions.domain import Distribution, Manifest
from service.predictions.drift import FEWEST, WINDOW, DriftMonitor, Window, psi

# Half of the answers are rather sure, the other half very.
HALVES = Distribution(edges=(0.5, 0.75, 1.0), shares=(0.5, 0.5))
TABULAR = Manifest(
    name="tabular",
    version="v1.0",
    task="tabular_classification",
    description="",
    labels=("negative", "positive"),
    inputs=(),
    outputs=(),
    files={},
    metrics={},
    trained_on="nothing",
    measured_on="",
    self_test=(),
    tolerance=0.01,
    batch_tolerance=1e-5,
    confidence_distribution=HALVES,
)

Shown = Callable[..., float | None]
shares = st.lists(st.floats(0, 1), min_size=2, max_size=20).filter(any)


def as_expected() -> Iterator[float]:
    """Confidences as they were in training, without end."""
    return cycle([0.6, 0.9])


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def monitor(registry: CollectorRegistry) -> DriftMonitor:
    return DriftMonitor(ServiceMetrics(registry).models)


@pytest.fixture
def shown(registry: CollectorRegistry) -> Shown:
    """What a scrape says of a version; None before it answered for the first time."""

    def value(name: str = "tabular", version: str = "v1.0") -> float | None:
        labels = {"model": name, "model_version": version}
        return registry.get_sample_value("ml_drift_psi", labels)

    return value


def test_few_answers_say_nothing(monitor: DriftMonitor, shown: Shown) -> None:
    assert shown() is None

    monitor.observe(TABULAR, islice(as_expected(), FEWEST - 1))
    assert math.isnan(shown() or 0)

    monitor.observe(TABULAR, [0.9])
    assert shown() == 0


def test_a_bin_that_became_empty_makes_no_infinite_index(
    monitor: DriftMonitor, shown: Shown
) -> None:
    monitor.observe(TABULAR, [0.6] * FEWEST)

    assert shown() == pytest.approx(4.60, abs=0.01)


def test_a_bin_that_was_empty_in_training_makes_no_infinite_index() -> None:
    assert psi([0, 1], [1, 999]) < 0.01
    assert 0.25 < psi([0, 1], [100, 900]) < math.inf


@pytest.mark.parametrize("confidence", [-1.0, 0.0, 0.5 - 1e-9, 0.5])
def test_what_lies_below_the_bins_counts_for_the_first(confidence: float) -> None:
    assert index_of([0.9, confidence] * FEWEST) == 0


@pytest.mark.parametrize("confidence", [0.75, 1.0, np.float32(1) + np.float32(1e-6)])
def test_what_lies_above_the_bins_or_on_an_edge_counts_for_the_last(confidence: float) -> None:
    assert index_of([0.6, confidence] * FEWEST) == 0


def index_of(values: Sequence[float]) -> float:
    window = Window(HALVES)
    for value in values:
        window.add(value)
    return window.psi()


def test_drift_is_seen_and_over_when_the_window_has_passed(
    monitor: DriftMonitor, shown: Shown
) -> None:
    usual = as_expected()
    monitor.observe(TABULAR, islice(usual, WINDOW))
    assert shown() == 0

    monitor.observe(TABULAR, [0.6] * (WINDOW // 2))
    drifted = shown()
    assert drifted
    assert drifted > 0.25

    monitor.observe(TABULAR, islice(usual, WINDOW))
    assert shown() == 0


def test_the_value_is_the_one_of_the_scrape_and_not_of_the_last_answer(
    monitor: DriftMonitor, shown: Shown
) -> None:
    for confidence in [0.6] * FEWEST:
        monitor.observe(TABULAR, [confidence])

    assert shown() == shown() == pytest.approx(psi(HALVES.shares, [FEWEST, 0]))


def test_versions_and_models_are_watched_each_by_itself(
    monitor: DriftMonitor, shown: Shown
) -> None:
    newer = replace(TABULAR, version="v1.1")
    other = replace(TABULAR, name="image_classification")

    monitor.observe(TABULAR, islice(as_expected(), FEWEST))
    monitor.observe(newer, [0.6] * FEWEST)
    monitor.observe(other, [0.9] * 7)

    assert shown() == 0
    assert (shown(version="v1.1") or 0) > 1
    assert math.isnan(shown("image_classification") or 0)


def test_a_version_that_was_trained_anew_begins_anew(monitor: DriftMonitor, shown: Shown) -> None:
    monitor.observe(TABULAR, [0.6] * WINDOW)
    retrained = replace(TABULAR, confidence_distribution=Distribution((0.5, 0.75, 1.0), (1.0, 0.0)))

    monitor.observe(retrained, [0.6])
    assert math.isnan(shown() or 0)

    monitor.observe(retrained, [0.6] * FEWEST)
    assert shown() == 0


def test_the_index_is_the_one_of_the_textbooks() -> None:
    # (0.25 - 0.5) ln(0.25 / 0.5) + (0.75 - 0.5) ln(0.75 / 0.5)
    assert psi([0.5, 0.5], [25, 75]) == pytest.approx(0.25 * math.log(2) + 0.25 * math.log(1.5))


@given(shares, st.data())
def test_the_index_is_finite_never_negative_and_0_for_the_same_shares(
    expected: list[float], data: st.DataObject
) -> None:
    counts = data.draw(
        st.lists(st.integers(0, WINDOW), min_size=len(expected), max_size=len(expected)).filter(any)
    )
    total = sum(expected)

    assert 0 <= psi([share / total for share in expected], counts) < math.inf
    assert psi([count / sum(counts) for count in counts], counts) == 0


@given(
    edges=st.lists(st.integers(0, 100), min_size=2, max_size=12, unique=True).map(sorted),
    # Seen against windows as long as they are, so that some have been forgotten.
    values=st.lists(st.integers(-5, 105), min_size=1, max_size=40),
)
def test_a_window_counts_its_last_values_as_numpy_does(edges: list[int], values: list[int]) -> None:
    bins = len(edges) - 1
    window = Window(Distribution(tuple(map(float, edges)), (1 / bins,) * bins))
    repeated = list(islice(cycle(values), WINDOW + 3 * len(values)))

    for value in repeated:
        window.add(value)

    counts, _ = np.histogram(np.clip(repeated[-WINDOW:], edges[0], edges[-1]), edges)
    assert window.psi() == pytest.approx(psi(window.expected.shares, counts.tolist()))


@pytest.mark.parametrize("shares", [(0.1,) * 10, (0.02, 0.03, 0.05, 0.1, 0.8)])
def test_chance_alone_is_no_drift(shares: tuple[float, ...]) -> None:
    random = np.random.default_rng(7)

    indices = [psi(shares, random.multinomial(FEWEST, shares).tolist()) for _ in range(1000)]

    assert np.quantile(indices, 0.99) < 0.25
    assert np.median(indices) < 0.1
