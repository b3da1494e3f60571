"""Dilated convolutions: Yu & Koltun, "Multi-scale context aggregation by dilated convolutions", 2016.

`context_module` is Table 1, with as many maps in as classes out: the receptive field grows to 67x67 without loss of
resolution, and the module starts as the identity (section 3). `dilated_vgg16` is the front end of section 4: VGG-16
without its last two poolings; the convolutions after them are dilated by 2 and 4 instead, and the map has a stride of
8. `context_size` adds the module after it.

form="paper" of the front end has no padding between layers: the image is mirrored at its border, so that 512 pixels
give a map of 64. form="same", the plain network, pads each layer with zeros and takes images of any size. Differences
from the paper: the module pads each layer (the authors' files pad its input once); there is a dropout after fc6 and
fc7, as in the authors' files. `batch_norm` is an addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.layers import Padding2D
from tfcnn.layers.initializers import ContextIdentity
from tfcnn.models.blocks import Style, bn
from tfcnn.models.classification import vgg

# VGG-16's blocks: dilation of the convolutions, and whether max pooling follows.
BLOCKS = ((1, True), (1, True), (1, True), (1, False), (2, False))
DOUBLINGS = 5  # Table 1: layers 2 ... 6 have dilations 1, 2, 4, 8, 16
NOISE = 1e-3  # deviation of the large module's initial noise, far below C / C_i+1


def context(
    x: keras.KerasTensor, classes: int, *, size: str = "basic", width: float = 1.0, depth: float = 1.0
) -> keras.KerasTensor:
    """Table 1. (h, w, c) -> (h, w, classes), layers layer1, layer2, ..., layer8, and logits"""
    maps = x.shape[-1]
    dilations = [1, *(2**i for i in range(scale_depth(DOUBLINGS, depth))), 1]
    for i, dilation in enumerate(dilations, start=1):
        # Basic: C in all layers. Large: 2C 2C 4C 8C 16C 32C 32C. Multiples of C, or there is no identity.
        wider = 2 * dilation if i < len(dilations) else 2 * dilations[-2]
        filters = maps * max(1, round(width * (wider if size == "large" else 1)))
        identity = ContextIdentity(classes=maps, stddev=0.0 if x.shape[-1] == filters == maps else NOISE)
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            dilation_rate=dilation,
            activation="relu",
            kernel_initializer=identity,
            name=f"layer{i}",
        )(x)
    last = ContextIdentity(classes=classes) if classes == maps else "glorot_uniform"
    x = layers.Conv2D(classes, 1, kernel_initializer=last, dtype="float32", name=f"layer{len(dilations) + 1}")(x)
    return layers.Activation("linear", dtype="float32", name="logits")(x)


def context_module(
    input_shape: tuple[int | None, ...] = (64, 64, 21),
    num_classes: int = 21,
    *,
    size: str = "basic",
    width: float = 1.0,
    depth: float = 1.0,
    name: str = "context_module",
) -> keras.Model:
    """The context module alone, for maps of class scores.

    Args:
        input_shape: (height, width, C).
        num_classes: logits at each position; the paper's is C, and the identity needs that.
        size: "basic" (C maps in each layer) or "large" (2C 2C 4C 8C 16C 32C 32C C).
        width: multiplier of the maps of all layers but the last, rounded to whole multiples of C.
        depth: multiplier of the five layers whose dilation doubles.

    Returns:
        keras.Model: (batch, height, width, C) -> float32 logits (batch, height, width, num_classes). Layers are named
        layer1 ... layer8.
    """
    choose("size", size, ("basic", "large"))
    inputs = keras.Input(input_shape)  # 64, 64, 21
    outputs = context(inputs, num_classes, size=size, width=width, depth=depth)  # 64, 64, 21
    return keras.Model(inputs, outputs, name=name)


def trunk(
    x: keras.KerasTensor,
    *,
    repeats: Sequence[int],
    filters: Sequence[int],
    form: str = "same",
    style: Style | None = None,
) -> list[keras.KerasTensor]:
    """VGG-16's convolutions. (h, w, c) -> the maps stage1 ... stage5, of strides 1, 2, 4, 8, 8"""
    padding = "valid" if form == "paper" else "same"
    stages = []
    for stage, (n, f, (dilation, pooled)) in enumerate(zip(repeats, filters, BLOCKS, strict=True), start=1):
        for i in range(n):
            x = layers.Conv2D(f, 3, padding=padding, dilation_rate=dilation, kernel_initializer="he_normal")(x)
            last = f"stage{stage}" if i == n - 1 else None
            x = bn(x, style=style, name=last) if style else layers.ReLU(name=last)(x)
        stages.append(x)
        if pooled:
            x = layers.MaxPooling2D(2, padding="same")(x)
    return stages


