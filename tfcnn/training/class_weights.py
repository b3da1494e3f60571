"""Classes of unequal size: their counts in words, and a loss that makes up for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcnn.config import Config
from tfcnn.tasks import IGNORE_LABEL

IMBALANCED = 1.5  # ratio of the largest class to the smallest, from which the log has a line
MOST_LISTED = 10  # classes


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """n / (k * count) for each of the k classes that have any of the n examples, as scikit-learn's "balanced".

    The mean weight of the examples is 1, so that the learning rate keeps its meaning. A class without a training
    example, which the validation split may have, weighs 1.

    >>> balanced_weights([10, 30, 0])
    [2.0, 0.6666666666666666, 1.0]
    """
    present = sum(count > 0 for count in counts)
    return [float(sum(counts) / (present * count)) if count else 1.0 for count in counts]


@keras.saving.register_keras_serializable(package="tfcnn")
class ClassWeighted(keras.losses.Loss):
    """A loss in which each example, or each pixel of a mask, has the weight of its class.

    Weighted values are averaged over the number of examples, as Keras' `class_weight` does, or of pixels that are not
    ignored. torch.nn.CrossEntropyLoss(weight) divides by the sum of the weights instead.

    Args:
        loss: with a value for each example or pixel.
        weights: of each class.

    Input shape:
        y_true (batch, classes), one-hot, or (batch, ...), whole numbers, 255 is ignored;
        y_pred (batch, ..., classes), logits.

    Output shape:
        (), the mean.
    """

    def __init__(self, loss: keras.losses.Loss, weights: Sequence[float], name: str = "class_weighted") -> None:
        super().__init__(name=name, dtype="float32")
        self.loss = loss
        self.weights = [float(weight) for weight in weights]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        own = self._weights_of(ops.convert_to_tensor(y_true), len(y_pred.shape))
        return self.loss(y_true, y_pred, sample_weight=own if sample_weight is None else own * sample_weight)

    def _weights_of(self, y_true: Any, rank: int) -> Any:
        """The weight of each example or pixel: (...)"""
        weights = ops.convert_to_tensor(self.weights, dtype="float32")
        if len(y_true.shape) == rank:
            return ops.sum(ops.cast(y_true, "float32") * weights, axis=-1)
        valid = ops.not_equal(y_true, IGNORE_LABEL)
        labels = ops.where(valid, ops.cast(y_true, "int32"), 0)
        return ops.where(valid, ops.take(weights, labels), 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"loss": keras.losses.serialize(self.loss), "weights": self.weights, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ClassWeighted:
        return cls(**config | {"loss": keras.losses.deserialize(config["loss"])})


def describe_classes(config: Config, facts: dict[str, Any]) -> str:
    """The sizes of the classes in words, and what is done about them; "" where they are similar and nothing is done.

    Args:
        config: of the run.
        facts: of `tfcnn.training.fit.build_model`: "classes", its "counts" and "weights", and "data".
    """
    counts = facts["classes"]["counts"]
    weights = facts["classes"]["weights"]
    if counts is None:
        return ""
    smallest = min(counts)
    largest = max(counts)
    if weights is None and config.class_sampling == "none" and largest <= IMBALANCED * smallest:
        return ""
    names = facts["data"]["class_names"]
    words = [f"'{name}' {count:,}" for name, count in zip(names, counts, strict=True)]
    listed = ", ".join(words)
    if len(names) > MOST_LISTED:
        listed = f"{words[int(np.argmin(counts))]} to {words[int(np.argmax(counts))]}"
    unit = "training pixels" if facts["data"]["task"] == "segmentation" else "training examples"
    ratio = f", {largest / smallest:.1f} to 1" if smallest else ""
    return f"{listed} {unit}{ratio}{_treatment(config, weights)}"


def _treatment(config: Config, weights: Sequence[float] | None) -> str:
    if weights is not None:
        return f"; weights in the loss {min(weights):.3g} to {max(weights):.3g} (--class-weights balanced)"
    if config.class_sampling == "balanced":
        return "; each class has the same share of an epoch (--class-sampling balanced)"
    return " (--class-weights balanced or --class-sampling balanced makes up for it)"
