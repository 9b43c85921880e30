"""How long a model will take is learnt from how long it took."""

import pytest

from service.adapters.work_estimate import WorkEstimate, kind_of


def test_like_sizes_are_of_one_kind_and_larger_ones_of_a_later() -> None:
    assert kind_of(19) == kind_of(20) == kind_of(24)
    assert kind_of(1) < kind_of(20) < kind_of(40) < kind_of(500)


def test_an_estimate_follows_what_happens() -> None:
    estimate = WorkEstimate()
    estimate.learn(3, elements=10, seconds=1.0)

    for _ in range(50):
        estimate.learn(3, elements=100, seconds=20.0)

    assert estimate.seconds(3, 10) == pytest.approx(2.0, rel=0.01)
    assert estimate.best_seconds(3, 10) == pytest.approx(1.0)


def test_one_time_out_of_all_proportion_says_little() -> None:
    estimate = WorkEstimate()
    estimate.learn(3, elements=1, seconds=1.0)

    estimate.learn(3, elements=1, seconds=1000.0)

    assert estimate.seconds(3, 1) < 2


def test_not_even_if_it_is_the_first_of_its_kind() -> None:
    estimate = WorkEstimate()
    estimate.learn(3, elements=1, seconds=1.0)

    estimate.learn(9, elements=1, seconds=1000.0)

    assert estimate.seconds(9, 1) == 4.0
    assert estimate.best_seconds(9, 1) == 1.0


def test_a_size_that_never_was_is_taken_for_the_nearest() -> None:
    estimate = WorkEstimate()
    estimate.learn(3, elements=1, seconds=1.0)
    estimate.learn(9, elements=1, seconds=3.0)

    assert estimate.seconds(4, 2) == 2.0
    assert estimate.seconds(20, 2) == 6.0
    assert estimate.seconds(3, 2) == 2.0
