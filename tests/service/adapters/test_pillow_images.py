"""Uploads become what the model was taught on, or a plain refusal, whatever their bytes are."""

import io
import random
import struct
import subprocess
import sys
import zlib
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.adapters.pillow_images import FORMATS, MOST_PIXELS, picture_of
from service.predictions.domain import ImageTooLargeError, UnreadableImageError

MUTATIONS_PER_FILE = 25


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    body = io.BytesIO()
    image.save(body, kind, **options)
    return body.getvalue()


def drawing() -> NDArray[np.uint8]:
    """A boot, bright on black, filling its frame as Fashion-MNIST's pictures do."""
    drawn = np.zeros((28, 28), np.uint8)
    drawn[0:27, 3:13] = 160
    drawn[16:27, 3:27] = 220
    drawn[23:27, 1:28] = 255
    return drawn


def photo(side: int = 280, ground: int = 255, ink: int = 0) -> Image.Image:
    """The boot from a drawing, larger, with `ink` for what is brightest there, on a ground."""
    share = np.asarray(Image.fromarray(drawing()).resize((side, side)), np.float32) / 255
    gray = ground + share * (ink - ground)
    return Image.fromarray(gray.astype(np.uint8)).convert("RGB")


def with_margin(image: Image.Image, margin: int, ground: Any = "white") -> Image.Image:
    wide = Image.new(image.mode, (image.width + 2 * margin, image.height + 2 * margin), ground)
    wide.paste(image, (margin, margin))
    return wide


def far_from_the_drawing(body: bytes) -> float:
    """The mean difference between what the model would see and the drawing, in 0…1."""
    pixels = picture_of(body).pixels
    assert pixels.shape == (1, 28, 28)
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    return float(np.abs(pixels[0] - drawing() / 255).mean())


def png_chunk(kind: bytes, content: bytes = b"") -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def bare_png(width: int, height: int, content: bytes = b"") -> bytes:
    """The header of a gray PNG of any claimed size, and whatever is said to be its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*each) for each in chunks)


# What is refused.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"hello",
        b"\0" * 4096,
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
        b"P6 2 2 255\n" + bytes(12),
        b"%PDF-1.7\n" + file_of(photo(64)),
        file_of(photo(64), "ICO"),
        file_of(photo(64), "PPM"),
        file_of(photo(64), "TGA"),
        file_of(photo(64), "TIFF"),
    ],
)
def test_what_is_no_picture_of_a_known_kind_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableImageError, match=r"This is no picture.* JPEG, PNG,"):
        picture_of(body)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_never_half_an_answer(kind: str, kept: float) -> None:
    body = file_of(with_margin(photo(100), 20), kind)

    with pytest.raises(UnreadableImageError):
        picture_of(body[: int(len(body) * kept)])


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 9), (9, 0)])
def test_a_picture_without_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(UnreadableImageError):
        picture_of(bare_png(width, height))


@pytest.mark.parametrize(
    ("width", "height"),
    [(MOST_PIXELS + 1, 1), (8_000, 8_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)],
)
def test_huge_dimensions_are_refused_from_the_header_alone(width: int, height: int) -> None:
    with pytest.raises(ImageTooLargeError, match="too many pixels"):
        picture_of(bare_png(width, height, b"no pixels that could be decoded"))


@pytest.mark.parametrize(
    ("kind", "options"), [("WEBP", {"lossless": True}), ("GIF", {}), ("BMP", {})]
)
def test_the_limit_holds_for_every_kind(kind: str, options: dict[str, Any]) -> None:
    huge = Image.new("1" if kind == "BMP" else "L", (8_000, 5_001))

    with pytest.raises(ImageTooLargeError):
        picture_of(file_of(huge, kind, **options))


def test_a_progressive_photo_is_refused_earlier_as_it_takes_more_memory() -> None:
    huge = Image.new("L", (7_000, 5_000))

    assert picture_of(file_of(huge, "JPEG")).width == 7_000
    with pytest.raises(ImageTooLargeError):
        picture_of(file_of(huge, "JPEG", progressive=True))


JPEG_START, PNG_START = 2, 33  # where the head ends that has to come first


@pytest.mark.parametrize(
    ("kind", "start", "piece"),
    [
        ("JPEG", JPEG_START, b"\xff\xe1\x00\x09Exif\0\0x"),
        ("JPEG", JPEG_START, b"\xff\xfe\x00\x02"),
        ("JPEG", JPEG_START, b"\xff"),
        ("PNG", PNG_START, png_chunk(b"abCd")),
        ("PNG", PNG_START, png_chunk(b"iCCP", b"a\0\0" + zlib.compress(b""))),
    ],
)
def test_a_file_of_countless_pieces_is_refused_before_they_are_walked(
    kind: str, start: int, piece: bytes
) -> None:
    body = file_of(photo(64), kind)

    with pytest.raises(UnreadableImageError, match="damaged"):
        picture_of(body[:start] + piece * 900_000 + body[start:])


def test_a_photo_of_countless_scans_is_refused() -> None:
    body = file_of(photo(64), "JPEG", progressive=True)

    with pytest.raises(UnreadableImageError, match="damaged"):
        picture_of(body[:-2] + b"\xff\xda\x00\x02" * 900_000)


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_files_are_answered_or_refused_and_nothing_else(kind: str) -> None:
    chance = random.Random(5)
    whole = file_of(photo(48), kind)

    for _ in range(MUTATIONS_PER_FILE):
        body = mutated(whole, chance)
        try:
            picture = picture_of(body)
        except (UnreadableImageError, ImageTooLargeError) as error:
            refused = str(error)
            assert refused.startswith("This ")
        else:
            assert np.isfinite(picture.pixels).all()


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, the end cut off, or something put in between."""
    body = bytearray(whole)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[place] ^= 1 << chance.randrange(8)
            case 1:
                body[place] = chance.choice((0, 1, 127, 128, 255))
            case 2:
                body[place:place] = chance.randbytes(chance.randint(1, 9))
            case _:
                del body[place : place + chance.choice((1, 4, 4_000))]
        if not body:
            break
    return bytes(body)


