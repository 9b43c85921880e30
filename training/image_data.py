"""Pictures for training and measuring, brought to the model's size by the service's own lines."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.adapters.pillow_cutout import SIDE, product_pixels
from service.adapters.pillow_images import picture_of
from training.image_outliers import Family, outlier_of

Pixels = NDArray[np.uint8]  # (pictures, 28, 28); a quarter of what float32 takes
Photographer = Callable[[Pixels, np.random.Generator], bytes]

HELD_OUT = 5_000
PROCESSES = 2
CHUNK = 250


@dataclass(frozen=True)
class Products:
    """Fashion-MNIST's pictures, as they came, with their labels."""

    pixels: Pixels
    labels: NDArray[np.int64]

    def part(self, places: Any) -> "Products":
        """Those at the places."""
        return Products(self.pixels[places], self.labels[places])


def read_products(folder: Path, seed: int) -> tuple[Products, Products]:
    """Read the training split; part of it is held out. The test split is nobody's here."""
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())
    products = Products(
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, SIDE, SIDE),
        np.frombuffer(labels, np.uint8, offset=8).astype(np.int64),
    )
    order = np.random.default_rng(seed).permutation(len(products.labels))
    return products.part(order[HELD_OUT:]), products.part(order[:HELD_OUT])


def native(products: Products) -> Pixels:
    """The pictures as they came, through the preprocessing."""
    seen = [product_pixels(pixels[..., None] / np.float32(255)) for pixels in products.pixels]
    return _bytes(np.concatenate(seen))


def photographed(products: Products, photographer: Photographer, seed: int) -> Pixels:
    """Each product once, as a photo, decoded and preprocessed as an upload is."""
    chunks = [
        (photographer, products.pixels[start : start + CHUNK], (seed, start))
        for start in range(0, len(products.pixels), CHUNK)
    ]
    return _in_processes(_photos, chunks)


def outliers(families: Sequence[Family], each: int, seed: int) -> Pixels:
    """`each` pictures of every family, one family after the other."""
    chunks = [
        (family, min(CHUNK, each - start), (seed, number, start))
        for number, family in enumerate(families)
        for start in range(0, each, CHUNK)
    ]
    return _in_processes(_outliers, chunks)


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """All places below `count` in a random order, `size` at a time."""
    order = rng.permutation(count)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def _in_processes(work: Callable[..., Pixels], chunks: list[tuple[Any, ...]]) -> Pixels:
    with get_context("spawn").Pool(PROCESSES) as pool:
        return np.concatenate(pool.starmap(work, chunks, chunksize=1))


def _photos(photographer: Photographer, products: Pixels, seed: tuple[int, ...]) -> Pixels:
    rng = np.random.default_rng(seed)
    return _seen([photographer(product, rng) for product in products])


def _outliers(family: Family, count: int, seed: tuple[int, ...]) -> Pixels:
    rng = np.random.default_rng(seed)
    return _seen([outlier_of(family, rng) for _ in range(count)])


def _seen(bodies: list[bytes]) -> Pixels:
    return _bytes(np.concatenate([picture_of(body).pixels for body in bodies]))


def _bytes(pixels: NDArray[np.float32]) -> Pixels:
    return (pixels * 255).round().astype(np.uint8)
