"""Convolutional auto-encoder: an image to a small map and back, with the lectures' ways of up-sampling to compare.

The lectures name rule-based up-sampling (nearest neighbour, bed of nails, max unpooling), transposed convolution, and
"transpose convolution vs. conv + interpolation" as a question. Encoder: 3x3 convolution, ReLU, 2x2 max pooling, at each
of three levels; the decoder mirrors it. Four ways of up-sampling:

    transposed    3x3 transposed convolution of stride 2
    upsampling    interpolation ("nearest", "bilinear", "bicubic"), then a 3x3 convolution
    bed_of_nails  each value in the corner of its window, zeros elsewhere, then a 3x3 convolution
    unpooling     each value where the encoder's pooling found its maximum, then a 3x3 convolution

All four have the same number of parameters, so that a difference in loss comes from up-sampling alone. `unpooling`
passes the places of the maxima around the code: its decoder knows more of the image than the code holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.layers import BedOfNails2D, CropLike, MaxUnpoolingLike2D

DECODERS = ("transposed", "upsampling", "bed_of_nails", "unpooling")


def trunk(x: keras.KerasTensor, *, filters: Sequence[int], repeats: int) -> list[keras.KerasTensor]:
    """The encoder. (h, w, c) -> its maps before each pooling, h, h / 2, ... pixels a side, and the code"""
    stages = []
    for stage, f in enumerate(filters, start=1):
        for i in range(repeats):
            x = conv(x, f, name=f"stage{stage}" if i == repeats - 1 else None)
        stages.append(x)
        x = layers.MaxPooling2D(2, padding="same", name="code" if stage == len(filters) else None)(x)
    return [*stages, x]


def conv(
    x: keras.KerasTensor, filters: int, *, transposed: bool = False, last: bool = False, name: str | None = None
) -> keras.KerasTensor:
    """3x3 convolution and ReLU; the last one linear, in float32. (h, w, c) -> (h, w, filters), transposed 2 h, 2 w"""
    layer = (layers.Conv2DTranspose if transposed else layers.Conv2D)(
        filters,
        3,
        2 if transposed else 1,
        "same",
        activation=None if last else "relu",
        kernel_initializer="glorot_uniform" if last else "he_normal",
        dtype="float32" if last else None,
        name="logits" if last else name,
    )
    return layer(x)


def upsample(
    x: keras.KerasTensor,
    before: keras.KerasTensor,
    filters: int,
    *,
    decoder: str,
    interpolation: str,
    last: bool = False,
) -> keras.KerasTensor:
    """Up to the size of `before`, the map before the pooling. (h, w, c) -> (2 h, 2 w, filters)"""
    if decoder == "transposed":
        return crop_to(conv(x, filters, transposed=True, last=last), before)
    if decoder == "unpooling":
        x = MaxUnpoolingLike2D(2, padding="same")([x, before])
    elif decoder == "bed_of_nails":
        x = crop_to(BedOfNails2D(2)(x), before)
    else:
        x = crop_to(layers.UpSampling2D(2, interpolation=interpolation)(x), before)
    return conv(x, filters, last=last)


def crop_to(x: keras.KerasTensor, before: keras.KerasTensor) -> keras.KerasTensor:
    """`x` without the row and column that `before`, of odd size, does not have."""
    fits = None not in x.shape[1:] and x.shape[1:-1] == before.shape[1:-1]
    return x if fits else CropLike(offset=0, dtype=x.dtype)([x, before])


def autoencoder(
    input_shape: tuple[int | None, ...] = (28, 28, 1),
    *,
    decoder: str = "transposed",
    interpolation: str = "nearest",
    filters: Sequence[int] = (32, 16, 8),
    width: float = 1.0,
    depth: float = 1.0,
    name: str = "conv_autoencoder",
) -> keras.Model:
    """Convolutional auto-encoder.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side, or None for any.
        decoder: "transposed", "upsampling", "bed_of_nails" or "unpooling"; see the module's docstring.
        interpolation: of decoder="upsampling".
        filters: of each level; the last number is the code's.
        width: multiplier of all filters.
        depth: multiplier of the one convolution at each level of the encoder.

    Returns:
        keras.Model: (batch, height, width, channels) -> the same shape, float32 and linear: a mean squared error, or a
        cross-entropy from logits for images in [0, 1]. The code is the map `code` (28x28 pixels: 4, 4, 8); the maps
        before each pooling are named stage1 ... stage3 (strides 1, 2, 4).
    """
    choose("decoder", decoder, DECODERS)
    choose("interpolation", interpolation, ("nearest", "bilinear", "bicubic"))
    filters = [scale_width(f, width) for f in filters]
    up = partial(upsample, decoder=decoder, interpolation=interpolation)

    inputs = keras.Input(input_shape)  # 28, 28, 1
    *stages, x = trunk(inputs, filters=filters, repeats=scale_depth(1, depth))  # 28, 28, 32 ... 4, 4, 8
    for before, f in zip(stages[:0:-1], filters[-2::-1], strict=True):
        x = up(x, before, f)  # 7, 7, 16; 14, 14, 32
    outputs = up(x, stages[0], inputs.shape[-1], last=True)  # 28, 28, 1
    return keras.Model(inputs, outputs, name=name)


VARIANTS = {"conv_autoencoder": autoencoder}
