"""The gradients of biases in bfloat16, which TensorFlow sums up in bfloat16 on CPUs."""

from __future__ import annotations

from functools import cache
from typing import Any

import tensorflow as tf


@cache
def correct_bias_gradients() -> None:
    """Let TensorFlow sum up the gradients of biases in float32 where they are bfloat16, in this process from now on.

    Its kernel on CPUs, BiasAddGrad, adds one number after the other to a sum of eight bits: from 256 on it leaves out
    all that are smaller than 1. The sum of 18,432 numbers between 0 and 1 is 256 and not 9,216 (TensorFlow 2.21).
    `tf.reduce_sum` has a sum of float32, and is faster. Keras adds the biases of all layers with BiasAdd.
    """
    from tensorflow.python.framework import ops  # there is no public way to replace a gradient

    of_bias_add = ops.gradient_registry.lookup("BiasAdd")

    def gradient(operation: Any, upstream: Any) -> Any:
        if upstream.dtype != tf.bfloat16 or operation.get_attr("data_format") == b"NCHW":
            return of_bias_add(operation, upstream)
        return upstream, tf.reduce_sum(upstream, list(range(upstream.shape.rank - 1)))

    ops.gradient_registry._registry["BiasAdd"]["type"] = gradient
