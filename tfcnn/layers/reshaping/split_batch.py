"""The batch axis, split as that of another tensor."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfcnn")
class SplitBatch(keras.layers.Layer):
    """Splits the batch axis into two: the results for parts of examples, which a network took one by one.

    keras.layers.Reshape keeps the batch axis, and an operation cannot take sizes that are not known when the model is
    built.

    Input shape:
        [x, like]: (batch * n, ...), the n parts of each example in turn, and (batch, n, ...).

    Output shape:
        (batch, n, ...), the layer's dtype.

    Example:
        >>> import numpy as np
        >>> SplitBatch()([np.zeros((6, 5)), np.zeros((2, 3, 4))]).shape
        TensorShape([2, 3, 5])
    """

    def call(self, inputs: Any) -> Any:
        x, like = inputs
        return ops.reshape(x, (*ops.shape(like)[:2], *ops.shape(x)[1:]))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        x, like = input_shape
        return (*like[:2], *x[1:])
