"""The metrics by task, on logits, and the mean average precision of detections. keras.ops only, and NumPy.

`HEADLINES[task]` is the one number that progress lines, curves and the report of a run show.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from tfcnn.tasks import IGNORED


def metrics(task, outputs, std=(1.0,)):
    """The metrics of a task.

    Args:
        task: one of `HEADLINES`.
        outputs: size of the network's last axis.
        std: of each channel, by which images were divided: the PSNR is of pixels in 0 ... 1.

    Returns:
        list: keras.metrics.Metric, the headline's first.
    """
    if task == "segmentation":
        return [MeanIoU(outputs), PixelAccuracy()]
    if task == "reconstruction":
        return [PSNR(std), keras.metrics.MeanAbsoluteError(name="mae")]
    top5 = [keras.metrics.TopKCategoricalAccuracy(5, name="top5")] if outputs > 5 else []
    return [keras.metrics.CategoricalAccuracy(name="accuracy"), *top5]


@keras.saving.register_keras_serializable(package="tfcnn")
class MeanIoU(keras.metrics.MeanIoU):
    """Intersection over union of each class, averaged over the classes that the masks or the predictions have.

    Keras' own counts, set up for logits (batch, ..., classes) and masks (batch, ...) of whole numbers.

    Args:
        num_classes: how many.
        ignore_class: the label of positions that do not count.
    """

    def __init__(self, num_classes, ignore_class=IGNORED, name="mean_iou", dtype=None):
        super().__init__(num_classes, name=name, dtype=dtype, ignore_class=ignore_class, sparse_y_pred=False)

    def per_class(self):
        """float64 (classes,), a NumPy array; NaN for a class that neither a mask nor a prediction has."""
        counts = ops.convert_to_numpy(self.total_cm).astype("float64")
        both = counts.diagonal()
        union = counts.sum(0) + counts.sum(1) - both
        return np.divide(both, union, out=np.full_like(both, np.nan), where=union > 0)

    def get_config(self):
        return {name: super(MeanIoU, self).get_config()[name] for name in ("num_classes", "ignore_class", "name")}


@keras.saving.register_keras_serializable(package="tfcnn")
class PixelAccuracy(keras.metrics.Mean):
    """Share of the positions whose largest logit is that of their label; those of label 255 do not count.

    Input: masks (batch, ...) of whole numbers and logits (batch, ..., classes).
    """

    def __init__(self, name="pixel_accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        right = ops.equal(ops.cast(y_true, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
        super().update_state(ops.cast(right, self.dtype), ops.not_equal(y_true, IGNORED))


@keras.saving.register_keras_serializable(package="tfcnn")
class PSNR(keras.metrics.Mean):
    """Peak signal-to-noise ratio in decibels, -10 log10 of an image's mean squared error, averaged over the images.

    Of pixels in 0 ... 1. An image that is exact counts as 100 dB.

    Args:
        std: of each channel, or of all: what both images were divided by.
    """

    def __init__(self, std=(1.0,), name="psnr", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.std = tuple(std)

    def update_state(self, y_true, y_pred, sample_weight=None):
        difference = (ops.cast(y_pred, self.dtype) - ops.cast(y_true, self.dtype)) * ops.array(self.std, self.dtype)
        error = ops.mean(ops.square(difference), axis=tuple(range(1, len(difference.shape))))
        super().update_state(-10 * ops.log10(ops.maximum(error, 1e-10)), sample_weight)

    def get_config(self):
        return super().get_config() | {"std": self.std}


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


def box_iou(first, second):
    """Intersection over union of each box with each: float64 (n, 4), (m, 4) as x1, y1, x2, y2 -> (n, m)."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0, None)
    both = sides.prod(-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)
