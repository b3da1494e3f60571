"""The effective receptive field: how much each pixel matters to a unit."""

from __future__ import annotations

import keras
import numpy as np

from tfcnn import graph
from tfcnn.receptive_field.theoretical import centre, find_step


def empirical_receptive_field(
    model: keras.Model,
    layer: str | keras.layers.Layer | None = None,
    images: np.ndarray | int = 8,
    seed: int = 0,
) -> np.ndarray:
    """How much each pixel matters to the centre of a layer's output: mean absolute gradient, the largest being 1.

    Luo, Li, Urtasun & Zemel, "Understanding the effective receptive field in deep convolutional neural networks"
    (2016), section 2: it is far smaller than the theoretical field, and Gaussian. The gradient is that of the sum of
    the unit's channels, the model in inference. Needs TensorFlow, and a model with weights.

    Args:
        model: a built functional or sequential model of images, (height, width, channels) known.
        layer: as in `receptive_field`.
        images: (number, height, width, channels), or how many images of standard normal noise to draw.
        seed: seed of the noise.

    Returns:
        (height, width), float32; all zeros where no gradient arrives.

    Raises:
        ValueError: as in `window`, or the input is no image of a known size.
    """
    import tensorflow as tf  # the rest of the house's networks runs without it

    model_graph = graph.read(model)
    shape = tuple(model_graph.inputs[0].shape[1:])
    if len(model_graph.inputs) != 1 or len(shape) != 3 or None in shape:
        raise ValueError(f"the model must have one input, images of a known size; got {model.input_shape}")
    step, field = find_step(model_graph, layer, windows_only=True)
    place = centre(step, field)
    if isinstance(images, int):
        images = np.random.default_rng(seed).standard_normal((images, *shape))
    total = np.zeros(shape[:2])
    for image in np.asarray(images, "float32")[:, None]:  # one at a time: every activation is kept for the gradient
        with tf.GradientTape() as tape:
            pixels = tf.constant(image)
            tape.watch(pixels)
            (output,) = graph.evaluate(model_graph, [pixels], step.outputs[:1])
            unit = tf.reduce_sum(output[(slice(None), *place)])
        gradient = tape.gradient(unit, pixels, unconnected_gradients="zero")
        total += np.abs(gradient.numpy()).mean((0, 3))
    return (total / (total.max() or 1)).astype("float32")
