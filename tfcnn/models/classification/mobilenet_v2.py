"""MobileNetV2: Sandler, Howard, Zhu, Zhmoginov & Chen, "MobileNetV2: inverted residuals and linear bottlenecks", 2018.

Table 2, with the width multiplier of section 4, which leaves the last convolution's 1280 filters alone below 1. The
forms differ where the paper is silent: form="keras" pads strided convolutions as TensorFlow does and has batch
norm's epsilon 1e-3, as the authors' weights; form="torchvision", which is timm's too, pads both sides and has 1e-5.
Difference from the paper: the last 1x1 convolution is a dense layer on the pooled map, which is the same thing.
"""

from __future__ import annotations

import keras

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import Style, conv_bn
from tfcnn.models.classification.inverted_residual import inverted_residual
from tfcnn.models.heads import classify

# Table 2 between the first and the last convolution: expansion t, filters c, repeats n, stride s of the first.
# A stage is what shares one resolution.
STAGES = (
    ((1, 16, 1, 1),),  # 112, 112
    ((6, 24, 2, 2),),  # 56, 56
    ((6, 32, 3, 2),),  # 28, 28
    ((6, 64, 4, 2), (6, 96, 3, 1)),  # 14, 14
    ((6, 160, 3, 2), (6, 320, 1, 1)),  # 7, 7
)

STYLES = {
    "keras": Style("same", epsilon=1e-3, activation="relu6"),
    "torchvision": Style("symmetric", epsilon=1e-5, activation="relu6"),
    "timm": Style("symmetric", epsilon=1e-5, activation="relu6"),
}


def trunk(
    x: keras.KerasTensor, *, width: float = 1.0, depth: float = 1.0, stem: str = "imagenet", style: Style
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1 ... stage5, h / 2, h / 4, ... pixels a side, and the last"""
    x = conv_bn(x, scale_width(32, width), 3, 2 if stem == "imagenet" else 1, style=style)
    stages = []
    for stage, rows in enumerate(STAGES, start=1):
        blocks = [(t, c, s if i == 0 else 1) for t, c, n, s in rows for i in range(scale_depth(n, depth))]
        for i, (expansion, filters, stride) in enumerate(blocks, start=1):
            last = f"stage{stage}" if i == len(blocks) else None
            expanded = expansion * x.shape[-1]
            x = inverted_residual(x, scale_width(filters, width), 3, stride, expanded, style=style, name=last)
        stages.append(x)
    return [*stages, conv_bn(x, scale_width(1280, max(width, 1)), 1, style=style)]


def mobilenet_v2(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "keras",
    dropout: float = 0.0,
    bn_momentum: float = 0.9,
    name: str = "mobilenet_v2",
) -> keras.Model:
    """MobileNetV2.

    Args:
        input_shape: (height, width, channels), at least 16 pixels a side.
        num_classes: number of logits; 0 for the pooled features.
        width: multiplier of all filters; below 1 not of the last convolution's.
        depth: multiplier of the repeats n.
        stem: "imagenet" (first convolution with stride 2) or "cifar" (stride 1).
        form: "keras", or "torchvision" and "timm", which are one; see the module's docstring.
        dropout: rate before the last layer (torchvision trains with 0.2).
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


VARIANTS = {"mobilenet_v2": mobilenet_v2}
