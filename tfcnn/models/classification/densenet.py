"""DenseNet: Huang, Liu, van der Maaten & Weinberger, "Densely connected convolutional networks", 2016.

Table 1 (densenet121, 169, 201: growth rate 32; densenet161: 48) and, for CIFAR, Table 2 with growth rate 12: densenet40
(no bottleneck, no compression) and densenet_bc100 (both). Differences from the paper: where it is silent the
networks follow the authors' code and torchvision: batch norm and ReLU after the 7x7 convolution, none after the
CIFAR one, 2 x growth rate filters in the first convolution except densenet40's 16, and batch norm's epsilon 1e-5
(keras.applications: 1.001e-5). The paper drops 20 % after each convolution only where images are not augmented.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import Style, bn, conv_bn, max_pool
from tfcnn.models.heads import classify


def bn_conv(
    x: keras.KerasTensor, filters: int, kernel: int, *, dropout: float, style: Style, name: str | None = None
) -> keras.KerasTensor:
    """Section 3, "composite function": batch norm, ReLU, convolution. (h, w, c) -> (h, w, filters)"""
    x = bn(x, style=style)
    x = conv(x, filters, kernel, name=None if dropout else name)
    return layers.Dropout(dropout, name=name)(x) if dropout else x


def conv(x: keras.KerasTensor, filters: int, kernel: int, name: str | None = None) -> keras.KerasTensor:
    """Convolution without bias. (h, w, c) -> (h, w, filters)"""
    return layers.Conv2D(filters, kernel, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)


def dense_layer(
    x: keras.KerasTensor, growth: int, *, bottleneck: bool, dropout: float, style: Style, name: str | None = None
) -> keras.KerasTensor:
    """Adds `growth` maps to the input's. (h, w, c) -> (h, w, c + growth)"""
    y = bn_conv(x, 4 * growth, 1, dropout=dropout, style=style) if bottleneck else x
    y = bn_conv(y, growth, 3, dropout=dropout, style=style)
    return layers.Concatenate(name=name)([x, y])


def transition(x: keras.KerasTensor, compression: float, *, dropout: float, style: Style) -> keras.KerasTensor:
    """Section 3, "pooling layers". (h, w, c) -> (h / 2, w / 2, compression c)"""
    x = bn_conv(x, int(compression * x.shape[-1]), 1, dropout=dropout, style=style)
    return layers.AveragePooling2D(2)(x)


def trunk(
    x: keras.KerasTensor,
    *,
    growth: int,
    repeats: Sequence[int],
    filters: int,
    bottleneck: bool = True,
    compression: float = 0.5,
    dropout: float = 0.0,
    stem: str = "imagenet",
    bn_momentum: float = 0.9,
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1, stage2, ..., with h / 2, h / 4, ... pixels a side

    The arguments are those of `densenet`; `filters` is the first convolution's.
    """
    choose("stem", stem, ("imagenet", "cifar"))
    style = Style(bn_momentum=bn_momentum)
    if stem == "imagenet":
        stages = [conv_bn(x, filters, 7, 2, style=style, name="stage1")]  # 112, 112, 64
        x = max_pool(stages[0], 3, 2, padding=1)  # 56, 56, 64
    else:
        x = conv(x, filters, 3, name="stage1")
        stages = [x]
    for stage, n in enumerate(repeats, start=2):
        if stage > 2:
            x = transition(x, compression, dropout=dropout, style=style)
        last_stage = stage == len(repeats) + 1
        for i in range(n):
            last = f"stage{stage}" if i == n - 1 and not last_stage else None
            x = dense_layer(x, growth, bottleneck=bottleneck, dropout=dropout, style=style, name=last)
        stages.append(x)
    stages[-1] = bn(x, style=style, name=f"stage{len(stages)}")  # 7, 7, 1024
    return stages


def densenet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    growth: int = 32,
    repeats: Sequence[int],
    filters: int = 64,
    bottleneck: bool = True,
    compression: float = 0.5,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    dropout: float = 0.0,
    bn_momentum: float = 0.9,
    name: str = "densenet",
) -> keras.Model:
    """DenseNet.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side.
        num_classes: number of logits; 0 for the pooled features.
        growth: maps that each dense layer adds (the paper's k).
        repeats: dense layers in each block; every block after the first halves the map.
        filters: filters of the first convolution.
        bottleneck: a 1x1 convolution of 4 k filters before each 3x3 (DenseNet-B).
        compression: share of the maps that a transition keeps (DenseNet-C below 1).
        width: multiplier of `growth` and `filters`.
        depth: multiplier of `repeats`.
        stem: "imagenet" (7x7 stride 2, then 3x3 max pooling stride 2) or "cifar" (3x3 stride 1).
        dropout: rate after each convolution of the dense blocks and transitions.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). The stem's map is
        named stage1, those of the dense blocks stage2, stage3, ... (strides 2, 4, 8, 16, 32 with the ImageNet
        stem), the last after its batch norm and ReLU.
    """
    inputs = keras.Input(input_shape)
    *_, x = trunk(
        inputs,
        growth=scale_width(growth, width),
        repeats=[scale_depth(n, depth) for n in repeats],
        filters=scale_width(filters, width),
        bottleneck=bottleneck,
        compression=compression,
        dropout=dropout,
        stem=stem,
        bn_momentum=bn_momentum,
    )
    return classify(inputs, x, num_classes, name=name)


cifar = partial(densenet, input_shape=(32, 32, 3), num_classes=10, growth=12, stem="cifar")

VARIANTS = {
    "densenet121": partial(densenet, repeats=(6, 12, 24, 16), name="densenet121"),
    "densenet169": partial(densenet, repeats=(6, 12, 32, 32), name="densenet169"),
    "densenet201": partial(densenet, repeats=(6, 12, 48, 32), name="densenet201"),
    "densenet161": partial(densenet, growth=48, repeats=(6, 12, 36, 24), filters=96, name="densenet161"),
    "densenet40": partial(
        cifar, repeats=(12, 12, 12), filters=16, bottleneck=False, compression=1.0, name="densenet40"
    ),
    "densenet_bc100": partial(cifar, repeats=(16, 16, 16), filters=24, name="densenet_bc100"),
}
