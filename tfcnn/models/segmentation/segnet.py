"""SegNet: Badrinarayanan, Kendall & Cipolla, "SegNet: a deep convolutional encoder-decoder architecture for image
segmentation", 2015.

Section 3 and Figure 2: the 13 convolutions of VGG-16 and their mirror image, each with batch norm; a decoder puts
values back to where the encoder's max pooling found its maxima. Poolings of odd sizes keep the last row and column, as
the authors' Caffe does (360x480 pixels: 180, 90, 45, 23, 12 rows). Differences from the paper: none known; `levels` is
an addition, for small images.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.layers import MaxUnpoolingLike2D
from tfcnn.models.blocks import Style
from tfcnn.models.classification import vgg


def trunk(
    x: keras.KerasTensor, *, repeats: Sequence[int], filters: Sequence[int], style: Style
) -> list[keras.KerasTensor]:
    """The encoder. (h, w, c) -> its maps before each pooling, h, h / 2, ... pixels a side, and the last one pooled"""
    stages = []
    for stage, (n, f) in enumerate(zip(repeats, filters, strict=True), start=1):
        stages.append(vgg.block(x, f, n, style=style, name=f"stage{stage}"))
        x = layers.MaxPooling2D(2, padding="same")(stages[-1])
    return [*stages, x]


def unpool(x: keras.KerasTensor, before: keras.KerasTensor) -> keras.KerasTensor:
    """Each value to where `before`, the map before the pooling, has its window's maximum. (h, w, c) -> (2h, 2w, c)"""
    return MaxUnpoolingLike2D(2, padding="same")([x, before])


def check_levels(levels: int) -> None:
    """Raises ValueError for another number of poolings than 1 to 5."""
    if levels not in range(1, len(vgg.D) + 1):
        raise ValueError(f"levels must be 1 ... {len(vgg.D)}, got {levels}")


def segnet(
    input_shape: tuple[int | None, ...] = (360, 480, 3),
    num_classes: int = 12,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    levels: int = 5,
    bn_momentum: float = 0.9,
    name: str = "segnet",
) -> keras.Model:
    """SegNet.

    Args:
        input_shape: (height, width, channels), at least 32 pixels a side, or None for any.
        num_classes: logits at each pixel; the paper's 12 are CamVid's.
        width: multiplier of all filters.
        depth: multiplier of the convolutions in each block of encoder and decoder.
        levels: poolings, 1 to 5. The paper's 5 leave 3x3 positions of an image of 96 pixels, through which all passes.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, height, width, num_classes). The
        encoder's maps before each pooling are named stage1 ... stage5 (strides 1, 2, 4, 8, 16).

    Raises:
        ValueError: `levels` is none of these.
    """
    check_levels(levels)
    style = Style(bn_momentum=bn_momentum)
    repeats = [scale_depth(n, depth) for n in vgg.D[:levels]]
    filters = [scale_width(f, width) for f in vgg.FILTERS[:levels]]

    inputs = keras.Input(input_shape)  # 360, 480, 3
    *stages, x = trunk(inputs, repeats=repeats, filters=filters, style=style)  # 360, 480, 64 ... 12, 15, 512
    for before, n, f, f_above in reversed(list(zip(stages, repeats, filters, [None, *filters], strict=False))):
        x = unpool(x, before)  # 23, 30, 512 ... 360, 480, 64
        x = vgg.block(x, f, n - 1, style=style)
        x = vgg.block(x, f_above, 1, style=style) if f_above else x
    outputs = layers.Conv2D(num_classes, 3, padding="same", dtype="float32", name="logits")(x)  # 360, 480, 12
    return keras.Model(inputs, outputs, name=name)


VARIANTS = {"segnet": segnet}
