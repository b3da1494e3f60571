"""Greedy non-maximum suppression. NumPy only."""

from __future__ import annotations

import numpy as np

from tfcnn.detection.boxes import box_iou


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """The detections that remain when each removes those of lower score which overlap it by more than a threshold.

    Girshick et al., "Rich feature hierarchies" (2013), section 2.2.

    Args:
        boxes: float (n, 4) as x1, y1, x2, y2.
        scores: float (n,). Of equal scores the earlier counts as the higher one.
        threshold: of IoU; a box at the threshold stays.

    Returns:
        int64 (kept,): indices, the best score first.
    """
    remaining = np.argsort(-scores, kind="stable")
    kept = []
    while len(remaining):
        best = remaining[0]
        kept.append(best)
        others = remaining[1:]
        remaining = others[box_iou(boxes[best : best + 1], boxes[others])[0] <= threshold]
    return np.array(kept, "int64")


def suppress_by_class(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float) -> np.ndarray:
    """As `suppress`, among the detections of each class.

    Args:
        boxes: float (n, 4) as x1, y1, x2, y2.
        scores: float (n,).
        labels: int (n,).
        threshold: of IoU.

    Returns:
        int64 (kept,): indices of all classes, the best score first.
    """
    kept = [np.empty(0, "int64")]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        kept.append(members[suppress(boxes[members], scores[members], threshold)])
    indices = np.sort(np.concatenate(kept))
    return indices[np.argsort(-scores[indices], kind="stable")]
