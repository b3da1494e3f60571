"""Which true box a region stands for. NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfcnn.detection.boxes import box_iou, is_padding


class Matches(NamedTuple):
    """For each region its true box."""

    labels: np.ndarray  # int32 (r,): the box's class; the background below the threshold; -1 for a padded region
    boxes: np.ndarray  # float (r, 4): the box of largest IoU, whatever that is; rows of -1 without a true box
    ious: np.ndarray  # float (r,): 0 without a true box


def match(
    regions: np.ndarray, boxes: np.ndarray, labels: np.ndarray, background: int, threshold: float = 0.5
) -> Matches:
    """For each region the true box of largest IoU, the first of equals.

    Girshick et al., "Rich feature hierarchies" (2013), section 2.3: a region at the threshold or above is an example of
    its box's class, any other one of the background.

    Args:
        regions: float (r, 4) as x1, y1, x2, y2; rows of -1 are padding.
        boxes: float (n, 4), the truth; rows of -1 are padding.
        labels: int (n,), their classes.
        background: the number of the class of regions that stand for no box.
        threshold: of IoU.

    Returns:
        Matches, arrays over the regions.
    """
    is_box = ~is_padding(boxes)
    boxes = boxes[is_box]
    if len(boxes) == 0:
        boxes = np.full((1, 4), -1.0, boxes.dtype)
        classes = np.full(1, background)
    else:
        classes = labels[is_box]
    ious = box_iou(regions, boxes)
    best = ious.argmax(axis=1)
    best_ious = ious[np.arange(len(regions)), best]
    region_labels = np.where(best_ious >= threshold, classes[best], background)
    region_labels[is_padding(regions)] = -1
    return Matches(region_labels.astype("int32"), boxes[best], best_ious)
