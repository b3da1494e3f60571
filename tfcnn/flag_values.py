"""The values of flags that are texts: times, numbers of channels, ranges, whole numbers, RandAugment."""

from __future__ import annotations

import re

from tfcnn.errors import BadInput
from tfcnn.options import LARGEST, number_of

AUGMENTATIONS = ("light", "rand", "shift", "none")
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


def randaugment_of(text: str) -> tuple[int, float, float] | None:
    """The operations an image, their magnitude and its standard deviation of timm's rand-m9-n2-mstd0.5.

    None of one of AUGMENTATIONS. Of timm's other parts inc1 says what holds here: operations grow with the magnitude.

    Raises:
        BadInput: another text, or a part that is not possible here.

    >>> randaugment_of("rand-m7-n3-mstd0.5-inc1"), randaugment_of("rand-m5"), randaugment_of("rand")
    ((3, 7.0, 0.5), (2, 5.0, 0.0), None)
    """
    if text in AUGMENTATIONS:
        return None
    name, *parts = text.split("-")
    if name != "rand":
        raise BadInput(f"--aa must be one of {', '.join(AUGMENTATIONS)}, or as rand-m9-n2-mstd0.5, got '{text}'")
    values = {"n": 2.0, "mstd": 0.0, "inc": 1.0}
    for part in parts:
        match = re.fullmatch(r"(mstd|m|n|inc)(\d{1,2}(?:\.\d{1,6})?)", part, re.ASCII)
        if match is None:
            raise BadInput(f"--aa {text}: m9, n2, mstd0.5 and inc1 can follow rand-, got '{part}'")
        values[match[1]] = float(match[2])
    if not 0 <= values.get("m", -1) <= 10 or values["mstd"] > 10:
        raise BadInput(f"--aa {text} needs a magnitude from m0 to m10, and mstd from 0 to 10, as rand-m9-n2-mstd0.5")
    if values["n"] not in (1, 2, 3, 4) or values["inc"] != 1:
        raise BadInput(f"--aa {text} can have n1 to n4 operations, all of which grow with the magnitude (inc1)")
    return int(values["n"]), values["m"], values["mstd"]


def pixel_values_of(text: str | None) -> tuple[int, ...] | None:
    """The numbers of --mask-values, from 0 to 255 and different; None without, or if they are not so.

    >>> pixel_values_of("0,255"), pixel_values_of("0,0")
    ((0, 255), None)
    """
    parts = [part.strip() for part in (text or "").split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        return None
    numbers = tuple(map(int, parts))
    return numbers if 2 <= len(set(numbers)) == len(numbers) and max(numbers) <= 255 else None


def steps_of(text: str | None) -> tuple[int, int] | None:
    """The first and the last step of --profile, counted from 1; None without, or if it is not A-B.

    >>> steps_of("10-20"), steps_of("20-10")
    ((10, 20), None)
    """
    first, _, last = (text or "").partition("-")
    steps = (whole_number(first), whole_number(last))
    if steps[0] is None or steps[1] is None or not 1 <= steps[0] <= steps[1]:
        return None
    return steps[0], steps[1]


def whole_number(text: str) -> int | None:
    """The number of a text of up to nine digits, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
