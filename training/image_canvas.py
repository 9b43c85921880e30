"""Sizes, colours and canvases drawn by chance, for pictures that show no product."""

import string
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.image_photos import side_of

Random = np.random.Generator
Colour = tuple[int, int, int]

FONTS = sorted(Path("/usr/share/fonts").rglob("*.ttf"))


def size_of(rng: Random) -> tuple[int, int]:
    """Width and height in pixels: about 100 to 1,200, of many shapes."""
    side = side_of(rng)
    return side, max(40, int(side * rng.uniform(0.5, 1.5)))


def any_colour(rng: Random) -> Colour:
    """Any of them."""
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def two_colours(rng: Random) -> tuple[Colour, Colour]:
    """A ground, often white or black, and something that can be told from it."""
    ground = [(255, 255, 255), (0, 0, 0), any_colour(rng)][rng.choice(3, p=[0.45, 0.15, 0.4])]
    while True:
        ink = any_colour(rng)
        if sum(abs(a - b) for a, b in zip(ground, ink, strict=True)) > 150:
            return ground, ink


def canvas(rng: Random) -> tuple[Image.Image, ImageDraw.ImageDraw, Colour]:
    """A picture of one colour, what to draw on it with, and a colour that shows there."""
    ground, ink = two_colours(rng)
    image = Image.new("RGB", size_of(rng), ground)
    return image, ImageDraw.Draw(image), ink


def any_point(image: Image.Image, rng: Random) -> tuple[float, float]:
    """Somewhere in the picture."""
    return float(rng.uniform(0, image.width)), float(rng.uniform(0, image.height))


def any_box(image: Image.Image, rng: Random) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box somewhere in the picture."""
    (left, top), (right, bottom) = any_point(image, rng), any_point(image, rng)
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def coordinates(rng: Random) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The rows' and columns' places, in -1…1, of a picture of any size."""
    width, height = size_of(rng)
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    return rows, columns


def blended(share: NDArray[np.float32], rng: Random) -> Image.Image:
    """From one colour to another, by a share in 0…1 per pixel."""
    ground, ink = (np.array(colour, np.float32) for colour in two_colours(rng))
    pixels = ground + np.clip(share, 0, 1)[..., None] * (ink - ground)
    return Image.fromarray(pixels.astype(np.uint8))


def scaled(pixels: NDArray[np.uint8], rng: Random) -> Image.Image:
    """A few pixels blown up to any size, as blocks or smoothly."""
    how = (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)[rng.integers(2)]
    return Image.fromarray(pixels).resize(size_of(rng), how)


def any_font(rng: Random, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """One of the system's fonts; Pillow's own, where there are none."""
    if not FONTS:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(FONTS[rng.integers(len(FONTS))]), size)


def any_words(rng: Random, length: int) -> str:
    """Letters, digits and spaces as they come."""
    letters = rng.choice(list(string.ascii_letters + string.digits + "     .,-"), length)
    return "".join(letters)