def mirrored(repeats: Sequence[int]) -> int:
    """Pixels that the unpadded front end loses on each side."""
    lost = 0
    stride = 1
    for n, (dilation, pooled) in zip(repeats, BLOCKS, strict=True):
        lost += 2 * dilation * n * stride
        stride *= 2 if pooled else 1
    return (lost + 6 * 4 * stride) // 2  # fc6: 7x7, dilation 4


def dilated_vgg16(
    input_shape: tuple[int | None, ...] = (512, 512, 3),
    num_classes: int = 21,
    *,
    context_size: str = "none",
    width: float = 1.0,
    depth: float = 1.0,
    form: str = "same",
    batch_norm: bool = False,
    dropout: float = 0.5,
    bn_momentum: float = 0.9,
    name: str = "dilated_vgg16",
) -> keras.Model:
    """The front end on VGG-16, with or without the context module.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side, in form="paper" more than the border.
        num_classes: logits at each position.
        context_size: "none"; "basic" or "large" adds the module, whose layers are named layer1 ... layer8.
        width: multiplier of the filters, those of fc6 and fc7 included.
        depth: multiplier of the convolutions in VGG's blocks.
        form: "same" or "paper"; see the module's docstring.
        batch_norm: normalise after each convolution before fc6, as in vgg16_bn.
        dropout: rate after fc6 and fc7.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, height / 8, width / 8, num_classes).
        The last map of each block is named stage1 ... stage5 (strides 1, 2, 4, 8, 8).

    Raises:
        ValueError: an image of form="paper" is smaller than the border to be mirrored (186 pixels).
    """
    choose("form", form, ("same", "paper"))
    with_context = choose("context_size", context_size, ("none", "basic", "large")) != "none"
    repeats = [scale_depth(n, depth) for n in vgg.D]
    units = scale_width(4096, width)
    inputs = keras.Input(input_shape)  # 512, 512, 3
    x = inputs
    padding = "valid" if form == "paper" else "same"
    if form == "paper":
        x = Padding2D(mirrored(repeats), "reflect")(x)  # 884, 884
    filters = [scale_width(f, width) for f in vgg.FILTERS]
    style = Style(bn_momentum=bn_momentum) if batch_norm else None
    *_, x = trunk(x, repeats=repeats, filters=filters, form=form, style=style)  # 88, 88, 512
    conv = partial(layers.Conv2D, units, activation="relu", kernel_initializer="he_normal")
    x = conv(7, dilation_rate=4, padding=padding, name="fc6")(x)  # 64, 64, 4096
    x = conv(1, name="fc7")(layers.Dropout(dropout)(x))
    score = layers.Conv2D(num_classes, 1, dtype="float32", name="score" if with_context else "logits")
    x = score(layers.Dropout(dropout)(x))  # 64, 64, 21
    outputs = context(x, num_classes, size=context_size) if with_context else x
    return keras.Model(inputs, outputs, name=name)


VARIANTS = {"dilated_vgg16": dilated_vgg16, "context_module": context_module}
