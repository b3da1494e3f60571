"""Xception: Chollet, "Xception: deep learning with depthwise separable convolutions", 2016.

Figure 5, batch norm after every convolution and separable convolution. The forms differ where the figure is silent:
form="keras", the author's, pads the strided pooling as TensorFlow does and has batch norm's epsilon 1e-3;
form="timm" pads it on both sides and has 1e-5. Difference from the paper: its optional dense layers before the
logits are left out, as in its main results.
"""

from __future__ import annotations

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import Style, bn, conv_bn
from tfcnn.models.heads import classify

STYLES = {"keras": Style("same", epsilon=1e-3), "timm": Style("symmetric", epsilon=1e-5)}


def separable(
    x: keras.KerasTensor, filters: int, *, style: Style, activation: str | None = None, name: str | None = None
) -> keras.KerasTensor:
    """Depthwise 3x3, 1x1, batch norm. (h, w, c) -> (h, w, filters)"""
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, pointwise_initializer="he_normal")(x)
    return bn(x, style=style, activation=activation, name=name)


def half(x: keras.KerasTensor, style: Style) -> keras.KerasTensor:
    """3x3 max pooling with stride 2. (h, w, c) -> (h / 2, w / 2, c)"""
    if style.padding == "symmetric":  # the map has values below zero: a border of zeros could be the maximum
        x = keras.ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=float("-inf"))
        return layers.MaxPooling2D(3, 2)(x)
    return layers.MaxPooling2D(3, 2, "same")(x)


def down(
    x: keras.KerasTensor, *filters: int, style: Style, relu: bool = True, name: str | None = None
) -> keras.KerasTensor:
    """Entry and exit flow: two separable convolutions and pooling, plus a 1x1 convolution. -> (h / 2, w / 2, f)"""
    y = x
    for i, f in enumerate(filters):
        y = separable(layers.ReLU()(y) if relu or i else y, f, style=style)
    return layers.Add(name=name)([half(y, style), conv_bn(x, filters[-1], 1, 2, style=style, activation=None)])


def middle(x: keras.KerasTensor, *, style: Style, name: str | None = None) -> keras.KerasTensor:
    """Middle flow: three separable convolutions, plus the identity. Same shape."""
    y = x
    for _ in range(3):
        y = separable(layers.ReLU()(y), x.shape[-1], style=style)
    return layers.Add(name=name)([y, x])


def trunk(
    x: keras.KerasTensor, *, width: float = 1.0, depth: float = 1.0, stem: str = "imagenet", style: Style
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1 ... stage5, with h / 2, h / 4, ... pixels a side"""
    f32, f64, f128, f256, f728, f1024, f1536, f2048 = (
        scale_width(f, width) for f in (32, 64, 128, 256, 728, 1024, 1536, 2048)
    )
    # Figure 5 does not pad its first two convolutions: 299, 149, 147. A small image keeps its size.
    stride = 2 if stem == "imagenet" else 1
    padding = "valid" if stem == "imagenet" else "same"
    x = layers.Conv2D(f32, 3, stride, padding, use_bias=False, kernel_initializer="he_normal")(x)
    x = bn(x, style=style)
    x = layers.Conv2D(f64, 3, 1, padding, use_bias=False, kernel_initializer="he_normal")(x)
    x = bn(x, style=style, name="stage1")
    stages = [x]  # 147, 147, 64
    x = down(x, f128, f128, style=style, relu=False, name="stage2")  # 74, 74, 128
    stages.append(x)
    x = down(x, f256, f256, style=style, name="stage3")  # 37, 37, 256
    stages.append(x)
    x = down(x, f728, f728, style=style)  # 19, 19, 728
    repeats = scale_depth(8, depth)
    for i in range(repeats):
        x = middle(x, style=style, name="stage4" if i == repeats - 1 else None)
    stages.append(x)
    x = down(x, f728, f1024, style=style)  # 10, 10, 1024
    x = separable(x, f1536, style=style, activation="relu")
    stages.append(separable(x, f2048, style=style, activation="relu", name="stage5"))
    return stages


def xception(
    input_shape: tuple[int | None, ...] = (299, 299, 3),
    num_classes: int = 1000,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "keras",
    dropout: float = 0.5,
    bn_momentum: float = 0.9,
    name: str = "xception",
) -> keras.Model:
    """Xception.

    Args:
        input_shape: (height, width, channels), at least 16 pixels a side.
        num_classes: number of logits; 0 for the pooled features.
        width: multiplier of all filters.
        depth: multiplier of the eight blocks of the middle flow.
        stem: "imagenet" (first convolution with stride 2, no padding) or "cifar" (stride 1, padded).
        form: "keras" or "timm"; see the module's docstring.
        dropout: rate before the last layer (section 4.3).
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). The last map of each
        resolution is named stage1 ... stage5 (strides 2, 4, 8, 16, 32 with the ImageNet stem).
    """
    choose("stem", stem, ("imagenet", "cifar"))
    choose("form", form, STYLES)
    inputs = keras.Input(input_shape)
    style = STYLES[form]._replace(bn_momentum=bn_momentum)
    *_, x = trunk(inputs, width=width, depth=depth, stem=stem, style=style)
    return classify(inputs, x, num_classes, dropout=dropout, name=name)


VARIANTS = {"xception": xception}
