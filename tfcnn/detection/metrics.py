"""Mean average precision of detections. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfcnn.detection.boxes import box_iou

THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))  # of IoU, COCO's
Boxes = Mapping[str, ArrayLike]  # of one image: "boxes" (n, 4), "labels" (n,), and "scores" (n,) of detections


def mean_average_precision(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], thresholds: Sequence[float] = THRESHOLDS, most: int = 100
) -> dict[str, Any]:
    """COCO's average precision of detections: over 101 recalls, averaged over the classes that the truths have.

    Lin et al., "Microsoft COCO" (2014) and the definition of its evaluation: in each image and class the detections,
    at most `most` and the best scores first, take the free box of largest IoU if that reaches the threshold. Precision
    at a recall is the best at that recall or a larger one. Crowds and sizes are not told apart.

    Args:
        predictions: for each image a dict of "boxes" (n, 4) as x1, y1, x2, y2, "scores" (n,), "labels" (n,).
        truths: for each image a dict of "boxes" (m, 4), "labels" (m,).
        thresholds: of IoU.
        most: number of detections in an image and class that count.

    Returns:
        dict: "map" over all thresholds, "ap50" (NaN if 0.5 is not among them), "per_class" (label -> mean over the
        thresholds). Without any box in the truths all are NaN and "per_class" is empty.

    Raises:
        ValueError: predictions and truths differ in number.

    Example:
        >>> box = [[0, 0, 10, 10]]
        >>> detections = [{"boxes": box, "scores": [0.9], "labels": [3]}]
        >>> mean_average_precision(detections, [{"boxes": box, "labels": [3]}])["map"]
        1.0
    """
    if len(predictions) != len(truths):
        raise ValueError(f"predictions of {len(predictions)} images, truths of {len(truths)}")
    labels = sorted({int(label) for truth in truths for label in np.asarray(truth["labels"]).reshape(-1)})
    if not labels:
        return {"map": float("nan"), "ap50": float("nan"), "per_class": {}}
    table = np.array([_average_precisions(predictions, truths, label, thresholds, most) for label in labels])
    half = np.flatnonzero(np.isclose(thresholds, 0.5))
    return {
        "map": float(table.mean()),
        "ap50": float(table[:, half[0]].mean()) if len(half) else float("nan"),
        "per_class": dict(zip(labels, table.mean(1).tolist(), strict=True)),
    }


def precision_recall(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], label: int, threshold: float = 0.5, most: int = 100
) -> np.ndarray:
    """The best precision of a class's detections at each of the recalls 0, 0.01, ... 1 or a larger one: float64 (101,).

    Its mean is the average precision of `mean_average_precision`. The arguments are as there; NaN without a true box.
    """
    hits, count = _ranked_hits(predictions, truths, label, [threshold], most)
    return _best_precisions(hits[0], count) if count else np.full(101, np.nan)


def count_hits(prediction: Boxes, truth: Boxes, threshold: float) -> int:
    """The detections of an image that take a box of their class, as in `mean_average_precision`."""
    hits = 0
    for label in np.unique(np.asarray(truth["labels"])):
        ranked, _ = _ranked_hits([prediction], [truth], int(label), [threshold], len(np.asarray(prediction["labels"])))
        hits += int(ranked.sum())
    return hits


def _average_precisions(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], label: int, thresholds: Sequence[float], most: int
) -> list[float]:
    """The average precision of one class at each threshold."""
    hits, count = _ranked_hits(predictions, truths, label, thresholds, most)
    return [float(_best_precisions(row, count).mean()) for row in hits]


def _ranked_hits(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], label: int, thresholds: Sequence[float], most: int
) -> tuple[np.ndarray, int]:
    """Whether each detection of a class takes a box, bool (thresholds, detections), the best first; and the boxes."""
    all_scores = []
    all_hits = []  # of each image (thresholds, detections)
    count = 0
    for prediction, truth in zip(predictions, truths, strict=True):
        true_boxes = _boxes_of_class(truth, label)
        scores = np.asarray(prediction["scores"], "float64").reshape(-1)[_is_of_class(prediction, label)]
        order = np.argsort(-scores, kind="stable")[:most]
        ious = box_iou(_boxes_of_class(prediction, label)[order], true_boxes)
        hits = [_match(ious, threshold) for threshold in thresholds]
        all_scores.append(scores[order])
        all_hits.append(np.array(hits).reshape(len(thresholds), -1))
        count += len(true_boxes)
    order = np.argsort(-np.concatenate(all_scores), kind="stable")
    return np.concatenate(all_hits, axis=1)[:, order], count


def _is_of_class(image: Boxes, label: int) -> np.ndarray:
    return np.asarray(image["labels"]).reshape(-1) == label


def _boxes_of_class(image: Boxes, label: int) -> np.ndarray:
    """float64 (n, 4)."""
    return np.asarray(image["boxes"], "float64").reshape(-1, 4)[_is_of_class(image, label)]


def _match(ious: np.ndarray, threshold: float) -> list[bool]:
    """For each detection, the best first, whether it takes a box that none before it has taken."""
    free = np.ones(ious.shape[1], bool)
    hits = []
    for row in ious:
        row = np.where(free, row, -1.0)
        best = row.argmax() if len(row) else None
        hit = best is not None and bool(row[best] >= threshold)
        if hit:
            free[best] = False
        hits.append(hit)
    return hits


def _best_precisions(hits: np.ndarray, boxes: int) -> np.ndarray:
    """The best precision at each of the recalls 0, 0.01, ... 1 or beyond, 0 where there is none: float64 (101,)."""
    if len(hits) == 0:
        return np.zeros(101)
    true_positives = np.cumsum(hits)
    recall = true_positives / boxes
    precision = true_positives / np.arange(1, len(hits) + 1)
    best_beyond = np.maximum.accumulate(precision[::-1])[::-1]
    index = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return np.append(best_beyond, 0.0)[index]
