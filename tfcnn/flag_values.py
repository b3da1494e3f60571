"""The values of flags that are texts: times, numbers of channels, whole numbers."""

from __future__ import annotations

from tfcnn.errors import BadInput
from tfcnn.options import LARGEST, number_of

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


def whole_number(text: str) -> int | None:
    """The number of a text of up to nine digits, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
