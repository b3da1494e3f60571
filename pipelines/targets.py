"""What the targets of every task agree on."""

from __future__ import annotations

from typing import NamedTuple

IGNORE_LABEL = 255  # of mask pixels that belong to no class, and of those outside a moved or padded image


class Box(NamedTuple):
    """An object of an image: its class, and its corners in pixels, in continuous coordinates."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
