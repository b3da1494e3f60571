"""The metrics by task, on logits, and the mean average precision of detections. keras.ops only, and NumPy.

`HEADLINES[task]` is the one number that progress lines, curves and the report of a run show.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from tfcnn.tasks import IGNORE_LABEL


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

    def __init__(self, num_classes, ignore_class=IGNORE_LABEL, name="mean_iou", dtype=None):
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
        super().update_state(ops.cast(right, self.dtype), ops.not_equal(y_true, IGNORE_LABEL))


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
