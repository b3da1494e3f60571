"""The losses of the lectures, and the one of them that Keras lacks. keras.ops only.

    sigmoid and cross-entropy   keras.losses.BinaryCrossentropy(from_logits=True)
    softmax and cross-entropy   keras.losses.CategoricalCrossentropy(from_logits=True)
    multiclass hinge            MulticlassHinge, below
    L2, mean squared error      keras.losses.MeanSquaredError
    L1, mean absolute error     keras.losses.MeanAbsoluteError
    smooth L1                   keras.losses.Huber(delta=1.0)

The slides (Imperial College, EE3-25, "Loss layer") print some of these wrong; the right ones are:

* Binary cross-entropy is -(y log p + (1 - y) log(1 - p)). The slide's -y log p + (1 - y) log(1 - p) lacks the brackets
  and rewards a wrong answer for y = 0. Its example with p = 1 meets 0 log 0; from logits nothing is undefined.
* The softmax of a score divides by the sum over the classes of one example; the slide's sum over i of the first term
  repeats the running index in the first exponent only. One example's loss is -log of the softmax of its true class.
* L2 is the squared difference; the slide also equates it with the norm, which is its root.
* Smooth L1 is d^2 / 2 where |d| < 1 and |d| - 1/2 beyond, which join in value and slope. The slide's "0.5 for
  |d| >= 0.5, else half of L2" jumps from 0.125 to 0.5 at |d| = 0.5 and has no gradient beyond.
"""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfcnn")
class MulticlassHinge(keras.losses.Loss):
    """Sum over the wrong classes of max(0, score - score of the true class + margin).

    Weston & Watkins, "Support vector machines for multi-class pattern recognition" (1999), as on the slides.
    keras.losses.CategoricalHinge takes the worst class alone (Crammer & Singer), and takes 0 for it where all wrong
    scores are negative, so that scores of -1 for the true class and -5, -6 for the others cost 2 instead of 0.

    Args:
        margin: by which the true class has to lead, above 0.

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

    def __init__(self, margin=1.0, reduction="sum_over_batch_size", name="multiclass_hinge", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if margin <= 0:
            raise ValueError(f"margin must be above 0, got {margin}")
        self.margin = margin

    def call(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        true_score = ops.sum(y_true * y_pred, axis=-1, keepdims=True)
        excess = ops.relu(y_pred - true_score + self.margin)
        return ops.sum((1 - y_true) * excess, axis=-1)

    def get_config(self):
        return super().get_config() | {"margin": self.margin}
