"""The end of a classification network: global average pooling, dropout, logits, or one map a class and its average."""

from __future__ import annotations

import keras
from keras import layers

POOLING = {3: layers.GlobalAveragePooling1D, 4: layers.GlobalAveragePooling2D, 5: layers.GlobalAveragePooling3D}


def pool(x: keras.KerasTensor) -> keras.KerasTensor:
    """Mean over all positions, in float32. (..., c) -> (c,)"""
    return POOLING[len(x.shape)](dtype="float32")(x)


def classify(
    inputs: keras.KerasTensor, x: keras.KerasTensor, num_classes: int, *, dropout: float = 0.0, name: str | None = None
) -> keras.Model:
    """The model from `inputs` to float32 logits, or to the pooled features where num_classes is 0."""
    x = pool(x)
    if num_classes == 0:
        return keras.Model(inputs, x, name=name)
    if dropout:
        x = layers.Dropout(dropout, dtype="float32")(x)
    return keras.Model(inputs, logits(x, num_classes), name=name)


def classify_maps(
    inputs: keras.KerasTensor, x: keras.KerasTensor, num_classes: int, *, dropout: float = 0.0, name: str | None = None
) -> keras.Model:
    """As `classify`, without a dense layer: a 1x1 convolution, named `logits`, makes one map a class, then their means.

    ReLU follows that convolution, as Network in Network and SqueezeNet were published: no logit is negative. Its biases
    start from 1: starting from 0, a class soon falls below 0 on every image, where ReLU has no gradient.
    """
    if num_classes == 0:
        return classify(inputs, x, 0, name=name)
    if dropout:
        x = layers.Dropout(dropout)(x)
    score = layers.Conv2D(
        num_classes,
        1,
        activation="relu",
        kernel_initializer="he_normal",
        bias_initializer="ones",
        dtype="float32",
        name="logits",
    )
    return keras.Model(inputs, pool(score(x)), name=name)


def logits(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """The last dense layer, in float32, named `logits`. (c,) -> (num_classes,)"""
    return layers.Dense(num_classes, dtype="float32", name="logits")(x)
