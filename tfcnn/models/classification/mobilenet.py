"""MobileNet: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017.

Table 1, with the width multiplier of section 3.3; the resolution multiplier is the input size. Difference from
the paper: `depth` scales the five repeats of the 512-filter block, which the paper drops as a whole ("shallow").
The forms differ where the paper is silent: form="keras" pads strided convolutions as TensorFlow does and has ReLU6 and
batch norm's epsilon 1e-3, as the authors' weights; form="timm" pads both sides, with ReLU6 and 1e-5.
"""

from __future__ import annotations

import keras

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import Style, conv_bn, depthwise_bn
from tfcnn.models.heads import classify

# Table 1 after the first convolution: filters, stride of the block's first depthwise convolution, repeats.
# A stage is what shares one resolution.
STAGES = (
    ((64, 1, 1),),  # 112, 112
    ((128, 2, 1), (128, 1, 1)),  # 56, 56
    ((256, 2, 1), (256, 1, 1)),  # 28, 28
    ((512, 2, 1), (512, 1, 5)),  # 14, 14
    ((1024, 2, 1), (1024, 1, 1)),  # 7, 7
)

STYLES = {
    "keras": Style("same", epsilon=1e-3, activation="relu6", initializer="glorot_uniform"),
    "timm": Style("symmetric", epsilon=1e-5, activation="relu6", initializer="glorot_uniform"),
}


def separable(
    x: keras.KerasTensor, filters: int, stride: int, *, style: Style, name: str | None = None
) -> keras.KerasTensor:
    """Figure 3: 3x3 depthwise, batch norm, ReLU, 1x1, batch norm, ReLU. (h, w, c) -> (h / s, w / s, filters)"""
    return conv_bn(depthwise_bn(x, 3, stride, style=style), filters, 1, style=style, name=name)


def trunk(
    x: keras.KerasTensor, *, width: float = 1.0, depth: float = 1.0, stem: str = "imagenet", style: Style
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1 ... stage5, with h / 2, h / 4, ... pixels a side"""
    x = conv_bn(x, scale_width(32, width), 3, 2 if stem == "imagenet" else 1, style=style)
    stages = []
    for stage, rows in enumerate(STAGES, start=1):
        blocks = [(f, s) for f, s, n in rows for _ in range(n if n == 1 else scale_depth(n, depth))]
        for i, (filters, stride) in enumerate(blocks, start=1):
            last = f"stage{stage}" if i == len(blocks) else None
            x = separable(x, scale_width(filters, width), stride, style=style, name=last)
        stages.append(x)
    return stages


def mobilenet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "keras",
    dropout: float = 0.001,
    bn_momentum: float = 0.9,
    name: str = "mobilenet",
) -> keras.Model:
    """MobileNet.

    Args:
        input_shape: (height, width, channels), at least 16 pixels a side.
        num_classes: number of logits; 0 for the pooled features.
        width: multiplier of all filters.
        depth: multiplier of the five repeats of the 512-filter block.
        stem: "imagenet" (first convolution with stride 2) or "cifar" (stride 1).
        form: "keras" or "timm"; see the module's docstring.
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
    *_, x = trunk(inputs, width=width, depth=depth, stem=stem, style=style)
    return classify(inputs, x, num_classes, dropout=dropout, name=name)


VARIANTS = {"mobilenet": mobilenet}
