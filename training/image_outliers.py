"""What people upload that is no product, drawn by families: those that training sees."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from training.image_canvas import (
    Random,
    any_box,
    any_colour,
    any_font,
    any_point,
    any_words,
    blended,
    canvas,
    coordinates,
    scaled,
    size_of,
)
from training.image_photos import jpeg

Family = Callable[[Random], Image.Image]


def outlier_of(family: Family, rng: Random) -> bytes:
    """One picture of the family, as a JPEG of about 100 to 800 pixels."""
    drawn = family(rng).convert("RGB")
    if rng.random() < 0.2:
        drawn = drawn.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3)))
    colours = np.asarray(drawn, np.float32) / 255
    if rng.random() < 0.3:
        colours = colours + np.float32(rng.uniform(0, 0.04)) * rng.standard_normal(
            colours.shape, np.float32
        )
    return jpeg(colours, rng)


def solid(rng: Random) -> Image.Image:
    """One colour."""
    return Image.new("RGB", size_of(rng), any_colour(rng))


def gradient(rng: Random) -> Image.Image:
    """From one colour to another: along a line, or from a point."""
    rows, columns = coordinates(rng)
    angle = rng.uniform(0, 2 * np.pi)
    along = (rows * np.sin(angle) + columns * np.cos(angle) + 1) / 2
    row, column = rng.uniform(-1, 1, 2)
    around = np.hypot(rows - row, columns - column) / rng.uniform(0.5, 2)
    return blended(along if rng.random() < 0.5 else around.astype(np.float32), rng)


def pixel_noise(rng: Random) -> Image.Image:
    """Every pixel by itself: normal, uniform, or here and there black and white."""
    width, height = size_of(rng)
    shape = (height, width, 3 if rng.random() < 0.5 else 1)
    kind = rng.integers(3)
    if kind == 0:
        noise = rng.normal(rng.uniform(60, 200), rng.uniform(10, 90), shape)
    elif kind == 1:
        noise = rng.uniform(0, 256, shape)
    else:
        share = rng.uniform(0.001, 0.3)
        noise = np.where(rng.random(shape) < share, rng.integers(0, 2, shape) * 255, 128)
    return Image.fromarray(np.broadcast_to(noise.clip(0, 255), (height, width, 3)).astype(np.uint8))


def scaled_noise(rng: Random) -> Image.Image:
    """Noise of a coarser grain: blocks or clouds."""
    cells = rng.integers(2, 40, 2)
    shape = (*cells, 3) if rng.random() < 0.5 else tuple(cells)
    return scaled(rng.integers(0, 256, shape, dtype=np.uint8), rng)


def clouds(rng: Random) -> Image.Image:
    """Noise of all grains on top of each other; sometimes only its high parts, as islands."""
    octaves = [
        np.asarray(Image.fromarray(rng.random((n, n), np.float32)).resize((160, 160))) / n**0.7
        for n in (2, 4, 8, 16, 32, 64)
    ]
    total = np.sum(octaves, axis=0)
    share = (total - total.min()) / (total.max() - total.min())
    if rng.random() < 0.5:
        share = (share > rng.uniform(0.4, 0.8)) * (share if rng.random() < 0.5 else 1)
    return blended(share.astype(np.float32), rng).resize(size_of(rng))


def islands(rng: Random) -> Image.Image:
    """One or a few soft blobs, as out of focus things are."""
    rows, columns = coordinates(rng)
    share = np.zeros_like(rows)
    for _ in range(rng.integers(1, 5)):
        row, column = rng.uniform(-0.7, 0.7, 2)
        reach = rng.uniform(0.1, 0.7, 2)
        squared = ((rows - row) / reach[0]) ** 2 + ((columns - column) / reach[1]) ** 2
        share = np.maximum(share, np.exp(-(squared ** rng.uniform(0.5, 4))))
    return blended(share, rng)


def page(rng: Random) -> Image.Image:
    """Lines of text: a scanned page, a screen, a terminal."""
    image, draw, ink = canvas(rng)
    size = rng.uniform(0.03, 0.16) * image.height
    font, left = any_font(rng, max(6, size)), rng.uniform(0, 0.2) * image.width
    top = rng.uniform(0, 0.2) * image.height
    for line in range(rng.integers(2, 25)):
        y = top + line * size * 1.3
        if y > image.height:
            break
        draw.text((left, y), any_words(rng, int(rng.integers(3, 60))), ink, font)
    return image


def word(rng: Random) -> Image.Image:
    """A few large letters, as on a sign or a logo."""
    image, draw, ink = canvas(rng)
    length = int(rng.integers(1, 9))
    font = any_font(rng, image.width / length * rng.uniform(0.6, 1.6) + 6)
    text = any_words(rng, length).strip() or "?"
    where = rng.uniform(0, 0.2) * image.width, rng.uniform(0, 0.4) * image.height
    draw.text(where, text, ink, font)
    return image


def shapes(rng: Random) -> Image.Image:
    """Circles, rectangles, triangles; filled or not, one or several."""
    image, draw, ink = canvas(rng)
    for _ in range(rng.integers(1, 8)):
        colour = ink if rng.random() < 0.6 else any_colour(rng)
        fill = colour if rng.random() < 0.6 else None
        width = int(rng.integers(1, 2 + image.width // 20))
        kind = rng.integers(4)
        if kind == 0:
            draw.ellipse(any_box(image, rng), fill, colour, width)
        elif kind == 1:
            draw.rectangle(any_box(image, rng), fill, colour, width)
        elif kind == 2:
            corners = [any_point(image, rng) for _ in range(rng.integers(3, 8))]
            draw.polygon(corners, fill, colour, width)
        else:
            begin, end = sorted(rng.uniform(0, 360, 2).tolist())
            draw.arc(any_box(image, rng), begin, end, colour, width)
    return image


def one_shape(rng: Random) -> Image.Image:
    """A single figure in the middle, as products stand there."""
    image, draw, ink = canvas(rng)
    half = rng.uniform(0.1, 0.48, 2) * image.size
    middle = np.array(image.size) / 2 + rng.uniform(-0.05, 0.05, 2) * image.size
    box = (*(middle - half), *(middle + half))
    kind = rng.integers(4)
    if kind == 0:
        draw.ellipse(box, ink)
    elif kind == 1:
        draw.rectangle(box, ink)
    elif kind == 2:
        draw.rounded_rectangle(box, float(min(half)) * rng.uniform(0.1, 1), ink)
    else:
        sides, turn = int(rng.integers(3, 9)), rng.uniform(0, 360)
        draw.regular_polygon((*middle, float(min(half))), sides, turn, ink)
    return image


def lines(rng: Random) -> Image.Image:
    """Straight lines in all directions."""
    image, draw, ink = canvas(rng)
    for _ in range(rng.integers(1, 40)):
        width = int(rng.integers(1, 2 + image.width // 30))
        draw.line((any_point(image, rng), any_point(image, rng)), ink, width)
    return image


def checkerboard(rng: Random) -> Image.Image:
    """Two colours in turn, in squares or stripes, straight or turned."""
    rows, columns = coordinates(rng)
    angle = rng.uniform(0, np.pi) * rng.integers(2)
    across = rows * np.cos(angle) + columns * np.sin(angle)
    along = columns * np.cos(angle) - rows * np.sin(angle)
    count = rng.uniform(1, 20)
    squares = np.floor(across * count) + np.floor(along * count) * rng.integers(2)
    return blended((squares % 2).astype(np.float32), rng)


def waves(rng: Random) -> Image.Image:
    """A few waves on top of each other, as cloth, wood and water have them."""
    rows, columns = coordinates(rng)
    total = np.zeros_like(rows)
    for _ in range(rng.integers(1, 6)):
        frequency = rng.uniform(-30, 30, 2)
        total += np.sin(rows * frequency[0] + columns * frequency[1] + rng.uniform(0, 6))
    if rng.random() < 0.5:
        total += rng.normal(0, rng.uniform(0, 1), total.shape)
    return blended((total / np.abs(total).max() + 1) / 2, rng)


def cells(rng: Random) -> Image.Image:
    """Every pixel the colour of the nearest point, or its distance: stones, leather, scales."""
    points = rng.uniform(0, 1, (int(rng.integers(2, 60)), 2)).astype(np.float32)
    rows, columns = np.mgrid[0:1:96j, 0:1:96j].astype(np.float32)
    grid = np.stack([rows, columns], -1)
    distances = np.square(grid[:, :, None] - points).sum(-1)
    if rng.random() < 0.5:
        colours = rng.integers(0, 256, (len(points), 3), dtype=np.uint8)
        return scaled(colours[distances.argmin(-1)], rng)
    nearest = np.sqrt(distances.min(-1))
    return blended(nearest / nearest.max(), rng).resize(size_of(rng))


def chart(rng: Random) -> Image.Image:
    """Bars, with axes and a caption: a picture out of a report."""
    image, draw, ink = canvas(rng)
    count = int(rng.integers(2, 12))
    for bar, height in enumerate(rng.uniform(0.05, 0.8, count)):
        left = image.width * (0.1 + 0.85 * bar / count)
        right = left + image.width * 0.85 / count * rng.uniform(0.4, 0.95)
        draw.rectangle((left, image.height * (0.9 - height), right, image.height * 0.9), ink)
    draw.line((image.width * 0.1, 0, image.width * 0.1, image.height * 0.9), ink)
    draw.text(
        (image.width * 0.3, 2), any_words(rng, 12), ink, any_font(rng, 6 + image.height * 0.05)
    )
    return image


def windows(rng: Random) -> Image.Image:
    """Panels, headings and text in boxes: a screenshot."""
    image, draw, ink = canvas(rng)
    for _ in range(rng.integers(2, 8)):
        box = any_box(image, rng)
        draw.rectangle(box, any_colour(rng) if rng.random() < 0.5 else None, ink)
        font = any_font(rng, 6 + image.height * rng.uniform(0.02, 0.06))
        for line in range(rng.integers(0, 6)):
            draw.text((box[0] + 3, box[1] + 3 + line * 14), any_words(rng, 14), ink, font)
    return image


def code(rng: Random) -> Image.Image:
    """Black and white modules: a QR or a bar code."""
    count = int(rng.integers(8, 42))
    shape = (count, count) if rng.random() < 0.6 else (1, count)
    modules = np.pad(rng.integers(0, 2, shape), 2 if shape[0] > 1 else 0).astype(np.float32)
    return blended(modules, rng).resize(size_of(rng), Image.Resampling.NEAREST)


TRAINED: tuple[Family, ...] = (
    solid, gradient, pixel_noise, scaled_noise, clouds, islands, page, word, shapes, one_shape,
    lines, checkerboard, waves, cells, chart, windows, code,
)  # fmt: skip
