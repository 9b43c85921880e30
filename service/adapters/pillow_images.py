"""Uploaded pictures, decoded within bounds of memory and time, whatever their bytes claim."""

import io
import re
import warnings
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from service.adapters.pillow_cutout import product_pixels
from service.predictions.domain import ImageTooLargeError, Picture, UnreadableImageError

# No TIFF: its decoder writes to standard error, between our log lines.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 40_000_000
MOST_DECODING_BYTES = 192 * 1024 * 1024

Floats: TypeAlias = NDArray[np.floating[Any]]

_UNKNOWN = "This is no picture that can be read. Send a JPEG, PNG, WebP, GIF or BMP file."
_DAMAGED = "This picture is damaged or incomplete and cannot be decoded."
_TOO_LARGE = "This picture has too many pixels to be decoded. Send a smaller one, of 10 megapixels."

_WORKING_SIDE = 224  # pixels of the longer side, at most: enough for a product in a corner
_STRIP_PIXELS = 1_000_000
_LOST_ON_WHITE = 0.65  # little could be seen on white of an object that is lighter

# A million tiny pieces are walked for many seconds, in Python. A large PNG takes 5,000 reads.
_MOST_READS = 10_000

# Some pieces cost more than their bytes: each scan of a JPEG goes over the whole picture, segments
# are copied behind the ones before, a profile is inflated. Photos have about 10, 20 and 1 of them.
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_COSTLY = (
    (_JPEG, re.compile(rb"\xff\xda"), 100),
    (_JPEG, re.compile(rb"\xff[\xe0-\xef]"), 2_000),
    (_PNG, re.compile(rb"iCCP"), 20),
)

# Measured: the canvas of an animation twice, the frame twice; the coefficients of three colours.
_WEBP_BYTES, _PROGRESSIVE_BYTES, _RASTER_BYTES = 16, 6, 4

_ORIENTATION = 0x0112  # EXIF's tag; 5 and more lie on their side
_UPRIGHT: dict[int, Callable[[Floats], Floats]] = {
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: np.rot90(picture, -1),
    7: lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}

# Pillow's limit stops what decodes while it opens; ours, below, has the last word. Its warnings are
# about metadata that nobody reads here; a filter set per call would race with other threads'.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
warnings.filterwarnings("ignore", module=r"PIL\.")


class _MeteredFile(io.BytesIO):
    """An upload that can be read in a limited number of pieces."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file does. Raises UnreadableImageError when it was called too often."""
        self.reads += 1
        if self.reads > _MOST_READS:
            raise UnreadableImageError(_DAMAGED)
        return super().read(size)


def picture_of(body: bytes) -> Picture:
    """Decode an upload's first frame; milliseconds of CPU, so never on the event loop.

    Raises UnreadableImageError unless it is a complete picture in one of FORMATS, and
    ImageTooLargeError, before any pixel is decoded, when that would take too much memory.
    """
    _refuse_floods(body)
    try:
        with Image.open(_MeteredFile(body), formats=FORMATS) as image:
            return _picture(image, body)
    except (ImageTooLargeError, UnreadableImageError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ImageTooLargeError(_TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise UnreadableImageError(_UNKNOWN) from error
    except Exception as error:
        raise UnreadableImageError(_DAMAGED) from error


def _picture(image: Image.Image, body: bytes) -> Picture:
    width, height = image.size
    _refuse_excess(image)
    colours = _colours(image)
    orientation = _orientation(image)
    if orientation in _UPRIGHT:
        colours = _UPRIGHT[orientation](colours)
    if orientation >= 5:
        width, height = height, width
    return Picture(width, height, product_pixels(colours), sha256(body).digest())


def _refuse_floods(body: bytes) -> None:
    """Refuse what would take minutes to walk through, whatever its size."""
    for magic, piece, most in _COSTLY:
        if body.startswith(magic) and len(piece.findall(body)) > most:
            raise UnreadableImageError(_DAMAGED)


def _refuse_excess(image: Image.Image) -> None:
    """Refuse what would take too much, from its header alone; have a JPEG decoded smaller."""
    pixels = image.width * image.height
    bytes_each = _WEBP_BYTES if image.format == "WEBP" else _RASTER_BYTES
    if image.format in {"JPEG", "MPO"}:
        image.draft(image.mode, (2 * _WORKING_SIDE, 2 * _WORKING_SIDE))
        bytes_each = _PROGRESSIVE_BYTES if "progressive" in image.info else 0
    drafted_bytes = image.width * image.height * _RASTER_BYTES
    if pixels > MOST_PIXELS or max(pixels * bytes_each, drafted_bytes) > MOST_DECODING_BYTES:
        raise ImageTooLargeError(_TOO_LARGE)


def _colours(image: Image.Image) -> Floats:
    """Decode to (height, width, colours) in 0…1, both sides at most _WORKING_SIDE."""
    if image.mode.startswith("I;16"):
        return _reduced(image, "I", "F")[..., None] / 65535
    if image.has_transparency_data:
        return _on_ground(_reduced(image, "RGBA") / 255)
    return _reduced(image, "RGB") / 255


def _reduced(image: Image.Image, *modes: str) -> Floats:
    """Convert and average, strip by strip: a second picture of full size is never in memory."""
    factor = -(-max(image.size) // _WORKING_SIDE)
    rows = max(1, _STRIP_PIXELS // image.width // factor) * factor
    strips = []
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        for mode in modes:
            strip = strip.convert(mode)
        strips.append(np.asarray(strip.reduce(factor), np.float32))
    return np.concatenate(strips)


def _on_ground(colours_alpha: Floats) -> Floats:
    """Put a cut-out object on white, as shops do; one that would vanish there, on black."""
    colours, alpha = colours_alpha[..., :3], colours_alpha[..., 3:]
    lightness = float((colours * alpha).sum() / max(3 * float(alpha.sum()), 1e-6))
    white = np.float32(lightness <= _LOST_ON_WHITE)
    return colours * alpha + white * (1 - alpha)


def _orientation(image: Image.Image) -> int:
    """How the camera was held; upright, when what it wrote down cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - the pixels are whole, whatever is wrong beside them
        return 1
