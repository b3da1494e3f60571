"""Segmentation: a class for each position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tfcnn.results import Classes, Facts, Network, Options, Outputs, Results, Scores, Served

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data


def evaluate(model: keras.Model, data: Data, split: str, classes: Classes) -> Scores:
    """Not there yet."""
    raise NotImplementedError


def describe(result: Scores) -> str:
    """Not there yet."""
    raise NotImplementedError


def answer(outputs: np.ndarray, facts: Facts) -> np.ndarray:
    """Probabilities float32 (batch, height, width, classes)."""
    from keras import ops

    return ops.convert_to_numpy(ops.softmax(outputs))


def predict(network: Network, paths: Sequence[str], options: Options) -> Iterator[str]:
    """Not there yet."""
    raise NotImplementedError


def serve(model: keras.Model, facts: Facts) -> Served:
    """All endpoints return probabilities (batch, height, width, classes) and class (batch, height, width)."""
    import tensorflow as tf

    def ready(outputs: tf.Tensor) -> Outputs:
        probabilities = tf.nn.softmax(outputs)
        return {"probabilities": probabilities, "class": tf.argmax(probabilities, axis=-1)}

    def with_sizes(outputs: tf.Tensor, sizes: Any) -> Outputs:
        return ready(outputs)

    return Served(ready, with_sizes, with_sizes)


RESULTS = Results(
    evaluate=evaluate,
    describe=describe,
    pictures={},
    answer=answer,
    flags=(),
    predict=predict,
    serve=serve,
)
