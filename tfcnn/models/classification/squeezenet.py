"""SqueezeNet: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
size", 2016.

`squeezenet1_0`: Table 1. The first convolution has no border and pooling windows may hang over the end, as the
authors and torchvision have it: 224 pixels become 109, 54, 27, 13 (the table's 111, 55, 27, 13 are those of 227).
`squeezenet1_1`: the authors' second release: 64 filters of 3x3 first, poolings earlier, 2.3 times fewer operations.
ReLU follows the last convolution, too, before the mean. Difference from the paper: `depth` repeats fire modules within
a stage.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_rows, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import max_pool
from tfcnn.models.heads import classify_maps

Plan = tuple[tuple[Any, ...], ...]
# The first convolution (filters, kernel), and for each stage the fire modules' filters: s1x1, and e1x1 = e3x3.
V1_0: Plan = (
    (96, 7),
    ((16, 64), (16, 64), (32, 128)),  # fire2 ... fire4: 54 pixels a side at 224
    ((32, 128), (48, 192), (48, 192), (64, 256)),  # fire5 ... fire8: 27
    ((64, 256),),  # fire9: 13
)
V1_1: Plan = (
    (64, 3),
    ((16, 64), (16, 64)),  # 55
    ((32, 128), (32, 128)),  # 27
    ((48, 192), (48, 192), (64, 256), (64, 256)),  # 13
)


def conv(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int = 1, padding: str = "same", name: str | None = None
) -> keras.KerasTensor:
    """Convolution and ReLU. (h, w, c) -> (h / stride, w / stride, filters)"""
    layer = layers.Conv2D(
        filters, kernel, stride, padding, activation="relu", kernel_initializer="he_normal", name=name
    )
    return layer(x)


def fire(x: keras.KerasTensor, squeeze: int, expand: int, *, number: int, name: str | None) -> keras.KerasTensor:
    """Figure 1: 1x1 convolution to few maps, 1x1 and 3x3 back to many. (h, w, c) -> (h, w, 2 expand)

    The convolutions of module `number` are named as in the authors' files, and the joined maps `name`.
    """
    x = conv(x, squeeze, 1, name=f"fire{number}_squeeze1x1")
    small = conv(x, expand, 1, name=f"fire{number}_expand1x1")
    large = conv(x, expand, 3, name=f"fire{number}_expand3x3")
    return layers.Concatenate(name=name or f"fire{number}_concat")([small, large])


def trunk(
    x: keras.KerasTensor, *, plan: Plan, width: float = 1.0, depth: float = 1.0, stem: str = "imagenet"
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1 ... stage4, with h / 2, h / 4, h / 8, h / 16 pixels a side

    The arguments are those of `squeezenet`.
    """
    choose("stem", stem, ("imagenet", "cifar"))
    (filters, kernel), *stages = plan
    filters = scale_width(filters, width)
    if stem == "imagenet":
        x = conv(x, filters, kernel, 2, "valid", name="stage1")
    else:
        x = conv(x, filters, 3, name="stage1")
    maps = [x]
    number = 1
    for stage, rows in enumerate(stages, start=2):
        if stem == "imagenet" or stage > 2:
            x = max_pool(x, 3, 2, ceil=True, name=f"pool{number}")
        modules = scale_rows(rows, depth)
        for i, (squeeze, expand) in enumerate(modules, start=1):
            number += 1
            last = f"stage{stage}" if i == len(modules) else None
            x = fire(x, scale_width(squeeze, width), scale_width(expand, width), number=number, name=last)
        maps.append(x)
    return maps


def squeezenet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    plan: Plan,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    dropout: float = 0.5,
    name: str = "squeezenet",
) -> keras.Model:
    """SqueezeNet.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side.
        num_classes: number of logits; 0 for the last fire module's map, averaged over its positions.
        plan: the first convolution and the fire modules of each stage.
        width: multiplier of all filters.
        depth: multiplier of the fire modules of each stage.
        stem: "imagenet" (first convolution with stride 2, then a pooling) or "cifar" (3x3, stride 1, no pooling).
        dropout: rate before the last convolution.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes), none negative. The first
        map and the last of each resolution are named stage1 ... stage4 (strides 2, 4, 8, 16 with the ImageNet stem).
    """
    inputs = keras.Input(input_shape)
    *_, x = trunk(inputs, plan=plan, width=width, depth=depth, stem=stem)
    return classify_maps(inputs, x, num_classes, dropout=dropout, name=name)


VARIANTS = {
    "squeezenet1_0": partial(squeezenet, plan=V1_0, name="squeezenet1_0"),
    "squeezenet1_1": partial(squeezenet, plan=V1_1, name="squeezenet1_1"),
}
