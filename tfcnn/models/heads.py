"""The end of a network: global average pooling, dropout, logits; one map a class and its average; classes and boxes."""

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


def detect(x: keras.KerasTensor, num_classes: int, boxes: keras.KerasTensor | None = None) -> keras.KerasTensor:
    """The logits of K classes and the background, then the displacements of a box for each class, in float32.

    The displacements are computed from `boxes`, by default from `x` too. The scales of the random start are those of
    Girshick, "Fast R-CNN" (2015), section 4.2. (..., c) -> (..., K + 1 + 4 K)
    """
    classes = layers.Dense(
        num_classes + 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), dtype="float32", name="logits"
    )
    displacements = layers.Dense(
        4 * num_classes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.001), dtype="float32", name="boxes"
    )
    return layers.Concatenate(dtype="float32")([classes(x), displacements(x if boxes is None else boxes)])
