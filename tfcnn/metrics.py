"""The metrics of each task, on logits. keras.ops and NumPy only.

`METRICS[task](outputs, std)` are those of a task. The first is that of `tasks.TASKS[task].watched`, which stands in the
progress lines and curves of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcnn.tasks import IGNORE_LABEL


@keras.saving.register_keras_serializable(package="tfcnn")
class MeanIoU(keras.metrics.MeanIoU):
    """Intersection over union of each class, averaged over the classes that the masks or the predictions have.

    keras.metrics.MeanIoU for logits (batch, ..., classes) and masks (batch, ...) of whole numbers.

    Args:
        num_classes: number of classes.
        ignore_class: the label of positions that do not count.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_class: int | None = IGNORE_LABEL,
        name: str = "mean_iou",
        dtype: str | None = None,
    ) -> None:
        super().__init__(num_classes, name=name, dtype=dtype, ignore_class=ignore_class, sparse_y_pred=False)

    def per_class(self) -> np.ndarray:
        """float64 (classes,); NaN for a class that neither a mask nor a prediction has."""
        counts = ops.convert_to_numpy(self.total_cm).astype("float64")
        intersection = counts.diagonal()
        union = counts.sum(0) + counts.sum(1) - intersection
        return np.divide(intersection, union, out=np.full_like(intersection, np.nan), where=union > 0)

    def get_config(self) -> dict[str, Any]:
        return {name: super(MeanIoU, self).get_config()[name] for name in ("num_classes", "ignore_class", "name")}


@keras.saving.register_keras_serializable(package="tfcnn")
class PixelAccuracy(keras.metrics.Mean):
    """Share of the positions whose largest logit is that of their label; positions of label 255 do not count.

    Input: masks (batch, ...) of whole numbers and logits (batch, ..., classes).
    """

    def __init__(self, name: str = "pixel_accuracy", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        correct = ops.equal(ops.cast(y_true, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
        super().update_state(ops.cast(correct, self.dtype), ops.not_equal(y_true, IGNORE_LABEL))


@keras.saving.register_keras_serializable(package="tfcnn")
class PSNR(keras.metrics.Mean):
    """Peak signal-to-noise ratio in decibels, -10 log10 of an image's mean squared error, averaged over the images.

    Pixels are in 0 ... 1. An exact image counts as 100 dB.

    Args:
        std: of each channel, or one for all: the divisor of both images.
    """

    def __init__(self, std: Sequence[float] = (1.0,), name: str = "psnr", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.std = tuple(std)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        difference = (ops.cast(y_pred, self.dtype) - ops.cast(y_true, self.dtype)) * ops.array(self.std, self.dtype)
        error = ops.mean(ops.square(difference), axis=tuple(range(1, len(difference.shape))))
        super().update_state(-10 * ops.log10(ops.maximum(error, 1e-10)), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"std": self.std}


@keras.saving.register_keras_serializable(package="tfcnn")
class RegionAccuracy(keras.metrics.Mean):
    """Share of the regions whose largest logit is that of their class, the background included.

    Input: targets (batch, ..., 5), the class first, -1 for regions that do not count; outputs (batch, ..., 5 K + 1),
    the logits of K classes and the background first.
    """

    def __init__(self, name: str = "region_accuracy", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        classes = (y_pred.shape[-1] - 1) // 5
        label = ops.cast(y_true[..., 0], "int32")
        correct = ops.equal(label, ops.cast(ops.argmax(y_pred[..., : classes + 1], axis=-1), "int32"))
        super().update_state(ops.cast(correct, self.dtype), label >= 0)


def metrics_of_classification(outputs: int, std: Sequence[float]) -> list[keras.metrics.Metric]:
    """Accuracy, and from six classes on that of five guesses."""
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    if outputs <= 5:
        return [accuracy]
    return [accuracy, keras.metrics.TopKCategoricalAccuracy(5, name="top5")]


def metrics_of_segmentation(outputs: int, std: Sequence[float]) -> list[keras.metrics.Metric]:
    """Mean IoU and pixel accuracy."""
    return [MeanIoU(outputs), PixelAccuracy()]


def metrics_of_reconstruction(outputs: int, std: Sequence[float]) -> list[keras.metrics.Metric]:
    """The PSNR of pixels in 0 ... 1, and the mean absolute error of standardised ones."""
    return [PSNR(std), keras.metrics.MeanAbsoluteError(name="mae")]


def metrics_of_detection(outputs: int, std: Sequence[float]) -> list[keras.metrics.Metric]:
    """The accuracy of regions; mAP is of images and their detections: `tfcnn.detection.metrics`."""
    return [RegionAccuracy()]


# From the size of the network's last axis and the std of each channel, by which images were divided.
METRICS: dict[str, Callable[[int, Sequence[float]], list[keras.metrics.Metric]]] = {
    "classification": metrics_of_classification,
    "segmentation": metrics_of_segmentation,
    "reconstruction": metrics_of_reconstruction,
    "detection": metrics_of_detection,
}
