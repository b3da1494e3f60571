"""Boxes, their overlaps, and boxes as displacements of regions. NumPy only.

A box is x1, y1, x2, y2 in pixels, in continuous coordinates: its width is x2 - x1. A row of -1 is padding.
"""

from __future__ import annotations

import numpy as np

LARGEST_SCALING = float(np.log(1000 / 16))  # of a region's side, as in Detectron: the exponential stays finite


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with each: float64 (n, 4), (m, 4) as x1, y1, x2, y2 -> (n, m)."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0, None)
    intersection = sides.prod(-1)
    union = box_area(first)[:, None] + box_area(second)[None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Area of each box: (..., 4) as x1, y1, x2, y2 -> (...)."""
    return np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)


def is_padding(boxes: np.ndarray) -> np.ndarray:
    """Whether each row is padding, all -1: (..., 4) -> bool (...)."""
    return np.all(boxes == -1, axis=-1)


def encode(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """The displacements that move each region to its box: the targets of box regression.

    Girshick et al., "Rich feature hierarchies" (2013), appendix C, equations 6 to 9.

    Args:
        boxes: float (..., 4) as x1, y1, x2, y2.
        regions: float (..., 4), of the same shape or one that broadcasts to it.

    Returns:
        float (..., 4): dx, dy of the centre in shares of the region's width and height, and dw, dh, the logarithms of
        the ratios of the sides; 0 where the box or the region is empty, as padding is.
    """
    boxes, regions = np.broadcast_arrays(boxes, regions)
    is_empty = np.any((_sides(boxes) <= 0) | (_sides(regions) <= 0), axis=-1, keepdims=True)
    sides = np.where(is_empty, 1, _sides(boxes))
    region_sides = np.where(is_empty, 1, _sides(regions))
    shifts = (_centres(boxes) - _centres(regions)) / region_sides
    return np.where(is_empty, 0, np.concatenate([shifts, np.log(sides / region_sides)], axis=-1))


def decode(deltas: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """The boxes that displacements make of regions: the inverse of `encode` (appendix C, equations 1 to 4).

    Args:
        deltas: float (..., 4), dx, dy, dw, dh of `encode`. A side grows at most 62.5 times.
        regions: float (..., 4) as x1, y1, x2, y2, of the same shape or one that broadcasts to it.

    Returns:
        float (..., 4) as x1, y1, x2, y2, not clipped; a padded region stays -1.
    """
    sides = _sides(regions)
    centres = _centres(regions) + deltas[..., :2] * sides
    halves = sides * np.exp(np.minimum(deltas[..., 2:], LARGEST_SCALING)) / 2
    return np.concatenate([centres - halves, centres + halves], axis=-1)


def clip(boxes: np.ndarray, height: float, width: float) -> np.ndarray:
    """Boxes (..., 4) cut at the borders of an image of height x width pixels; padding stays -1."""
    clipped = np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))
    return np.where(is_padding(boxes)[..., None], boxes, clipped)


def _sides(boxes: np.ndarray) -> np.ndarray:
    """Width and height: (..., 2)."""
    return boxes[..., 2:] - boxes[..., :2]


def _centres(boxes: np.ndarray) -> np.ndarray:
    """x and y: (..., 2)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2
