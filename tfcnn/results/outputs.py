"""What a network says of standardised inputs: its outputs as they are, or as probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcnn.results import Facts

if TYPE_CHECKING:
    import keras
    import numpy as np


def outputs_of(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """The outputs, float32 (batch, ...), for standardised inputs (batch, *image_shape)."""
    import numpy as np
    from keras import ops

    return np.asarray(ops.convert_to_numpy(model(inputs, training=False)), np.float32)


def probabilities_of(model: keras.Model, inputs: np.ndarray, facts: Facts) -> np.ndarray:
    """The softmax of the outputs: float32 (batch, classes), or (batch, ..., classes) of a map of the network's size."""
    from keras import ops

    return ops.convert_to_numpy(ops.softmax(outputs_of(model, inputs)))
