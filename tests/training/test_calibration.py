"""What a temperature mends, and what the two figures say."""

import numpy as np
import pytest

from training.calibration import (
    Floats,
    Labels,
    confidence_distribution,
    expected_calibration_error,
    softmax,
    temperature_of,
)

CERTAIN_OF_THE_FIRST = np.array([[1.0, 0.0]])


def drawn(logits: Floats) -> Labels:
    """Labels that really come with the probabilities that these logits stand for."""
    chance = np.random.default_rng(3).random(len(logits))
    return (chance < softmax(logits)[:, 1]).astype(int)


@pytest.fixture(name="honest")
def honest_logits() -> Floats:
    return np.random.default_rng(1).normal(scale=2.0, size=(20_000, 2))


def test_being_certain_and_wrong_is_the_largest_error() -> None:
    assert expected_calibration_error(CERTAIN_OF_THE_FIRST, np.array([1])) == 1.0


def test_being_certain_and_right_is_none() -> None:
    assert expected_calibration_error(CERTAIN_OF_THE_FIRST, np.array([0])) == 0.0


def test_bins_weigh_by_their_size() -> None:
    probabilities = np.array([[0.9, 0.1]] * 9 + [[0.4, 0.6]])
    labels = np.array([0] * 9 + [0])

    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.9 * 0.1 + 0.1 * 0.6)


def test_a_model_that_says_what_it_knows_keeps_its_temperature(honest: Floats) -> None:
    assert temperature_of(honest, drawn(honest)) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("exaggeration", [0.5, 2.0, 5.0])
def test_an_exaggeration_is_taken_back(honest: Floats, exaggeration: float) -> None:
    labels = drawn(honest)

    temperature = temperature_of(honest * exaggeration, labels)

    assert temperature == pytest.approx(exaggeration * temperature_of(honest, labels), rel=1e-6)


def test_calibration_lowers_the_error(honest: Floats) -> None:
    labels, loud = drawn(honest), honest * 4

    before = expected_calibration_error(softmax(loud), labels)
    after = expected_calibration_error(softmax(loud / temperature_of(loud, labels)), labels)

    assert after < 0.02 < before


def test_logits_that_are_always_right_still_have_a_finite_temperature() -> None:
    assert 0 < temperature_of(np.array([[5.0, -5.0], [-5.0, 5.0]]), np.array([0, 1])) < 0.5


def test_large_logits_do_not_overflow() -> None:
    assert softmax(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]


def test_a_distribution_begins_where_no_confidence_can_lie_below() -> None:
    distribution = confidence_distribution(np.full((4, 10), 0.1), bins=3)

    assert distribution["edges"] == [0.1, 0.4, 0.7, 1.0]
    assert distribution["shares"] == [1.0, 0.0, 0.0]


def test_certainty_belongs_to_the_last_bin() -> None:
    assert confidence_distribution(CERTAIN_OF_THE_FIRST, bins=2, low=0.5) == {
        "edges": [0.5, 0.75, 1.0],
        "shares": [0.0, 1.0],
    }


def test_a_confidence_below_the_first_edge_by_rounding_is_counted() -> None:
    half = np.array([[0.49999997, 0.49999997]])

    assert confidence_distribution(half, bins=2)["shares"] == [1.0, 0.0]
