"""Network in Network: Lin, Chen & Yan, "Network in network", 2013.

Small perceptrons slid over the image (mlpconv layers), and the mean of one map a class in place of dense layers.

`nin` is the paper's network for CIFAR-10 (figure 2; its widths are those of the authors' definition), `nin_imagenet`
the authors' network for ImageNet (Caffe's model zoo). ReLU follows every convolution, the last one included. As in
section 4, max pooling ends every stage but the last (3x3, the last window may hang over the end: 32, 16, 8 pixels) and
dropout follows it; the authors' definitions average in CIFAR-10's second pooling and drop out after ImageNet's last one
only. Difference from the paper: `depth` multiplies the 1x1 convolutions of each mlpconv layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras

from tfcnn.arithmetic.scaling import scale_rows, scale_width
from tfcnn.errors import choose
from tfcnn.layers import PaddedConv2D
from tfcnn.models.blocks import max_pool
from tfcnn.models.heads import classify_maps

# One mlpconv layer a stage: filters of its first convolution and of the 1x1 ones. The very last 1x1 convolution, one
# map a class, is the head's.
CIFAR10 = ((192, 160, 96), (192, 192, 192), (192, 192))
IMAGENET = ((96, 96, 96), (256, 256, 256), (384, 384, 384), (1024, 1024))
# Kernel, stride and padding of the first convolution of stage 1, and of stages 2, 3, 4.
STEMS = {"cifar": (5, 1, "half"), "imagenet": (11, 4, "none")}
WINDOWS = ((5, 1, "half"), (3, 1, "half"), (3, 1, "half"))


def mlpconv(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    stride: int,
    padding: str,
    units: Sequence[int],
    name: str | None = None,
) -> keras.KerasTensor:
    """Figure 1b: a convolution, 1x1 convolutions, ReLU after each. (h, w, c) -> (h / stride, w / stride, units[-1])

    tfcnn.layers.MLPConv2D is the same as one layer.
    """
    x = PaddedConv2D(filters, kernel, stride, padding, activation="relu", kernel_initializer="he_normal")(x)
    for i, f in enumerate(units, start=1):
        last = name if i == len(units) else None
        x = PaddedConv2D(f, 1, activation="relu", kernel_initializer="he_normal", name=last)(x)
    return x


def trunk(
    x: keras.KerasTensor,
    *,
    stages: Sequence[Sequence[int]],
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    dropout: float = 0.0,
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1, stage2, ..., each with half the pixels a side

    The arguments are those of `nin`.
    """
    windows = (STEMS[choose("stem", stem, STEMS)], *WINDOWS)
    maps: list[keras.KerasTensor] = []
    for stage, (row, window) in enumerate(zip(stages, windows, strict=False), start=1):
        if maps:
            x = keras.layers.Dropout(dropout)(max_pool(x, 3, 2, ceil=True))
        filters, *units = (scale_width(f, width) for f in row)
        kernel, stride, padding = window
        x = mlpconv(x, filters, kernel, stride, padding, scale_rows(units, depth), name=f"stage{stage}")
        maps.append(x)
    return maps


def nin(
    input_shape: tuple[int | None, ...] = (32, 32, 3),
    num_classes: int = 10,
    *,
    stages: Sequence[Sequence[int]] = CIFAR10,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "cifar",
    dropout: float = 0.0,
    name: str = "nin",
) -> keras.Model:
    """Network in Network.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side.
        num_classes: number of logits; 0 for the last map before the convolution to the classes, averaged.
        stages: filters of each stage's mlpconv layer.
        width: multiplier of all filters.
        depth: multiplier of the 1x1 convolutions of each mlpconv layer.
        stem: "cifar" (first convolution 5x5, stride 1) or "imagenet" (11x11, stride 4, no border).
        dropout: rate after each pooling. The paper's 0.5 is for hundreds of epochs: on `digits` 12 of them taught
            nothing, where 5 without it came to 90 %.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes), none negative. The last
        map of each stage is named stage1, stage2, ... (strides 1, 2, 4; with the ImageNet stem 4, 8, 16, 32).
    """
    inputs = keras.Input(input_shape)
    *_, x = trunk(inputs, stages=stages, width=width, depth=depth, stem=stem, dropout=dropout)
    return classify_maps(inputs, x, num_classes, name=name)


VARIANTS = {
    "nin": nin,
    "nin_imagenet": partial(
        nin, input_shape=(224, 224, 3), num_classes=1000, stages=IMAGENET, stem="imagenet", name="nin_imagenet"
    ),
}
