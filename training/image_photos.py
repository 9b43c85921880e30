"""Fashion-MNIST's products as people photograph them: in colour, of any size, on any ground."""

import io
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats: TypeAlias = NDArray[np.floating[Any]]

SCALINGS = (
    Image.Resampling.NEAREST,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
GROUNDS = ("white", "light", "coloured", "dark")
GROUND_SHARES = (0.5, 0.25, 0.15, 0.1)


def photo_of(product: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """A product, (28, 28) and bright on black, as a JPEG of about 100 to 1,000 pixels."""
    covered = _enlarged(product, rng)
    ground = _ground(rng)
    if rng.random() < 0.15:
        colours = _painted(covered, ground, rng)
    else:
        ink = _ink(ground, rng)
        colours = ground + covered[..., None] * (ink - ground)
    return jpeg(_as_taken(colours.astype(np.float32), rng), rng)


def white_photo_of(product: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """The plain case: a coloured product on white, without margins; the goal is stated for it."""
    side = int(rng.integers(100, 500))
    scaled = Image.fromarray(product).resize((side, side), Image.Resampling.BICUBIC)
    covered = np.asarray(scaled, np.float32) / 255
    tint = rng.uniform(0, 0.6, 3).astype(np.float32)
    return jpeg(1 - covered[..., None] * (1 - tint), rng)


def jpeg(colours: Floats, rng: np.random.Generator) -> bytes:
    """Encode (height, width, 3), in 0…1, at a quality as cameras and shops use them."""
    body = io.BytesIO()
    pixels = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(body, "JPEG", quality=int(rng.integers(60, 96)))
    return body.getvalue()


def side_of(rng: np.random.Generator) -> int:
    """A picture's side, 100 to 800 pixels; few large ones, as they look alike and take long."""
    low, high = ((100, 200), (200, 400), (400, 800))[rng.choice(3, p=[0.85, 0.1, 0.05])]
    return int(rng.integers(low, high))


def _enlarged(product: NDArray[np.uint8], rng: np.random.Generator) -> Floats:
    """Where the product is, in 0…1: scaled up, a little turned, with a margin or none."""
    side = side_of(rng)
    scaled = Image.fromarray(product).resize((side, side), SCALINGS[rng.integers(len(SCALINGS))])
    covered = np.asarray(scaled, np.float32) / 255
    if rng.random() < 0.6:
        margins = rng.uniform(0, 0.35 * side, 4).astype(int)
        covered = np.pad(covered, (tuple(margins[:2]), tuple(margins[2:])))
    if rng.random() < 0.5:
        turned = Image.fromarray(covered).rotate(
            rng.uniform(-8, 8), Image.Resampling.BILINEAR, expand=True
        )
        covered = np.asarray(turned, np.float32)
    return covered


def _ground(rng: np.random.Generator) -> Floats:
    kind = rng.choice(GROUNDS, p=GROUND_SHARES)
    if kind == "white":
        return np.ones(3, np.float32)
    low, high = {"light": (0.78, 1), "coloured": (0.2, 0.9), "dark": (0, 0.2)}[kind]
    return rng.uniform(low, high, 3).astype(np.float32)


def _ink(ground: Floats, rng: np.random.Generator) -> Floats:
    """A colour that can be told from the ground."""
    while True:
        ink = rng.uniform(0, 1, 3).astype(np.float32)
        if np.sqrt(np.square(ink - ground).mean()) > 0.3:
            return ink


def _painted(covered: Floats, ground: Floats, rng: np.random.Generator) -> Floats:
    """The product keeps its own lights and shades, whatever the ground is."""
    whole = np.clip(covered * 8, 0, 1)[..., None]
    ink = rng.uniform(0.2, 1, 3).astype(np.float32)
    shade = 0.15 + 0.85 * covered[..., None]
    painted: Floats = ground + whole * (ink * shade - ground)
    return painted


def _as_taken(colours: Floats, rng: np.random.Generator) -> Floats:
    """Light that falls off to one side, and a sensor's noise."""
    height, width, _ = colours.shape
    fall_off = rng.normal(0, 0.04, 2) * (rng.random() < 0.5)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[:, None]
    taken = colours * np.float32(1 - np.abs(fall_off).sum())
    taken = taken * (1 + np.float32(fall_off[0]) * rows + np.float32(fall_off[1]) * columns)
    if rng.random() < 0.5:
        strength = np.float32(rng.uniform(0, 0.03))
        taken = taken + strength * rng.standard_normal(colours.shape, np.float32)
    return taken
