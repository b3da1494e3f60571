"""Mean average precision of detections, and its curves. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfcnn.detection.boxes import box_iou

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())  # of IoU, COCO's
Boxes = Mapping[str, ArrayLike]  # of one image: "boxes" (n, 4), "labels" (n,), and "scores" (n,) of detections


class Curve(NamedTuple):
    """The precision and recall of one class as more and more of its detections count, the best scores first."""

    recall: np.ndarray  # float64 (detections,)
    precision: np.ndarray  # float64 (detections,)
    scores: np.ndarray  # float64 (detections,): the score of the last detection that counts
    average_precision: float


def mean_average_precision(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], thresholds: Sequence[float] = THRESHOLDS, most: int = 100
) -> dict[str, Any]:
    """COCO's average precision of detections: over 101 recalls, averaged over the classes that the truths have.

    Lin et al., "Microsoft COCO" (2014) and pycocotools, whose numbers for boxes of all sizes these are: in each image
    and class the detections, at most `most` and the best scores first, take the free box of largest IoU, the last of
    equals, if that reaches the threshold. Equal scores keep the order of images and of detections. Precision at a
    recall is the best at that recall or a larger one. Crowds are not supported: each true box is one object.

    Args:
        predictions: for each image a dict of "boxes" (n, 4) as x1, y1, x2, y2, "scores" (n,), "labels" (n,).
        truths: for each image a dict of "boxes" (m, 4), "labels" (m,). Rows of label -1 are padding, here and there.
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
    labels = _labels(predictions, truths)
    if not labels:
        return {"map": float("nan"), "ap50": float("nan"), "per_class": {}}
    rows = []
    for label in labels:
        ranking = _rank(predictions, truths, label, thresholds, most)
        rows.append([_average(*_precision_and_recall(hits, ranking.boxes)) for hits in ranking.hits])
    table = np.array(rows)
    half = np.flatnonzero(np.isclose(thresholds, 0.5))
    return {
        "map": float(table.mean()),
        "ap50": float(table[:, half[0]].mean()) if len(half) else float("nan"),
        "per_class": dict(zip(labels, table.mean(1).tolist(), strict=True)),
    }


def precision_recall(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], threshold: float = 0.5, most: int = 100
) -> dict[int, Curve]:
    """The curve of each class that the truths have, at one threshold of IoU.

    Args:
        predictions, truths, most: as in `mean_average_precision`.
        threshold: of IoU.

    Returns:
        dict: label -> Curve.

    Raises:
        ValueError: predictions and truths differ in number.

    Example:
        >>> box = [[0, 0, 10, 10]]
        >>> detections = [{"boxes": box, "scores": [0.9], "labels": [3]}]
        >>> precision_recall(detections, [{"boxes": box + [[20, 0, 30, 10]], "labels": [3, 3]}])[3].recall.tolist()
        [0.5]
    """
    curves = {}
    for label in _labels(predictions, truths):
        ranking = _rank(predictions, truths, label, (threshold,), most)
        precision, recall = _precision_and_recall(ranking.hits[0], ranking.boxes)
        curves[label] = Curve(recall, precision, ranking.scores, _average(precision, recall))
    return curves


class _Ranking(NamedTuple):
    """The detections of one class in all images, the best scores first."""

    scores: np.ndarray  # float64 (detections,)
    hits: np.ndarray  # bool (thresholds, detections): whether each takes a true box
    boxes: int  # of the class in the truths


def _labels(predictions: Sequence[Boxes], truths: Sequence[Boxes]) -> list[int]:
    """The classes that the truths have."""
    if len(predictions) != len(truths):
        raise ValueError(f"predictions of {len(predictions)} images, truths of {len(truths)}")
    labels = {int(label) for truth in truths for label in np.asarray(truth["labels"]).reshape(-1)}
    return sorted(labels - {-1})


def _rank(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], label: int, thresholds: Sequence[float], most: int
) -> _Ranking:
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
        all_hits.append(np.array(hits, bool).reshape(len(thresholds), -1))
        count += len(true_boxes)
    joined = np.concatenate(all_scores)
    order = np.argsort(-joined, kind="stable")
    return _Ranking(joined[order], np.concatenate(all_hits, axis=1)[:, order], count)


def _is_of_class(image: Boxes, label: int) -> np.ndarray:
    return np.asarray(image["labels"]).reshape(-1) == label


def _boxes_of_class(image: Boxes, label: int) -> np.ndarray:
    """float64 (n, 4)."""
    return np.asarray(image["boxes"], "float64").reshape(-1, 4)[_is_of_class(image, label)]


def _match(ious: np.ndarray, threshold: float) -> list[bool]:
    """For each detection, the best first, whether it takes a box that none before it has taken."""
    count = ious.shape[1]
    if count == 0:
        return [False] * len(ious)
    threshold = min(threshold, 1 - 1e-10)  # pycocotools' own bound: IoU is rounded
    free = np.ones(count, bool)
    hits = []
    for row in ious:
        best = count - 1 - np.where(free, row, -1.0)[::-1].argmax()  # of equals pycocotools takes the last
        hit = bool(free[best] and row[best] >= threshold)
        if hit:
            free[best] = False
        hits.append(hit)
    return hits


def _precision_and_recall(hits: np.ndarray, boxes: int) -> tuple[np.ndarray, np.ndarray]:
    """After each detection, the best first: float64 (detections,) each."""
    true_positives = np.cumsum(hits)
    return true_positives / np.arange(1, len(hits) + 1), true_positives / boxes


def _average(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean over the recalls 0, 0.01, ... 1 of the best precision at that recall or beyond, 0 where there is none."""
    best_beyond = np.maximum.accumulate(precision[::-1])[::-1]
    index = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(best_beyond, 0.0)[index].mean())
