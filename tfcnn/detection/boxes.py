"""Boxes: corners, areas, overlaps. NumPy only."""

from __future__ import annotations

import numpy as np


def box_iou(first, second):
    """Intersection over union of each box with each: float64 (n, 4), (m, 4) as x1, y1, x2, y2 -> (n, m)."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0, None)
    both = sides.prod(-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)
