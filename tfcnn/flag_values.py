"""The values of flags that are texts: times, numbers of channels, ranges, whole numbers, RandAugment."""

from __future__ import annotations

import math
import re

from tfcnn.errors import BadInput
from tfcnn.options import LARGEST, number_of

AUGMENTATIONS = ("light", "rand", "none")
SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """The value of --time in seconds. Raises BadInput.

    >>> seconds_of("90s"), seconds_of("1.5m"), seconds_of("2h")
    (90.0, 90.0, 7200.0)
    """
    number = number_of(text[:-1])
    unit = SECONDS.get(text[-1:])
    if unit is None or number is None or not 0 < number * unit <= LARGEST:
        raise BadInput(f"--time must be a number above 0 with s, m or h, as in 90s, 10m or 2h, got '{text}'")
    return float(number * unit)


def channel_numbers(text: str, positive: bool = False) -> tuple[float, ...] | None:
    """The numbers of --mean or --std for red, green and blue; None if they are not as they must be."""
    numbers = [number_of(part.strip()) for part in text.split(",")]
    if len(numbers) == 1:
        numbers *= 3
    values = [float(number) for number in numbers if number is not None and 0 <= number <= 1]
    if len(values) != 3 or len(numbers) != 3 or (positive and min(values) == 0):
        return None
    return tuple(values)


def range_of(text: str | None, high: float) -> tuple[float, float] | None:
    """The two numbers of --scale or --ratio, above 0 and at most `high`; None without, or if they are not so.

    >>> range_of("0.08,1", 1), range_of("1,0.5", 1)
    ((0.08, 1.0), None)
    """
    numbers = [number_of(part.strip()) for part in (text or "").split(",")]
    values = [float(number) for number in numbers if number is not None and 0 < number <= high]
    return (values[0], values[1]) if len(values) == len(numbers) == 2 and values[0] <= values[1] else None


def randaugment_of(text: str) -> tuple[int, float] | None:
    """The operations an image and their magnitude of timm's rand-m9-n2; None of light, rand and none.

    Of timm's other parts inc1 says what holds here, that all operations grow with the magnitude, and mstd0 that the
    magnitude is the same for all images.

    Raises:
        BadInput: another text, or a part that is not possible here.

    >>> randaugment_of("rand-m7-n3-inc1"), randaugment_of("rand-m5"), randaugment_of("rand")
    ((3, 7.0), (2, 5.0), None)
    """
    if text in AUGMENTATIONS:
        return None
    name, *parts = text.split("-")
    operations, magnitude = 2, 9.0
    if name != "rand":
        raise BadInput(f"--aa must be one of {', '.join(AUGMENTATIONS)}, or as rand-m9-n2, got '{text}'")
    for part in parts:
        match = re.fullmatch(r"(m|n)(\d{1,2}(?:\.\d{1,6})?)", part, re.ASCII)
        number = float(match[2]) if match else math.inf
        if match and match[1] == "m" and number <= 10:
            magnitude = number
        elif match and match[1] == "n" and number in (1, 2, 3, 4):
            operations = int(number)
        elif part not in ("inc1", "mstd0"):
            raise BadInput(
                f"--aa {text}: m is a magnitude from 0 to 10 and n a number of operations from 1 to 4, the same for "
                f"all images; leave '{part}' out or change it"
            )
    return operations, magnitude


def whole_number(text: str) -> int | None:
    """The number of a text of up to nine digits, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
