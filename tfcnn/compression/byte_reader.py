"""Bytes that are read in turn, and numbers of as many bytes as they need (LEB128)."""

from __future__ import annotations

import numpy as np


def number_bytes(number: int) -> bytes:
    """A whole number from 0 up, 7 bits a byte from the lowest on; the highest bit says that more follow.

    >>> number_bytes(5), number_bytes(300)
    (b'\\x05', b'\\xac\\x02')
    """
    octets = []
    while number >= 128:
        octets.append(number % 128 + 128)
        number //= 128
    return bytes([*octets, number])


class ByteReader:
    """Bytes of a file that may be damaged.

    Every method raises ValueError where the bytes end early.
    """

    def __init__(self, content: bytes):
        self.content = content
        self.place = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self.content) - self.place:
            raise ValueError("it ends early")
        self.place += count
        return self.content[self.place - count : self.place]

    def number(self, most: int) -> int:
        """The next number of `number_bytes`. Raises ValueError if it is above `most`."""
        number = 0
        shift = 0
        octet = 128
        while octet >= 128 and shift < 64:
            octet = self.take(1)[0]
            number += octet % 128 << shift
            shift += 7
        if number > most:
            raise ValueError(f"it has the number {number:,} where at most {most:,} is possible")
        return number

    def values(self, count: int, dtype: np.dtype) -> np.ndarray:
        """The next `count` values. Raises ValueError if one is not finite."""
        values = np.frombuffer(self.take(count * dtype.itemsize), dtype)
        if not np.isfinite(values).all():
            raise ValueError("it has a value that is not finite")
        return values
