"""What a network says of standardised inputs: its outputs as they are, or as probabilities."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfcnn.results import Facts, Outputs, Served

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf


def outputs_of(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """The outputs, float32 (batch, ...), for standardised inputs (batch, *image_shape)."""
    import numpy as np
    from keras import ops

    return np.asarray(ops.convert_to_numpy(model(inputs, training=False)), np.float32)


def probabilities_of(model: keras.Model, inputs: np.ndarray, facts: Facts) -> np.ndarray:
    """The softmax of the outputs: float32 (batch, classes), or (batch, ..., classes) of a map of the network's size."""
    from keras import ops

    return ops.convert_to_numpy(ops.softmax(outputs_of(model, inputs)))


def responding(
    serve: Callable[[keras.Model, Facts], Served],
) -> Callable[[keras.Model, Facts], Callable[[np.ndarray, np.ndarray], Outputs]]:
    """`Results.respond` of a task whose endpoint for files needs the network's outputs alone.

    Args:
        serve: `Results.serve` of the task.
    """

    def respond_with(model: keras.Model, facts: Facts) -> Callable[[np.ndarray, np.ndarray], Outputs]:
        import tensorflow as tf

        served = serve(model, facts)
        specs = [tf.TensorSpec((None, *facts["image_shape"]), tf.float32), tf.TensorSpec((None, 2), tf.int32)]

        @functools.partial(tf.function, autograph=False, input_signature=specs)
        def run(inputs: tf.Tensor, sizes: tf.Tensor) -> Outputs:
            return served.files(tf.cast(model(inputs, training=False), tf.float32), sizes)

        def respond(inputs: np.ndarray, sizes: np.ndarray) -> Outputs:
            count = len(inputs)
            outputs = run(pad_batch(inputs), pad_batch(sizes))
            return {name: tensor.numpy()[:count] for name, tensor in outputs.items()}

        return respond

    return respond_with


def pad_batch(array: np.ndarray) -> np.ndarray:
    """An array (batch, ...) with ones behind it, to a batch of 1, 2, 4, 8 ...

    TensorFlow's kernels prepare for each new size of a batch, which takes longer than to compute a few more examples.

    >>> import numpy as np
    >>> pad_batch(np.zeros((3, 2))).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    """
    import numpy as np

    count = 1
    while count < len(array):
        count *= 2
    return np.concatenate([array, np.ones((count - len(array), *array.shape[1:]), array.dtype)])
