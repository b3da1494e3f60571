"""The losses of each task by name: those of the lectures, and those that Keras lacks. keras.ops only.

`LOSSES[task][name](smoothing)` is a loss on logits, in float32 under any policy of the layers; `loss` looks it up.

    sigmoid and cross-entropy   keras.losses.BinaryCrossentropy(from_logits=True); SigmoidCrossEntropy, below
    softmax and cross-entropy   keras.losses.CategoricalCrossentropy(from_logits=True)
    multiclass hinge            MulticlassHinge, below
    L2, mean squared error      keras.losses.MeanSquaredError
    L1, mean absolute error     keras.losses.MeanAbsoluteError
    smooth L1                   keras.losses.Huber(delta=1.0)

The slides (Imperial College, EE3-25, "Loss layer") have errors in some of these; the correct definitions:

* Binary cross-entropy is -(y log p + (1 - y) log(1 - p)). The slide's -y log p + (1 - y) log(1 - p) lacks the brackets
  and rewards a wrong answer for y = 0. Its example with p = 1 has a term 0 log 0; from logits nothing is undefined.
* The softmax of a score divides by the sum over the classes of one example; the slide's sum over i of the first term
  repeats the running index in the first exponent only. One example's loss is -log of the softmax of its true class.
* L2 is the squared difference; the slide also equates it with the norm, which is its root.
* Smooth L1 is d^2 / 2 where |d| < 1 and |d| - 1/2 beyond, which join in value and slope. The slide's "0.5 for
  |d| >= 0.5, else half of L2" jumps from 0.125 to 0.5 at |d| = 0.5 and has no gradient beyond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfcnn.errors import choose
from tfcnn.tasks import IGNORE_LABEL, TASKS


@keras.saving.register_keras_serializable(package="tfcnn")
class MulticlassHinge(keras.losses.Loss):
    """Sum over the wrong classes of max(0, score - score of the true class + margin).

    Weston & Watkins, "Support vector machines for multi-class pattern recognition" (1999), as on the slides.
    keras.losses.CategoricalHinge takes the worst class alone (Crammer & Singer), and takes 0 for it where all wrong
    scores are negative, so that scores of -1 for the true class and -5, -6 for the others cost 2 instead of 0.

    Args:
        margin: the lead of the true class at which the loss is 0, above 0.

    Input shape:
        y_true (..., classes), one-hot; y_pred (..., classes), scores.

    Output shape:
        (...), reduced as `reduction` says.

    Raises:
        ValueError: margin not above 0.

    Example:
        >>> import numpy as np
        >>> loss = MulticlassHinge()(np.array([[0, 1, 0]]), np.array([[2.0, 2.5, -1.0]]))
        >>> float(loss)
        0.5
    """

    def __init__(
        self,
        margin: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "multiclass_hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if margin <= 0:
            raise ValueError(f"margin must be above 0, got {margin}")
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        true_score = ops.sum(y_true * y_pred, axis=-1, keepdims=True)
        excess = ops.relu(y_pred - true_score + self.margin)
        return ops.sum((1 - y_true) * excess, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin}


@keras.saving.register_keras_serializable(package="tfcnn")
class SigmoidCrossEntropy(keras.losses.Loss):
    """Binary cross-entropy of each class, averaged over the classes; smoothing is divided among them.

    A smoothed target is (1 - smoothing) y + smoothing / classes, as in the softmax loss and in Wightman et al., "ResNet
    strikes back" (2021). keras.losses.BinaryCrossentropy moves every target towards 1/2 instead: with smoothing 0.1
    each of a thousand classes would have the target 0.05.

    Args:
        smoothing: label smoothing, 0 ... 1.

    Input shape:
        y_true (..., classes), one-hot or soft; y_pred (..., classes), logits.

    Output shape:
        (...), reduced as `reduction` says.
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sigmoid_cross_entropy",
        dtype: str | None = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true = y_true * (1 - self.smoothing) + self.smoothing / y_pred.shape[-1]
        return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=True), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"smoothing": self.smoothing}


