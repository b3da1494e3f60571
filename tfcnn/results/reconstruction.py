"""Reconstruction: an example from itself."""

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
    """Examples float32 (batch, *image_shape) in the range of the training data."""
    import numpy as np

    low, high = facts["value_range"]
    shares = outputs * np.asarray(facts["std"]) + np.asarray(facts["mean"])
    return np.clip(shares * (high - low) + low, low, high).astype(np.float32)


def predict(network: Network, paths: Sequence[str], options: Options) -> Iterator[str]:
    """Not there yet."""
    raise NotImplementedError


def serve(model: keras.Model, facts: Facts) -> Served:
    """All endpoints return the image (batch, *image_shape), in the range of the data."""
    import tensorflow as tf

    low, high = facts["value_range"]
    mean = tf.constant(facts["mean"], tf.float32)
    std = tf.constant(facts["std"], tf.float32)

    def ready(outputs: tf.Tensor) -> Outputs:
        return {"image": tf.clip_by_value((outputs * std + mean) * (high - low) + low, low, high)}

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
