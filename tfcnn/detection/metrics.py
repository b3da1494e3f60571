"""Mean average precision of detections. NumPy only."""

from __future__ import annotations

import numpy as np

from tfcnn.detection.boxes import box_iou

THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))  # of IoU, COCO's


def mean_average_precision(predictions, truths, thresholds=THRESHOLDS, most=100):
    """Average precision of detections as COCO has it: 101 recalls, averaged over the classes that the truths have.

    Lin et al., "Microsoft COCO" (2014) and the definition of its evaluation: in each image and class the detections,
    the best scores first and at most `most` of them, take the free box of largest IoU if that reaches the threshold.
    Precision at a recall is the best at that recall or a larger one. Crowds and sizes are not told apart.

    Args:
        predictions: for each image a dict of "boxes" (n, 4) as x1, y1, x2, y2, "scores" (n,), "labels" (n,).
        truths: for each image a dict of "boxes" (m, 4), "labels" (m,).
        thresholds: of IoU.
        most: detections of an image and class that count.

    Returns:
        dict: "map" over all thresholds, "ap50" (NaN if 0.5 is not among them), "per_class" (label -> mean over the
        thresholds). Without any box in the truths all are NaN and "per_class" is empty.

    Raises:
        ValueError: as many predictions as truths are not given.

    Example:
        >>> box = [[0, 0, 10, 10]]
        >>> found = [{"boxes": box, "scores": [0.9], "labels": [3]}]
        >>> mean_average_precision(found, [{"boxes": box, "labels": [3]}])["map"]
        1.0
    """
    if len(predictions) != len(truths):
        raise ValueError(f"predictions of {len(predictions)} images, truths of {len(truths)}")
    labels = sorted({int(label) for truth in truths for label in np.asarray(truth["labels"]).reshape(-1)})
    table = np.array([_average_precisions(predictions, truths, label, thresholds, most) for label in labels])
    if not labels:
        return {"map": float("nan"), "ap50": float("nan"), "per_class": {}}
    half = np.flatnonzero(np.isclose(thresholds, 0.5))
    return {
        "map": float(table.mean()),
        "ap50": float(table[:, half[0]].mean()) if len(half) else float("nan"),
        "per_class": dict(zip(labels, table.mean(1).tolist(), strict=True)),
    }


def _average_precisions(predictions, truths, label, thresholds, most):
    """The average precision of one class at each threshold."""
    scores, hits, boxes = [], [], 0
    for found, truth in zip(predictions, truths, strict=True):
        mine = np.asarray(found["labels"]).reshape(-1) == label
        score = np.asarray(found["scores"], "float64").reshape(-1)[mine]
        order = np.argsort(-score, kind="stable")[:most]
        true = np.asarray(truth["boxes"], "float64").reshape(-1, 4)[np.asarray(truth["labels"]).reshape(-1) == label]
        ious = box_iou(np.asarray(found["boxes"], "float64").reshape(-1, 4)[mine][order], true)
        scores.append(score[order])
        hits.append(np.array([_matched(ious, threshold) for threshold in thresholds]).reshape(len(thresholds), -1))
        boxes += len(true)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return [_interpolated(row[order], boxes) for row in np.concatenate(hits, axis=1)]


def _matched(ious, threshold):
    """For each detection, the best first, whether it takes a box that none before it took."""
    free, hits = np.ones(ious.shape[1], bool), []
    for row in ious:
        row = np.where(free, row, -1.0)
        best = row.argmax() if len(row) else None
        hits.append(best is not None and row[best] >= threshold)
        if hits[-1]:
            free[best] = False
    return hits


def _interpolated(hits, boxes):
    """Mean over the recalls 0, 0.01, ... 1 of the best precision at that recall or beyond, 0 where none is."""
    if len(hits) == 0:
        return 0.0
    right = np.cumsum(hits)
    recall, precision = right / boxes, right / np.arange(1, len(hits) + 1)
    best_beyond = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(best_beyond, 0.0)[place].mean())