@keras.saving.register_keras_serializable(package="tfcnn")
class Focal(keras.losses.Loss):
    """-(1 - p)^gamma log p of the true class's probability p: examples that are learned already weigh little.

    Lin et al., "Focal loss for dense object detection" (2017), equation 4, with softmax in place of their sigmoid.
    keras.losses.CategoricalFocalCrossentropy clips p at 1e-7, so that an example as wrong as that has no gradient,
    takes no masks, and scales everything by 0.25.

    Args:
        gamma: 0 gives cross-entropy.
        smoothing: label smoothing of one-hot targets, 0 ... 1.

    Input shape:
        y_true (..., classes), one-hot or soft, or (...), whole numbers, 255 is ignored;
        y_pred (..., classes), logits.

    Output shape:
        (...), reduced as `reduction` says; a mean is over the positions that are not ignored, 0 if all are.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "focal",
        dtype: str | None = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.gamma = gamma
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        classes = y_pred.shape[-1]
        log_p = ops.log_softmax(y_pred)
        if len(y_true.shape) == len(y_pred.shape):
            y_true = y_true * (1 - self.smoothing) + self.smoothing / classes
            return -ops.sum(y_true * (1 - ops.exp(log_p)) ** self.gamma * log_p, axis=-1)
        y_true, valid = _one_hot(y_true, classes)
        return _scale_to_valid(-ops.sum(y_true * (1 - ops.exp(log_p)) ** self.gamma * log_p, axis=-1), valid)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"gamma": self.gamma, "smoothing": self.smoothing}


@keras.saving.register_keras_serializable(package="tfcnn")
class Dice(keras.losses.Loss):
    """1 - the mean over an image's classes of 2 sum(p g) / (sum(p^2) + sum(g^2)), p the softmax, g the mask.

    Milletari, Navab & Ahmadi, "V-Net" (2016), section 3, for each class that the image's mask has. keras.losses.Dice
    ignores no positions, and an absent class costs it a constant 1 that nothing can lower.

    Input shape:
        y_true (batch, ...), whole numbers, 255 is ignored; y_pred (batch, ..., classes), logits.

    Output shape:
        (batch,), reduced as `reduction` says; an image that is ignored everywhere costs 0.
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "dice", dtype: str | None = "float32"
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        mask, valid = _one_hot(y_true, y_pred.shape[-1])  # (b, ..., classes), (b, ...)
        p = ops.where(valid[..., None], ops.softmax(y_pred), 0.0)
        positions = tuple(range(1, len(y_pred.shape) - 1))
        area = ops.sum(mask, axis=positions)  # (b, classes)
        intersection = ops.sum(p * mask, axis=positions)
        overlap = 2 * intersection / ops.maximum(ops.sum(p * p, axis=positions) + area, 1e-7)
        present = ops.cast(area > 0, overlap.dtype)
        return ops.divide_no_nan(ops.sum(present * (1 - overlap), axis=-1), ops.sum(present, axis=-1))


