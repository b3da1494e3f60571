"""MobileNetV3: Howard et al., "Searching for MobileNetV3", 2019.

Tables 1 (mobilenet_v3_large) and 2 (mobilenet_v3_small). The forms differ where the paper is silent: form="keras" pads
strided convolutions as TensorFlow does, as the authors' weights; form="torchvision" pads both sides, form="timm" as
well, with batch norm's epsilon 1e-5 in place of 1e-3. `minimalistic` is the authors' form for hardware that is slow
on the new operations: no squeeze-and-excitation, no hard-swish, no 5x5 convolution. Differences from the paper: the
squeeze has a quarter of the expanded filters rounded to a multiple of 8, as in all three libraries, and Table 2's
squeeze-and-excitation after the last 1x1 convolution, which none of them has, is left out.
"""

from __future__ import annotations

from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import Style, conv_bn
from tfcnn.models.classification.inverted_residual import inverted_residual, squeeze_excite
from tfcnn.models.heads import logits, pool

RE = "relu"
HS = "hard_swish"
# Tables 1 and 2 between the first and the last convolution: kernel, expanded filters, filters, squeeze-and-excitation,
# activation, stride of the first, repeats. A stage is what shares one resolution.
Table = tuple[tuple[tuple[int, int, int, bool, str, int, int], ...], ...]
LARGE: Table = (
    ((3, 16, 16, False, RE, 1, 1),),  # 112, 112
    ((3, 64, 24, False, RE, 2, 1), (3, 72, 24, False, RE, 1, 1)),  # 56, 56
    ((5, 72, 40, True, RE, 2, 1), (5, 120, 40, True, RE, 1, 2)),  # 28, 28
    (  # 14, 14
        (3, 240, 80, False, HS, 2, 1),
        (3, 200, 80, False, HS, 1, 1),
        (3, 184, 80, False, HS, 1, 2),
        (3, 480, 112, True, HS, 1, 1),
        (3, 672, 112, True, HS, 1, 1),
    ),
    ((5, 672, 160, True, HS, 2, 1), (5, 960, 160, True, HS, 1, 2)),  # 7, 7
)
SMALL: Table = (
    (),  # 112, 112: the first convolution alone
    ((3, 16, 16, True, RE, 2, 1),),  # 56, 56
    ((3, 72, 24, False, RE, 2, 1), (3, 88, 24, False, RE, 1, 1)),  # 28, 28
    (  # 14, 14
        (5, 96, 40, True, HS, 2, 1),
        (5, 240, 40, True, HS, 1, 2),
        (5, 120, 48, True, HS, 1, 1),
        (5, 144, 48, True, HS, 1, 1),
    ),
    ((5, 288, 96, True, HS, 2, 1), (5, 576, 96, True, HS, 1, 2)),  # 7, 7
)

STYLES = {
    "keras": Style("same", epsilon=1e-3),
    "torchvision": Style("symmetric", epsilon=1e-3),
    "timm": Style("symmetric", epsilon=1e-5),
}


def excite(x: keras.KerasTensor) -> keras.KerasTensor:
    """Squeeze-and-excitation as section 5.3 has it: a quarter of the maps, hard sigmoid. Same shape."""
    return squeeze_excite(x, scale_width(x.shape[-1], 0.25), gate="hard_sigmoid")


def trunk(
    x: keras.KerasTensor,
    *,
    table: Table,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    minimalistic: bool = False,
    style: Style,
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1 ... stage5, with h / 2, h / 4, ... pixels a side

    The arguments are those of `mobilenet_v3`.
    """
    swish = style._replace(activation=RE if minimalistic else HS)
    name = None if table[0] else "stage1"
    before = 16
    # Below width 1 the first convolution keeps its filters, in the authors' weights and in timm.
    x = conv_bn(x, scale_width(before, max(width, 1)), 3, 2 if stem == "imagenet" else 1, style=swish, name=name)
    stages = []
    for stage, rows in enumerate(table, start=1):
        blocks = [
            (kernel, expanded, filters, se, activation, stride if i == 0 else 1)
            for kernel, expanded, filters, se, activation, stride, repeats in rows
            for i in range(scale_depth(repeats, depth))
        ]
        for i, (kernel, expanded, filters, se, activation, stride) in enumerate(blocks, start=1):
            x = inverted_residual(
                x,
                scale_width(filters, width),
                3 if minimalistic else kernel,
                stride,
                scale_width(expanded, x.shape[-1] / before),  # the table's ratio to the block's input
                excite=excite if se and not minimalistic else None,
                style=swish if activation == HS else style,
                name=f"stage{stage}" if i == len(blocks) and stage < len(table) else None,
            )
            before = filters
        stages.append(x)
    stages[-1] = conv_bn(x, 6 * x.shape[-1], 1, style=swish, name="stage5")
    return stages


def mobilenet_v3(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    table: Table,
    units: int,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "keras",
    minimalistic: bool = False,
    dropout: float = 0.2,
    bn_momentum: float = 0.9,
    name: str = "mobilenet_v3",
) -> keras.Model:
    """MobileNetV3.

    Args:
        input_shape: (height, width, channels), at least 16 pixels a side.
        num_classes: number of logits; 0 for the pooled features, before the dense layer of `units`.
        table: rows as LARGE and SMALL have them.
        units: of the dense layer between pooling and logits.
        width: multiplier of all filters; below 1 not of the first convolution's and of `units`.
        depth: multiplier of the repeats.
        stem: "imagenet" (first convolution with stride 2) or "cifar" (stride 1).
        form: "keras", "torchvision" or "timm"; see the module's docstring.
        minimalistic: without squeeze-and-excitation, hard-swish and 5x5 convolutions.
        dropout: rate before the last layer.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). The last map of each
        resolution is named stage1 ... stage5 (strides 2, 4, 8, 16, 32 with the ImageNet stem).
    """
    choose("stem", stem, ("imagenet", "cifar"))
    choose("form", form, STYLES)
    inputs = keras.Input(input_shape)
    style = STYLES[form]._replace(bn_momentum=bn_momentum)
    *_, x = trunk(inputs, table=table, width=width, depth=depth, stem=stem, minimalistic=minimalistic, style=style)
    x = pool(x)
    if num_classes:
        x = layers.Dense(scale_width(units, max(width, 1)), activation=RE if minimalistic else HS)(x)
        x = layers.Dropout(dropout)(x) if dropout else x
        x = logits(x, num_classes)
    return keras.Model(inputs, x, name=name)


VARIANTS = {
    "mobilenet_v3_small": partial(mobilenet_v3, table=SMALL, units=1024, name="mobilenet_v3_small"),
    "mobilenet_v3_large": partial(mobilenet_v3, table=LARGE, units=1280, name="mobilenet_v3_large"),
}
