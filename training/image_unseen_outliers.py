"""Families of what is no product that training never sees: on them it shows what was learnt."""

import numpy as np
from PIL import Image

from training.image_canvas import (
    Random,
    any_colour,
    any_point,
    blended,
    canvas,
    coordinates,
    size_of,
)
from training.image_outliers import Family


def rings(rng: Random) -> Image.Image:
    """Circles around a point, or a spiral."""
    rows, columns = coordinates(rng)
    row, column = rng.uniform(-0.5, 0.5, 2)
    radius, angle = np.hypot(rows - row, columns - column), np.arctan2(rows - row, columns - column)
    turns = np.sin(radius * rng.uniform(5, 50) + angle * rng.integers(0, 4))
    return blended((turns > 0).astype(np.float32) if rng.random() < 0.5 else turns / 2 + 0.5, rng)


def burst(rng: Random) -> Image.Image:
    """Rays from a point."""
    rows, columns = coordinates(rng)
    row, column = rng.uniform(-0.5, 0.5, 2)
    rays = np.sin(np.arctan2(rows - row, columns - column) * rng.integers(3, 40))
    return blended((rays > 0).astype(np.float32), rng)


def scribble(rng: Random) -> Image.Image:
    """A pen that wanders, as in handwriting."""
    image, draw, ink = canvas(rng)
    for _ in range(rng.integers(1, 6)):
        steps = rng.normal(0, 1, (int(rng.integers(20, 200)), 2)).cumsum(0).cumsum(0)
        steps = (steps - steps.min(0)) / (np.ptp(steps, axis=0) + 1e-9) * rng.uniform(0.3, 1)
        path = [tuple(point) for point in (steps * image.size).tolist()]
        draw.line(path, ink, int(rng.integers(1, 2 + image.width // 40)), "curve")
    return image


def plaid(rng: Random) -> Image.Image:
    """Coloured bands that cross."""
    width, height = size_of(rng)
    bands = rng.integers(0, 256, (int(rng.integers(3, 30)), 1, 3), dtype=np.uint8)
    down = np.asarray(Image.fromarray(bands).resize((width, height), 0), np.float32)
    bands = rng.integers(0, 256, (1, int(rng.integers(3, 30)), 3), dtype=np.uint8)
    across = np.asarray(Image.fromarray(bands).resize((width, height), 0), np.float32)
    return Image.fromarray(((down + across) / 2).astype(np.uint8))


def dots(rng: Random) -> Image.Image:
    """Points all over: a starry sky, a scatter plot, confetti."""
    image, draw, ink = canvas(rng)
    coloured = rng.random() < 0.5
    for _ in range(rng.integers(10, 300)):
        x, y = any_point(image, rng)
        radius = rng.uniform(0.5, 1 + image.width / 40)
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, any_colour(rng) if coloured else ink)
    return image


def maze(rng: Random) -> Image.Image:
    """Diagonals, each leaning to one of two sides."""
    image, draw, ink = canvas(rng)
    step = image.width / rng.integers(4, 24)
    for x in np.arange(0, image.width, step):
        for y in np.arange(0, image.height, step):
            ends = (x, y, x + step, y + step) if rng.random() < 0.5 else (x + step, y, x, y + step)
            draw.line(ends, ink, max(1, int(step / 6)))
    return image


def landscape(rng: Random) -> Image.Image:
    """A sky above hills, one behind the other."""
    image, draw, _ = canvas(rng)
    for depth in np.sort(rng.uniform(0.2, 0.95, int(rng.integers(1, 6)))):
        heights = rng.normal(0, 1, 40).cumsum()
        heights = depth + 0.15 * heights / np.abs(heights).max()
        ridge = zip(np.linspace(0, image.width, 40), heights * image.height, strict=True)
        corners = [(0.0, float(image.height)), *ridge, (float(image.width), float(image.height))]
        draw.polygon(corners, any_colour(rng))
    return image


def collage(rng: Random) -> Image.Image:
    """The plane cut into rectangles of many colours."""
    image, draw, ink = canvas(rng)
    lefts = [0.0, *np.sort(rng.uniform(0, image.width, int(rng.integers(1, 6))))]
    for left, right in zip(lefts, [*lefts[1:], image.width], strict=True):
        tops = [0.0, *np.sort(rng.uniform(0, image.height, int(rng.integers(1, 6))))]
        for top, bottom in zip(tops, [*tops[1:], image.height], strict=True):
            draw.rectangle((left, top, right, bottom), any_colour(rng), ink)
    return image


def tree(rng: Random) -> Image.Image:
    """Branches that split, and split again."""
    image, draw, ink = canvas(rng)
    tips = [(image.width / 2, image.height * 0.95, -np.pi / 2, image.height * 0.28)]
    spread = rng.uniform(0.2, 0.9)
    for depth in range(int(rng.integers(3, 8))):
        grown = []
        for x, y, angle, length in tips:
            end = x + length * np.cos(angle), y + length * np.sin(angle)
            draw.line((x, y, *end), ink, max(1, image.width // (30 * (depth + 1))))
            grown += [(*end, angle + turn, length * 0.72) for turn in (-spread, spread)]
        tips = grown
    return image


UNSEEN: tuple[Family, ...] = (
    rings, burst, scribble, plaid, dots, maze, landscape, collage, tree,
)  # fmt: skip
