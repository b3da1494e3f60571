"""Inception-v3: Szegedy et al., "Rethinking the Inception architecture for computer vision", 2015.

The network that the authors released, with the modules of figures 5, 6 and 7 and the grid reductions of figure 10. From
the paper's Table 1 it differs before the first module (1x1, 3x3 and max pooling there, three 3x3 in the table) and in
that a reduction counts as a module there (5 of figure 6: here the reduction and four). form="keras" is
keras.applications': batch norm without scale, average pooling that leaves the border out. form="torchvision", timm's as
well: batch norm with scale, average pooling that counts the border's zeros. (The published weights of both take images
in -1 ... 1.) `depth` repeats modules within a stage.

auxiliary=True adds the classifier of section 4 on the last map of 17x17, with torchvision's layers, for training with a
loss of weight 0.4, as in the authors' code. stem="cifar" is for small images: the convolutions before the first module
keep the size, and the first pooling is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_rows, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import Style, conv_bn, max_pool
from tfcnn.models.heads import classify, pool

Row = tuple[Any, ...]  # (filters, kernel), or (filters, kernel, stride) without a border
Conv = Callable[..., keras.KerasTensor]  # `chain` with width and style bound
Average = Callable[[keras.KerasTensor], keras.KerasTensor]

POOL_PROJECTIONS = (32, 64, 64)  # 35, 35: filters after the pooling of each module of figure 5
SEVENS = (128, 160, 160, 192)  # 17, 17: filters between the 7-tap convolutions of each module of figure 6
STYLES = {"keras": Style(epsilon=1e-3, scale=False), "torchvision": Style(epsilon=1e-3)}


def chain(x: keras.KerasTensor, *rows: Row, width: float, style: Style, name: str | None = None) -> keras.KerasTensor:
    """Convolutions one after the other, a row each."""
    for i, (filters, kernel, *stride) in enumerate(rows, start=1):
        border = style._replace(padding="valid") if stride else style
        last = name if i == len(rows) else None
        x = conv_bn(x, scale_width(filters, width), kernel, *stride, style=border, name=last)
    return x


def average(x: keras.KerasTensor, form: str) -> keras.KerasTensor:
    """3x3 average pooling, stride 1. Same shape."""
    if form == "keras":
        return layers.AveragePooling2D(3, 1, "same")(x)
    return layers.AveragePooling2D(3, 1)(layers.ZeroPadding2D(1)(x))


def module_5(
    x: keras.KerasTensor,
    projection: int,
    conv: Conv,
    average: Average,
    name: str | None = None,
) -> keras.KerasTensor:
    """Figure 5: 1x1; 5x5 (two 3x3 in the figure); two 3x3; pooling. (h, w, c) -> (h, w, 224 + projection)"""
    a = conv(x, (64, 1))
    b = conv(x, (48, 1), (64, 5))
    c = conv(x, (64, 1), (96, 3), (96, 3))
    d = conv(average(x), (projection, 1))
    return layers.Concatenate(name=name)([a, b, c, d])


def module_6(
    x: keras.KerasTensor,
    f: int,
    conv: Conv,
    average: Average,
    name: str | None = None,
) -> keras.KerasTensor:
    """Figure 6: 7x7 convolutions as 1x7 and 7x1, one and two of them. (h, w, c) -> (h, w, 768)"""
    a = conv(x, (192, 1))
    b = conv(x, (f, 1), (f, (1, 7)), (192, (7, 1)))
    c = conv(x, (f, 1), (f, (7, 1)), (f, (1, 7)), (f, (7, 1)), (192, (1, 7)))
    d = conv(average(x), (192, 1))
    return layers.Concatenate(name=name)([a, b, c, d])


def module_7(
    x: keras.KerasTensor,
    conv: Conv,
    average: Average,
    name: str | None = None,
) -> keras.KerasTensor:
    """Figure 7: parallel 1x3 and 3x1 convolutions. (h, w, c) -> (h, w, 2048)"""
    a = conv(x, (320, 1))
    b = conv(x, (384, 1))
    c = conv(x, (448, 1), (384, 3))
    d = conv(average(x), (192, 1))
    crosses = [conv(y, (384, kernel)) for y in (b, c) for kernel in ((1, 3), (3, 1))]
    return layers.Concatenate(name=name)([a, *crosses, d])


def reduction(x: keras.KerasTensor, conv: Conv, *branches: Sequence[Row]) -> keras.KerasTensor:
    """Figure 10: convolutions of stride 2 and a pooling, in parallel. (h, w, c) -> ((h - 1) // 2, (w - 1) // 2, ...)"""
    return layers.Concatenate()([*(conv(x, *rows) for rows in branches), max_pool(x, 3, 2)])


def trunk(
    x: keras.KerasTensor,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "keras",
    bn_momentum: float = 0.9,
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1 ... stage5, with about h / 2, h / 4, ... pixels a side

    The arguments are those of `inception_v3`.
    """
    choose("stem", stem, ("imagenet", "cifar"))
    style = STYLES[choose("form", form, STYLES)]._replace(bn_momentum=bn_momentum)
    conv = partial(chain, width=width, style=style)
    smooth = partial(average, form=form)

    if stem == "imagenet":
        first = conv(x, (32, 3, 2), (32, 3, 1), (64, 3), name="stage1")  # 149; 147; 147, 147, 64
        x = conv(max_pool(first, 3, 2), (80, 1), (192, 3, 1), name="stage2")  # 73; 71, 71, 192
    else:
        first = conv(x, (32, 3), (32, 3), (64, 3), name="stage1")
        x = conv(first, (80, 1), (192, 3), name="stage2")
    stages = [first, x]
    x = max_pool(x, 3, 2)  # 35, 35, 192
    rows = scale_rows(POOL_PROJECTIONS, depth)
    for i, f in enumerate(rows, start=1):
        x = module_5(x, f, conv, smooth, name="stage3" if i == len(rows) else None)  # 35, 35, 288
    stages.append(x)
    x = reduction(x, conv, [(384, 3, 2)], [(64, 1), (96, 3), (96, 3, 2)])  # 17, 17, 768
    rows = scale_rows(SEVENS, depth)
    for i, f in enumerate(rows, start=1):
        x = module_6(x, f, conv, smooth, name="stage4" if i == len(rows) else None)
    stages.append(x)
    x = reduction(x, conv, [(192, 1), (320, 3, 2)], [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)])  # 8, 8, 1280
    repeats = scale_depth(2, depth)
    for i in range(1, repeats + 1):
        x = module_7(x, conv, smooth, name="stage5" if i == repeats else None)  # 8, 8, 2048
    return [*stages, x]


def auxiliary_classifier(x: keras.KerasTensor, num_classes: int, *, width: float, style: Style) -> keras.KerasTensor:
    """Section 4, on the last map of 17x17. (h, w, c) -> (num_classes,)

    Raises:
        ValueError: the map has fewer than 17 pixels a side, too few for the 5x5 convolution after the pooling.
    """
    if min(side or 17 for side in x.shape[1:-1]) < 17:
        size = "x".join(map(str, x.shape[1:-1]))
        raise ValueError(f"auxiliary=True needs a map of 17x17 before the second reduction, this one is {size}")
    x = chain(layers.AveragePooling2D(5, 3)(x), (128, 1), (768, 5, 1), width=width, style=style)
    return layers.Dense(num_classes, dtype="float32", name="auxiliary")(pool(x))


def inception_v3(
    input_shape: tuple[int | None, ...] = (299, 299, 3),
    num_classes: int = 1000,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "keras",
    auxiliary: bool = False,
    dropout: float = 0.0,
    bn_momentum: float = 0.9,
    name: str = "inception_v3",
) -> keras.Model:
    """Inception-v3.

    Args:
        input_shape: (height, width, channels), at least 15 pixels a side.
        num_classes: number of logits; 0 for the pooled features.
        width: multiplier of all filters.
        depth: multiplier of the modules of each figure.
        stem: "imagenet" (at least 75 pixels a side) or "cifar"; see the module's docstring.
        form: "keras" or "torchvision"; see the module's docstring.
        auxiliary: add the auxiliary classifier, for images of 299 pixels or little less.
        dropout: rate before the last layer (torchvision has 0.5, the paper none).
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes); with `auxiliary` a list of
        them: the network's, and those of layer auxiliary. The last map of each resolution is named stage1 ... stage5
        (strides 2, 4, 8, 16, 32 with the ImageNet stem; no borders: 147, 71, 35, 17, 8 pixels).

    Raises:
        ValueError: `auxiliary` and a map of fewer than 17 pixels a side before the second reduction.
    """
    inputs = keras.Input(input_shape)
    *_, fourth, x = trunk(inputs, width=width, depth=depth, stem=stem, form=form, bn_momentum=bn_momentum)
    model = classify(inputs, x, num_classes, dropout=dropout, name=name)
    if not auxiliary or num_classes == 0:
        return model
    style = STYLES[form]._replace(bn_momentum=bn_momentum)
    second = auxiliary_classifier(fourth, num_classes, width=width, style=style)
    return keras.Model(inputs, [model.output, second], name=name)


VARIANTS = {"inception_v3": inception_v3}
