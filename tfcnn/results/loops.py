"""Loops over the examples of a batch in a graph that also holds a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def map_apart(function: Callable[[Any], Any], elements: Any, signature: Any) -> Any:
    """`tf.map_fn` in a function of its own.

    In a graph with a loop TensorFlow fuses no activation, and no bias of a depthwise convolution, with what comes
    before it: EfficientNet-B0 took a third longer. `benchmarks.inference` measures it, serve_files beside serve_ready.

    Args:
        function: of an element, to what `signature` describes.
        elements: a tensor, or several of the same length.
        signature: a `tf.TensorSpec` of the result, or several.
    """

    @tf.function(experimental_attributes={"_noinline": True})
    def run() -> Any:
        return tf.map_fn(function, elements, fn_output_signature=signature)

    return run()
