"""Pictures that no client should send: mutated ones, and bombs."""

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from PIL import Image

from tests.integration.mutations import mutated
from tests.integration.predicting import Question, photo, upload

HUGE = 60_000  # pixels of each side
MIB = 1024 * 1024

_SIDE = 64
_KINDS = ("image/png", "image/jpeg", "image/webp", "application/octet-stream")


def broken_pictures(how_many: int) -> Iterator[Question]:
    """Uploads with something wrong in the file or, of one in ten, in the form around it."""
    dice = random.Random(1)
    whole = list(_pictures())
    for number in range(how_many):
        picture = dice.choice(whole)
        if number % 10:
            yield upload(mutated(dice, picture, dice.choice(whole)), kind=dice.choice(_KINDS))
        else:
            form = upload(picture)
            yield replace(form, body=mutated(dice, form.body, form.body[:200]))


def huge_pictures() -> dict[str, bytes]:
    """A few bytes each, which say that there are more pixels than anybody decodes."""
    jpeg = bytearray(photo("JPEG", _SIDE))
    size_in_jpeg = jpeg.index(b"\xff\xc0") + 5
    jpeg[size_in_jpeg : size_in_jpeg + 4] = struct.pack(">HH", HUGE, HUGE)
    bmp = bytearray(photo("BMP", _SIDE))
    bmp[18:26] = struct.pack("<ii", HUGE, HUGE)
    gif = bytearray(photo("GIF", _SIDE))
    gif[6:10] = struct.pack("<HH", HUGE, HUGE)
    return {
        "PNG": _png(HUGE, HUGE, zlib.compress(bytes(1000))),
        "PNG with all its pixels": _png(28_000, 28_000, zlib.compress(bytes(28_000 * 3_501))),
        "JPEG": bytes(jpeg),
        "BMP": bytes(bmp),
        "GIF": bytes(gif),
        "WebP": _webp(16_383, 16_383),
    }


def bombs() -> dict[str, bytes]:
    """Files with far more inside than it looks, or with far too much around it."""
    zeros = bytes(64 * MIB)
    packed = zlib.compress(zeros)
    plain = zlib.compress(bytes(_SIDE * (_SIDE + 1)))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("photo.png", zeros)
    return {
        "PNG with more pixels than it says": _png(_SIDE, _SIDE, packed),
        "PNG with a packed profile": _png(_SIDE, _SIDE, plain, _chunk(b"iCCP", b"p\0\0" + packed)),
        "PNG with packed texts": _png(_SIDE, _SIDE, plain, _chunk(b"zTXt", b"t\0\0" + packed) * 50),
        "PNG of many chunks": _png(_SIDE, _SIDE, plain, _chunk(b"tEXt", b"a\0") * 700_000),
        "GIF of many frames": _saved(
            Image.new("L", (8, 8)),
            "GIF",
            save_all=True,
            append_images=[Image.new("L", (8, 8), number % 256) for number in range(1000)],
        ),
        "JPEG of many scans": photo("JPEG", _SIDE, progressive=True)
        + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 900_000,
        "zip": archive.getvalue(),
        "gzip": gzip.compress(zeros),
        "XML": b'<!DOCTYPE a [<!ENTITY b "' + b"lol" * 1000 + b'">]><svg>' + b"&b;" * 100_000,
    }


def _pictures() -> Iterator[bytes]:
    for format_name in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        yield photo(format_name, _SIDE)
    yield photo("JPEG", _SIDE, progressive=True)
    yield photo("WEBP", _SIDE, lossless=True)
    with Image.open(io.BytesIO(photo("PNG", _SIDE))) as shirt:
        yield _saved(shirt.convert("P"), "PNG")
        yield _saved(shirt.convert("RGBA"), "PNG")
        yield _saved(shirt.convert("L").convert("I;16"), "PNG")
        yield _saved(shirt.convert("CMYK"), "JPEG")
        yield _saved(shirt, "GIF", save_all=True, append_images=[shirt.rotate(90)])


def _saved(picture: Image.Image, format_name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_name, **options)
    return file.getvalue()


def _png(width: int, height: int, pixels: bytes, more: bytes = b"") -> bytes:
    """Gray, of one bit if it is large."""
    depth = 1 if width > _SIDE else 8
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    end = _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + more + end


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def _webp(width: int, height: int) -> bytes:
    """Lossless, with nothing behind its size."""
    stream = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(32)
    chunk = b"VP8L" + struct.pack("<I", len(stream)) + stream + b"\0" * (len(stream) % 2)
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk
