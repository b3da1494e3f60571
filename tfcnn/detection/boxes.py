"""Boxes and their overlaps. NumPy only."""

from __future__ import annotations

import numpy as np


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with each: float64 (n, 4), (m, 4) as x1, y1, x2, y2 -> (n, m)."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0, None)
    intersection = sides.prod(-1)
    union = box_area(first)[:, None] + box_area(second)[None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Area of each box: (n, 4) as x1, y1, x2, y2 -> (n,)."""
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1)
