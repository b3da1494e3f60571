"""Convolutional auto-encoder: an image to a small map and back, with the lectures' ways of up-sampling to compare.

The lectures name rule-based up-sampling (nearest neighbour, bed of nails, max unpooling), transposed convolution, and
"transpose convolution vs. conv + interpolation" as a question. Encoder: 3x3 convolution, ReLU, 2x2 max pooling, at each
of three levels; the decoder mirrors it. Its up-sampling is one of

    transposed    3x3 transposed convolution of stride 2
    upsampling    interpolation ("nearest", "bilinear", "bicubic"), then a 3x3 convolution
    bed_of_nails  each value in the corner of its window, zeros elsewhere, then a 3x3 convolution
    unpooling     each value where the encoder's pooling found its maximum, then a 3x3 convolution

and all four have the same parameters, so that a difference in loss is one of up-sampling alone. `unpooling` hands the
places of the maxima past the code: it knows more of the image than the code says.
"""

from __future__ import annotations

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.layers import BedOfNails2D, CropLike, MaxUnpoolingLike2D

DECODERS = ("transposed", "upsampling", "bed_of_nails", "unpooling")


def trunk(x, *, filters, repeats):
    """The encoder. (h, w, c) -> its maps before each pooling, h, h / 2, ... pixels a side, and the code"""
    stages = []
    for stage, f in enumerate(filters, start=1):
        for i in range(repeats):
            x = conv(x, f, name=f"stage{stage}" if i == repeats - 1 else None)
        stages.append(x)
        x = layers.MaxPooling2D(2, padding="same", name="code" if stage == len(filters) else None)(x)
    return [*stages, x]


def conv(x, filters, **settings):
    """3x3 convolution and ReLU, or what `settings` say. (h, w, c) -> (h, w, filters)"""
    settings = {"activation": "relu", "kernel_initializer": "he_normal"} | settings
    return layers.Conv2D(filters, 3, padding="same", **settings)(x)


def upsample(x, before, filters, *, decoder, interpolation, **settings):
    """Up to the size of `before`, the map before the pooling. (h, w, c) -> (2 h, 2 w, filters)"""
    if decoder == "transposed":
        settings = {"activation": "relu", "kernel_initializer": "he_normal"} | settings
        return cut(layers.Conv2DTranspose(filters, 3, 2, padding="same", **settings)(x), before)
    if decoder == "unpooling":
        x = MaxUnpoolingLike2D(2, padding="same")([x, before])
    elif decoder == "bed_of_nails":
        x = cut(BedOfNails2D(2)(x), before)
    else:
        x = cut(layers.UpSampling2D(2, interpolation=interpolation)(x), before)
    return conv(x, filters, **settings)


def cut(x, before):
    """Without the row and column that an odd size lacks."""
    fits = None not in x.shape[1:] and x.shape[1:-1] == before.shape[1:-1]
    return x if fits else CropLike(offset=0, dtype=x.dtype)([x, before])


def autoencoder(
    input_shape=(28, 28, 1),
    *,
    decoder="transposed",
    interpolation="nearest",
    filters=(32, 16, 8),
    width=1.0,
    depth=1.0,
    name="conv_autoencoder",
):
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
    up = {"decoder": decoder, "interpolation": interpolation}

    inputs = keras.Input(input_shape)  # 28, 28, 1
    *stages, x = trunk(inputs, filters=filters, repeats=scale_depth(1, depth))  # 28, 28, 32 ... 4, 4, 8
    for before, f in zip(stages[:0:-1], filters[-2::-1], strict=True):
        x = upsample(x, before, f, **up)  # 7, 7, 16; 14, 14, 32
    last = {"activation": None, "kernel_initializer": "glorot_uniform", "dtype": "float32", "name": "logits"}
    return keras.Model(inputs, upsample(x, stages[0], input_shape[-1], **up, **last), name=name)  # 28, 28, 1


VARIANTS = {"conv_autoencoder": autoencoder}