def test_metadata_that_cannot_be_read_is_not_told_to_the_console() -> None:
    broken = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\x00\x02\xff\xff\xff\xff" * 9
    body = file_of(photo(64), "JPEG", exif=broken)
    bomb = bare_png(9_000, 9_000)
    program = (
        "import sys\n"
        "from service.adapters.pillow_images import picture_of\n"
        "from service.predictions.domain import ImageTooLargeError\n"
        f"picture_of({body!r})\n"
        f"try: picture_of({bomb!r})\n"
        "except ImageTooLargeError: print('refused')\n"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert told.stdout.decode().split() == ["refused"]
    assert told.stderr == b""


# What is read.


def test_a_picture_as_the_model_learnt_it_is_left_as_it_is() -> None:
    assert far_from_the_drawing(file_of(Image.fromarray(drawing()))) < 0.005


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("side", [56, 100, 300, 800])
def test_a_photo_on_white_is_seen_as_the_drawing_that_it_shows(kind: str, side: int) -> None:
    assert far_from_the_drawing(file_of(photo(side), kind)) < 0.05


@pytest.mark.parametrize(
    ("ground", "ink"), [("white", 0), ("white", 200), ("black", 255), ("black", 60), ("gray", 0)]
)
def test_ground_and_product_may_be_light_or_dark(ground: str, ink: int) -> None:
    level = {"white": 255, "black": 0, "gray": 128}[ground]

    assert far_from_the_drawing(file_of(photo(200, level, ink), "JPEG", quality=90)) < 0.05


@pytest.mark.parametrize("margin", [5, 60, 400])
def test_margins_are_cut_off(margin: int) -> None:
    body = file_of(with_margin(photo(200), margin), "JPEG", quality=90)

    assert far_from_the_drawing(body) < 0.07


def test_a_product_as_light_as_its_ground_is_seen_by_its_colour() -> None:
    share = np.asarray(Image.fromarray(drawing()).resize((200, 200)), np.float32)[..., None] / 255
    yellow = np.array([255, 255, 90], np.float32)
    colours = 255 + share * (yellow - 255)

    assert far_from_the_drawing(file_of(Image.fromarray(colours.astype(np.uint8)))) < 0.05


def test_light_that_falls_off_to_one_side_is_no_product() -> None:
    light = np.linspace(1, 0.8, 300, dtype=np.float32)[:, None, None]
    lit = np.asarray(with_margin(photo(200), 50), np.float32) * light

    assert far_from_the_drawing(file_of(Image.fromarray(lit.astype(np.uint8)))) < 0.08


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_every_kind_of_png_is_read(mode: str) -> None:
    gray = photo(200).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    else:
        image = gray.convert("RGB").convert(mode)

    near = 0.2 if mode == "1" else 0.05  # dots for grays
    assert far_from_the_drawing(file_of(image)) < near


def test_colours_for_the_press_are_read() -> None:
    assert far_from_the_drawing(file_of(photo(200).convert("CMYK"), "JPEG")) < 0.05


@pytest.mark.parametrize(("lightness", "seen_as_drawn"), [(0, True), (255, True)])
def test_a_cut_out_product_is_put_where_it_can_be_seen(
    lightness: int, *, seen_as_drawn: bool
) -> None:
    alpha = photo(200, ground=0, ink=255).convert("L")
    cut_out = Image.new("RGB", alpha.size, (lightness,) * 3)
    cut_out.putalpha(alpha)

    assert (far_from_the_drawing(file_of(cut_out)) < 0.05) is seen_as_drawn


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_colour_of_a_palette_may_be_none(kind: str) -> None:
    image = with_margin(photo(112), 20, "red").quantize(64)

    body = file_of(image, kind, transparency=image.getpixel((0, 0)))

    assert far_from_the_drawing(body) < 0.08


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    others = [photo(120).transpose(Image.Transpose.ROTATE_90), Image.new("RGB", (120, 120), "red")]

    body = file_of(photo(120), kind, save_all=True, append_images=others)

    assert far_from_the_drawing(body) < 0.05


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_camera_may_be_held_in_any_way(orientation: int, kind: str) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    shown = Image.new("RGB", (300, 200), "white")
    shown.paste(photo(200), (50, 0))
    taken = shown.transpose(undo[orientation]) if orientation in undo else shown
    exif = Image.Exif()
    exif[0x0112] = orientation

    body = file_of(taken, kind, exif=exif)

    assert (picture_of(body).width, picture_of(body).height) == (300, 200)
    assert far_from_the_drawing(body) < 0.07


def test_the_leading_bytes_decide_what_a_file_is() -> None:
    picture, other = file_of(photo(100)), file_of(Image.new("RGB", (9, 9), "red"), "JPEG")

    assert picture_of(picture + other + b"%PDF-1.7 <script>").width == 100
    assert picture_of(other + picture).width == 9


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 900), (900, 1), (3, 40_000), (28, 29)])
def test_any_shape_is_read(width: int, height: int) -> None:
    picture = picture_of(file_of(Image.new("RGB", (width, height), "teal")))

    assert (picture.width, picture.height) == (width, height)
    assert not picture.pixels.any()


@pytest.mark.parametrize("level", [0, 77, 255])
def test_where_there_is_only_ground_nothing_is_seen(level: int) -> None:
    plain = file_of(Image.new("RGB", (300, 200), (level,) * 3), "JPEG")

    assert not picture_of(plain).pixels.any()


def test_a_photo_of_many_pixels_is_read_at_its_full_size() -> None:
    picture = picture_of(file_of(photo(4_000), "JPEG"))

    assert (picture.width, picture.height) == (4_000, 4_000)


def test_an_upload_is_known_by_its_digest() -> None:
    body = file_of(photo(64))

    assert picture_of(body).sha256 == sha256(body).digest()
