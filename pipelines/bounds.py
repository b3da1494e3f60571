"""The bounds of the numbers that `pipelines.load` and `pipelines.show` take, and the memory of the machine.

`tfcnn.config.Config` has the same bounds for the same flags; a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from pipelines.errors import BadData

LARGEST = 2**31 - 1
RESPONSES = ("error", "skip")  # to a file that cannot be used


class Bounds(NamedTuple):
    """A finite number from `low` to `high`; `whole`: without a fraction."""

    flag: str
    low: float
    high: float
    whole: bool = False


BOUNDS = {
    "image_size": Bounds("--image-size", 1, 16384, whole=True),
    "batch_size": Bounds("--batch-size", 1, LARGEST, whole=True),
    "seed": Bounds("--seed", 0, LARGEST, whole=True),
    "data_memory": Bounds("--data-memory", 0, LARGEST, whole=True),
    "max_bad": Bounds("--max-bad", 0, 1),
    "hflip": Bounds("--hflip", 0, 1),
    "vflip": Bounds("--vflip", 0, 1),
    "color_jitter": Bounds("--color-jitter", 0, 1),
    "erase": Bounds("--reprob", 0, 1),
    "margin": Bounds("--crop-margin", 0, 1),
    "mixup": Bounds("--mixup", 0, 10),
    "cutmix": Bounds("--cutmix", 0, 10),
    # of pipelines.show alone
    "epoch": Bounds("--epoch", 0, LARGEST, whole=True),
    "count": Bounds("--count", 1, 1024, whole=True),
}


def check_number(name: str, value: Any) -> None:
    """Raises BadData unless a value is a number within the bounds of its name."""
    bounds = BOUNDS[name]
    if not _is_within(bounds, value):
        kind = "a whole number" if bounds.whole else "a number"
        raise BadData(f"{bounds.flag} must be {kind} at least {bounds.low} and at most {bounds.high}, got '{value}'")


def _is_within(bounds: Bounds, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return bounds.low <= value <= bounds.high and not (bounds.whole and value != math.floor(value))
    except TypeError:  # it is no number
        return False


def parse_number(name: str, text: str) -> float | int:
    """The number in the text of a flag. Raises BadData."""
    number: float | int | None
    try:
        number = int(text) if BOUNDS[name].whole else float(text)
    except ValueError:
        number = None
    if number is None:
        check_number(name, text)  # which refuses a text
    check_number(name, number)
    assert number is not None
    return number


def sides_of(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width of images from both, or from one number for the two. Raises BadData."""
    sides = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    if len(sides) != 2:
        raise BadData(f"--image-size must be one number, or HEIGHTxWIDTH, got '{size}'")
    for side in sides:
        check_number("image_size", side)
    height, width = map(int, sides)
    return height, width


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of images from the text of a flag.

    Raises:
        BadData: another form, or a number out of bounds.

    >>> parse_size("96"), parse_size("96x160")
    ((96, 96), (96, 160))
    """
    height, cross, width = text.lower().partition("x")
    return sides_of([int(parse_number("image_size", side)) for side in (height, width if cross else height)])


def check_memory(shape: Sequence[int], batch_size: int) -> None:
    """Raises BadData where the pixels of one batch, float32, take more than the memory of this machine.

    Args:
        shape: of one example.
        batch_size: examples.
    """
    import psutil

    size = 4 * batch_size * math.prod(shape)
    memory = psutil.virtual_memory().total
    if size > memory:
        raise BadData(
            f"a batch of {batch_size} examples of {'x'.join(map(str, shape))} takes {size / 2**30:,.0f} GiB, and this "
            f"machine has {memory / 2**30:,.0f} GiB of memory: lower --image-size or --batch-size"
        )
