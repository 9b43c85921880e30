"""The product in a picture, as the model was taught to see it: bright on black, filling the frame.

Uploads and training data go through the same lines: what the model learns is what it is asked.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats: TypeAlias = NDArray[np.floating[Any]]

SIDE = 28
_FAINTEST = 0.03  # a larger difference than this, in 0…1, from the ground is worth looking at
_CONTENT = 0.12  # of the strongest difference: what counts as the product, not as its shadow
_FILLING = 0.9  # of the picture's longer side: a product that large was framed by somebody
_ROUNDS = 6  # of reweighting: the ground's plane does not move any more


def product_pixels(picture: Floats) -> NDArray[np.float32]:
    """Cut the product out of a picture and bring it to (1, 28, 28), 0 the ground, 1 the strongest.

    picture is (height, width, colours) in 0…1. The ground is what the edges show, its light may
    fall off to one side; whether it is lighter or darker than the product makes no difference. All
    zeros: there is nothing but ground.
    """
    difference, noise = _difference_from_ground(picture)
    strongest = float(np.quantile(difference, 0.995))
    if strongest < _FAINTEST + 4 * noise:
        return np.zeros((1, SIDE, SIDE), np.float32)
    content = difference > max(_CONTENT * strongest, _FAINTEST / 2, 4 * noise)
    left, top, side = _frame(content)
    framed = _square(np.maximum(difference - 2 * noise, 0), left, top, side)
    peak = max(float(framed.max()), _FAINTEST / 2)
    return np.asarray(framed[None] / peak, np.float32).clip(0, 1)


def _difference_from_ground(picture: Floats) -> tuple[Floats, float]:
    """How far each pixel is from the ground's colour, and how far the ground itself is, typically.

    The ground is a plane per colour, fitted to the edges so that the sum of distances (not of
    their squares) is least: a product that reaches an edge does not bend it.
    """
    height, width, _ = picture.shape
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    places = np.stack([np.ones_like(rows), rows, columns], axis=-1)
    edge = np.zeros((height, width), bool)
    thickness = 1 + min(height, width) // 60
    edge[:thickness] = edge[-thickness:] = True
    edge[:, :thickness] = edge[:, -thickness:] = True
    seen, where = picture[edge], places[edge]
    plane = np.zeros((3, picture.shape[2]), np.float32)
    plane[0] = np.median(seen, axis=0)
    for _ in range(_ROUNDS):
        weights = 1 / (_distance(seen - where @ plane) + 1 / 255)[:, None]
        weighted = (where * weights).T
        plane = np.linalg.solve(weighted @ where + 1e-3 * np.eye(3), weighted @ seen + 1e-3 * plane)
        plane = plane.astype(np.float32)
    noise = float(np.median(_distance(seen - where @ plane)))
    return _distance(picture - places @ plane), noise


def _distance(difference: Floats) -> Floats:
    distance: Floats = np.sqrt(np.square(difference).mean(axis=-1))
    return distance


def _frame(content: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The square around the content: left, top, side; around the whole picture, if it is filled."""
    height, width = content.shape
    top, bottom = _extent(content.sum(axis=1) > width / 100)
    left, right = _extent(content.sum(axis=0) > height / 100)
    side = max(bottom - top, right - left)
    if side >= _FILLING * max(height, width):
        top, bottom, left, right, side = 0, height, 0, width, max(height, width)
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def _extent(filled: NDArray[np.bool_]) -> tuple[int, int]:
    """From the first to after the last that is filled; all, if none is."""
    (places,) = np.nonzero(filled)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(filled))


def _square(difference: Floats, left: float, top: float, side: float) -> Floats:
    """What lies in the square, at the model's size; the ground where it leaves the picture."""
    margin = int(side) + 1
    padded = np.pad(difference, margin)
    box = (left + margin, top + margin, left + margin + side, top + margin + side)
    resized = Image.fromarray(padded).resize((SIDE, SIDE), Image.Resampling.HAMMING, box)
    return np.asarray(resized, np.float32)
