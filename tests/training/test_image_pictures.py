"""The pictures that the image model learns from are uploads as the service gets them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.adapters.pillow_images import picture_of
from training.image_outliers import TRAINED, Family, outlier_of
from training.image_photos import photo_of, white_photo_of
from training.image_unseen_outliers import UNSEEN


def trousers() -> NDArray[np.uint8]:
    drawn = np.zeros((28, 28), np.uint8)
    drawn[1:27, 8:12] = drawn[1:27, 16:20] = 150
    drawn[1:6, 8:20] = 250
    return drawn


def seen(body: bytes) -> NDArray[np.float32]:
    pixels: NDArray[np.float32] = picture_of(body).pixels[0]
    return pixels


def test_no_family_is_both_taught_and_kept_for_the_measurement() -> None:
    assert not set(TRAINED) & set(UNSEEN)


@pytest.mark.parametrize("family", [*TRAINED, *UNSEEN], ids=lambda family: family.__name__)
def test_every_family_is_drawn_differently_each_time_and_alike_from_one_seed(
    family: Family,
) -> None:
    first, second = (np.random.default_rng(5) for _ in range(2))

    drawn = outlier_of(family, first)

    assert drawn == outlier_of(family, second)
    assert drawn != outlier_of(family, first)
    assert min(picture_of(drawn).width, picture_of(drawn).height) >= 40


def test_a_plain_photo_on_white_is_seen_as_the_product_it_shows() -> None:
    rng = np.random.default_rng(5)

    distances = [np.abs(seen(white_photo_of(trousers(), rng)) - trousers() / 250) for _ in range(9)]

    assert np.mean(distances) < 0.05


def test_a_photo_with_margins_on_any_ground_is_seen_as_the_product_it_shows() -> None:
    rng = np.random.default_rng(5)

    distances = [np.abs(seen(photo_of(trousers(), rng)) - trousers() / 250) for _ in range(40)]

    assert np.median([distance.mean() for distance in distances]) < 0.1