@keras.saving.register_keras_serializable(package="tfcnn")
class DiceCrossEntropy(Dice):
    """`Dice` plus softmax cross-entropy, whose mean over the batch is over the positions that are not ignored.

    Input shape, output shape: those of `Dice`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice_cross_entropy",
        dtype: str | None = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        mask, valid = _one_hot(y_true, y_pred.shape[-1])
        cross_entropy = _scale_to_valid(-ops.sum(mask * ops.log_softmax(y_pred), axis=-1), valid)
        positions = tuple(range(1, len(cross_entropy.shape)))
        return super().call(y_true, y_pred) + ops.mean(cross_entropy, axis=positions)


@keras.saving.register_keras_serializable(package="tfcnn")
class MultiTask(keras.losses.Loss):
    """Softmax cross-entropy of a region's class, plus smooth L1 of its true class's displacements.

    Girshick, "Fast R-CNN" (2015), section 2.3, equations 1 to 3: L(p, u, t, v) = -log p_u + lambda [u < K] sum of
    smooth L1 (t_u - v) over dx, dy, dw, dh, with K, not 0, the number of the background.

    Args:
        balance: lambda; 0 leaves the boxes out, as in the fine-tuning of R-CNN.

    Input shape:
        y_true (batch, ..., 5): the class u, 0 ... K - 1, K for background, -1 for a region that does not count; then
        v, in the unit of the network's; y_pred (batch, ..., K + 1 + 4 K), logits, then the displacements of each class.

    Output shape:
        (batch,), reduced as `reduction` says: the mean over the regions of an image that count, 0 without one.
    """

    def __init__(
        self,
        balance: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "multi_task",
        dtype: str | None = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.balance = balance

    def call(self, y_true: Any, y_pred: Any) -> Any:
        classes = (y_pred.shape[-1] - 1) // 5
        label = ops.cast(y_true[..., 0], "int32")  # (batch, ...)
        one_hot = ops.one_hot(label, classes + 1, dtype=y_pred.dtype)  # all 0 for -1
        values = -ops.sum(one_hot * ops.log_softmax(y_pred[..., : classes + 1]), axis=-1)
        if self.balance:
            deltas = ops.reshape(y_pred[..., classes + 1 :], (*ops.shape(label), classes, 4))
            distance = ops.abs(deltas - y_true[..., None, 1:])
            smooth_l1 = ops.where(distance < 1, distance * distance / 2, distance - 0.5)
            values = values + self.balance * ops.sum(one_hot[..., :-1, None] * smooth_l1, axis=(-2, -1))
        valid = ops.cast(label >= 0, values.dtype)
        regions = tuple(range(1, len(values.shape)))
        return ops.divide_no_nan(ops.sum(valid * values, axis=regions), ops.sum(valid, axis=regions))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"balance": self.balance}


def _one_hot(labels: Any, classes: int) -> tuple[Any, Any]:
    """A mask as float32 (..., classes), zeros where it is ignored, and bool (...), where it is not."""
    valid = ops.not_equal(labels, IGNORE_LABEL)
    return ops.one_hot(ops.where(valid, ops.cast(labels, "int32"), -1), classes, dtype="float32"), valid


def _scale_to_valid(values: Any, valid: Any) -> Any:
    """`values`, 0 where not valid, scaled so that their mean is that of the valid ones; all 0 if there are none."""
    values = ops.where(valid, values, 0.0)
    return ops.divide_no_nan(values, ops.mean(ops.cast(valid, values.dtype)))


def cross_entropy(smoothing: float) -> keras.losses.Loss:
    """Softmax and cross-entropy, one-hot or soft targets."""
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, dtype="float32")


def mask_cross_entropy() -> keras.losses.Loss:
    """Softmax and cross-entropy of masks."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORE_LABEL, dtype="float32")


LOSSES: dict[str, dict[str, Callable[[float], keras.losses.Loss]]] = {
    "classification": {
        "cross_entropy": cross_entropy,
        "bce": SigmoidCrossEntropy,
        "hinge": lambda smoothing: MulticlassHinge(dtype="float32"),
        "focal": lambda smoothing: Focal(smoothing=smoothing),
    },
    "segmentation": {
        "cross_entropy": lambda smoothing: mask_cross_entropy(),
        "dice": lambda smoothing: Dice(),
        "dice_ce": lambda smoothing: DiceCrossEntropy(),
        "focal": lambda smoothing: Focal(),
    },
    "reconstruction": {
        "mse": lambda smoothing: keras.losses.MeanSquaredError(dtype="float32"),
        "mae": lambda smoothing: keras.losses.MeanAbsoluteError(dtype="float32"),
        "huber": lambda smoothing: keras.losses.Huber(delta=1.0, dtype="float32"),
    },
    "detection": {
        "multi_task": lambda smoothing: MultiTask(),
        "cross_entropy": lambda smoothing: MultiTask(balance=0.0),
    },
}


def loss(task: str, name: str | None = None, smoothing: float = 0.0) -> keras.losses.Loss:
    """The loss of a task by name, on logits or on the image that the network returns.

    Args:
        task: "classification" (targets one-hot or soft), "segmentation" (masks of whole numbers, 255 ignored) or
            "reconstruction" (images).
        name: one of `LOSSES[task]`; default: the first.
        smoothing: label smoothing of classification; the hinge ignores it.

    Raises:
        BadInput: the task has no loss of that name.
    """
    name = choose(f"loss of {task}", name or TASKS[task].losses[0], LOSSES[task], flag="--loss")
    return LOSSES[task][name](smoothing)
