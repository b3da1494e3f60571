"""VGG: Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014.

Table 1, columns A, B, D and E. `_bn` adds batch normalisation after each convolution, as torchvision's models
of that name do. Differences from the paper: none at 224x224; at other sizes the first dense layer takes the
last map as it is, so that a 32x32 image has a 1x1 map and a smaller head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.models.blocks import Style, bn
from tfcnn.models.heads import classify, logits

FILTERS = (64, 128, 256, 512, 512)
# Table 1: convolutions in each of the five blocks.
A = (1, 1, 2, 2, 2)
B = (2, 2, 2, 2, 2)
D = (2, 2, 3, 3, 3)
E = (2, 2, 4, 4, 4)


def block(
    x: keras.KerasTensor, filters: int, repeats: int, *, style: Style | None = None, name: str | None = None
) -> keras.KerasTensor:
    """`repeats` times a 3x3 convolution, batch norm where there is a style, ReLU. (h, w, c) -> (h, w, filters)"""
    for i in range(repeats):
        last = name if i == repeats - 1 else None
        x = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(x)
        x = bn(x, style=style, name=last) if style else layers.ReLU(name=last)(x)
    return x


def trunk(
    x: keras.KerasTensor,
    *,
    repeats: Sequence[int],
    filters: Sequence[int] = FILTERS,
    style: Style | None = None,
    pool: Callable[[], layers.Layer] = layers.MaxPooling2D,
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps after each pooling, with h / 2, h / 4, ... pixels a side

    Args:
        repeats, filters: convolutions in each block, and their filters.
        style: batch norm's; None for none.
        pool: makes the layer after each block.
    """
    pooled = []
    for stage, (n, f) in enumerate(zip(repeats, filters, strict=True), start=1):
        x = pool()(block(x, f, n, style=style, name=f"stage{stage}"))
        pooled.append(x)
    return pooled


def vgg(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    repeats: Sequence[int],
    batch_norm: bool = False,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.5,
    bn_momentum: float = 0.9,
    name: str = "vgg",
) -> keras.Model:
    """VGG.

    Args:
        input_shape: (height, width, channels), at least 32 pixels a side.
        num_classes: number of logits; 0 for the last map, averaged over its positions.
        repeats: convolutions in each of the five blocks.
        batch_norm: normalise after each convolution.
        width: multiplier of filters and of the 4096 units of the two hidden dense layers.
        depth: multiplier of `repeats`.
        dropout: rate after each hidden dense layer.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). The last map before
        each pooling is named stage1 ... stage5 (strides 1, 2, 4, 8, 16).
    """
    inputs = keras.Input(input_shape)
    *_, x = trunk(
        inputs,
        repeats=[scale_depth(n, depth) for n in repeats],
        filters=[scale_width(f, width) for f in FILTERS],
        style=Style(bn_momentum=bn_momentum) if batch_norm else None,
    )
    if num_classes == 0:
        return classify(inputs, x, 0, name=name)
    x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dense(scale_width(4096, width), activation="relu", kernel_initializer="he_normal")(x)
        x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, logits(x, num_classes), name=name)


VARIANTS = {
    "vgg11": partial(vgg, repeats=A, name="vgg11"),
    "vgg13": partial(vgg, repeats=B, name="vgg13"),
    "vgg16": partial(vgg, repeats=D, name="vgg16"),
    "vgg19": partial(vgg, repeats=E, name="vgg19"),
    "vgg11_bn": partial(vgg, repeats=A, batch_norm=True, name="vgg11_bn"),
    "vgg13_bn": partial(vgg, repeats=B, batch_norm=True, name="vgg13_bn"),
    "vgg16_bn": partial(vgg, repeats=D, batch_norm=True, name="vgg16_bn"),
    "vgg19_bn": partial(vgg, repeats=E, batch_norm=True, name="vgg19_bn"),
}
