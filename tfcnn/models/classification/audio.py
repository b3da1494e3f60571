"""M3, M5, M11, M18: Dai, Dai, Qu, Li & Das, "Very deep convolutional neural networks for raw waveforms", 2017.

Table 1: four seconds of sound at 8 kHz, no spectrogram. The first kernel of 80 samples spans 10 ms; all others have 3.
Batch norm and ReLU follow each convolution, max pooling of 4 each of the first four stages, global average pooling the
last. Convolutions keep their biases before batch norm. Differences from the paper: none known; `dropout` and
`standardize` are additions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.models.heads import classify

POOLED = 4  # Table 1: max pooling follows each of the first four stages, and the fifth of M11 and M18 has none


def conv_bn(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int = 1, *, bn_momentum: float, name: str | None = None
) -> keras.KerasTensor:
    """Convolution, batch norm, ReLU. (n, c) -> (n / stride, filters)"""
    x = layers.Conv1D(filters, kernel, stride, padding="same", kernel_initializer="he_normal")(x)
    return layers.ReLU(name=name)(layers.BatchNormalization(momentum=bn_momentum, epsilon=1e-5)(x))


def trunk(
    x: keras.KerasTensor,
    *,
    first: int,
    stages: Sequence[tuple[int, int]],
    width: float = 1.0,
    depth: float = 1.0,
    bn_momentum: float = 0.9,
) -> list[keras.KerasTensor]:
    """The convolutional part. (n, c) -> the maps stage1, stage2, ..., with n / 4, n / 16, ... steps, the last pooled

    Args:
        first: filters of the first convolution.
        stages: (filters, repeats) of each stage after it.
    """
    maps: list[keras.KerasTensor] = []
    for stage, (filters, repeats) in enumerate(((first, 1), *stages), start=1):
        repeats = scale_depth(repeats, depth) if maps else 1
        for i in range(repeats):
            kernel = 3 if maps else 80
            stride = 1 if maps else 4
            last = f"stage{stage}" if i == repeats - 1 else None
            x = conv_bn(x, scale_width(filters, width), kernel, stride, bn_momentum=bn_momentum, name=last)
        maps.append(x)  # 8000, 2000, 500, 125, 32 steps
        if stage <= POOLED:
            x = layers.MaxPooling1D(4, padding="same")(x)  # 2000, 500, 125, 32
    return [*maps[:-1], x]


def audio(
    input_shape: tuple[int | None, ...] = (32000, 1),
    num_classes: int = 10,
    *,
    first: int,
    stages: Sequence[tuple[int, int]],
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.0,
    standardize: bool = False,
    bn_momentum: float = 0.9,
    name: str = "audio",
) -> keras.Model:
    """A network on raw waveforms.

    Args:
        input_shape: (samples, channels), at least 1024 samples.
        num_classes: number of logits; 0 for the pooled features.
        first: filters of the first convolution.
        stages: (filters, repeats) of each stage after it.
        width: multiplier of all filters.
        depth: multiplier of the repeats.
        dropout: rate before the last layer.
        standardize: bring each sound to mean 0 and variance 1 first, so that its loudness says nothing.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, samples, channels) -> float32 logits (batch, num_classes). The last map of each
        resolution is named stage1 ... stage5 (strides 4, 16, 64, 256, 1024); m3 and m5 have fewer.
    """
    inputs = keras.Input(input_shape)
    x = inputs
    if standardize:
        x = layers.LayerNormalization(axis=(1, 2), epsilon=1e-6, center=False, scale=False)(x)
    *_, x = trunk(x, first=first, stages=stages, width=width, depth=depth, bn_momentum=bn_momentum)
    return classify(inputs, x, num_classes, dropout=dropout, name=name)


# Table 1, its columns.
VARIANTS = {
    "m3": partial(audio, first=256, stages=((256, 1),), name="m3"),
    "m5": partial(audio, first=128, stages=((128, 1), (256, 1), (512, 1)), name="m5"),
    "m11": partial(audio, first=64, stages=((64, 2), (128, 2), (256, 3), (512, 2)), name="m11"),
    "m18": partial(audio, first=64, stages=((64, 4), (128, 4), (256, 4), (512, 4)), name="m18"),
}
