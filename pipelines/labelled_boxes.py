"""Boxes with words, drawn into an image: each word beside its box and clear of the other words, where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from pipelines.text import elide

# Paul Tol's "bright" and "dark" colours, which differ without colour vision.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#222255", "#663333", "#225555", "#666633")
SMALLEST = 480  # pixels of the shorter side, to which smaller images are enlarged, so that words fit in
TEXT = 1 / 34  # height of the letters, as a share of the shorter side
LONGEST = 24  # characters of a word
Rectangle = tuple[float, float, float, float]  # x1, y1, x2, y2


class Labelled(NamedTuple):
    """A box to draw.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the image.
        text: beside it.
        number: of its colour.
    """

    box: Sequence[float]
    text: str
    number: int


def colour_of(number: int) -> str:
    """The colour of a class, as #rrggbb; classes beyond the tenth repeat them."""
    return COLOURS[number % len(COLOURS)]


def is_light(colour: str) -> bool:
    """Whether black is easier to read on a colour #rrggbb than white, by the luma of ITU-R BT.601."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140


def draw_boxes(image: np.ndarray, boxes: Sequence[Labelled], text: float = TEXT) -> np.ndarray:
    """Draw boxes into an image.

    Args:
        image: uint8 (height, width, 1 or 3).
        boxes: the first above the others; its word finds its place first.
        text: height of the letters, as a share of the shorter side.

    Returns:
        uint8 (height, width, 3), enlarged by a whole factor where the image is small.
    """
    height, width = image.shape[:2]
    factor = max(1, -(-SMALLEST // min(height, width)))
    pixels = np.broadcast_to(image, (height, width, 3))
    canvas = Image.fromarray(np.ascontiguousarray(pixels)).resize(
        (factor * width, factor * height), Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(canvas)
    size = max(10, round(min(canvas.size) * text))
    font = ImageFont.load_default(size)
    line = max(2, size // 6)
    rectangles = [_scaled(row.box, factor) for row in boxes]
    for row, rectangle in reversed(list(zip(boxes, rectangles, strict=True))):
        draw.rectangle(rectangle, outline="white", width=line + 2)
        draw.rectangle(_inside(rectangle, 1), outline=colour_of(row.number), width=line)
    taken: list[Rectangle] = []
    for row, rectangle in zip(boxes, rectangles, strict=True):
        words = elide(row.text, LONGEST)
        left, top, right, bottom = draw.textbbox((0, 0), words, font)
        place = _place(rectangle, (right - left + 2 * line, bottom - top + 2 * line), canvas.size, taken)
        taken.append(place)
        draw.rectangle(place, fill=colour_of(row.number), outline="white")
        ink = "black" if is_light(colour_of(row.number)) else "white"
        draw.text((place[0] + line - left, place[1] + line - top), words, ink, font)
    return np.asarray(canvas)


def _scaled(box: Sequence[float], factor: int) -> Rectangle:
    x1, y1, x2, y2 = (float(value) * factor for value in box)
    return x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)


def _inside(rectangle: Rectangle, margin: float) -> Rectangle:
    x1, y1, x2, y2 = rectangle
    return x1 + margin, y1 + margin, max(x2 - margin, x1 + margin), max(y2 - margin, y1 + margin)


def _place(box: Rectangle, size: tuple[float, float], canvas: tuple[int, int], taken: Sequence[Rectangle]) -> Rectangle:
    """Where a word stands: above its box, below it, inside, or else where it covers least of the others."""
    width, height = size
    x1, y1, x2, y2 = box
    corners = [
        (x, y)
        for y in (y1 - height, y2, y1, y2 - height, (y1 + y2 - height) / 2)
        for x in (x1, x2 - width, (x1 + x2 - width) / 2)
    ]
    places = []
    for x, y in corners:
        x = min(max(x, 0), canvas[0] - width - 1)
        y = min(max(y, 0), canvas[1] - height - 1)
        places.append((x, y, x + width, y + height))
    return min(places, key=lambda place: sum(_overlap(place, other) for other in taken))


def _overlap(first: Rectangle, second: Rectangle) -> float:
    """Pixels that two rectangles share."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0) * max(height, 0)
