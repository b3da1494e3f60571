"""EfficientNet: Tan & Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019.

Table 1 is efficientnet_b0; b1 ... b7 are the authors' published coefficients, from their code: the paper prints only
the formula of section 3.3, tfcnn.arithmetic.scaling.compound, which gives other numbers: b1, b2 and b3 are its phi =
0.5, 1 and 2 within 5 %, b4 lies between 3 and 4, and b5, b6 and b7 have the width and the resolution of phi = 5, 6 and
7 within 3 %, but only 0.87 of the depth (`python -m tuning.scale --published`). The forms differ where the paper is
silent: form="keras" pads strided convolutions as TensorFlow does and has batch norm's epsilon 1e-3, as the authors'
weights; form="timm" pads both sides and has 1e-5; form="torchvision" is that with 1e-3 from b5 up. Differences from
keras.applications: images are not normalised inside the network.

efficientnet_lite0 is the authors' network for phones (tensorflow/tpu, models/official/efficientnet/lite, 2020): ReLU6,
no squeeze-and-excitation, and coefficients that leave the first and the last convolution as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras

from tfcnn.arithmetic.scaling import Scaling, scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import Style, conv_bn
from tfcnn.models.classification.inverted_residual import inverted_residual, squeeze_excite
from tfcnn.models.heads import classify

# Table 1, stages 2 to 8: expansion, kernel, filters, repeats, stride of the first. A stage here shares one resolution.
STAGES = (
    ((1, 3, 16, 1, 1),),  # 112, 112
    ((6, 3, 24, 2, 2),),  # 56, 56
    ((6, 5, 40, 2, 2),),  # 28, 28
    ((6, 3, 80, 3, 2), (6, 5, 112, 3, 1)),  # 14, 14
    ((6, 5, 192, 4, 2), (6, 3, 320, 1, 1)),  # 7, 7
)

STYLES = {
    "keras": Style("same", epsilon=1e-3, activation="silu"),
    "torchvision": Style("symmetric", epsilon=1e-5, activation="silu"),
    "timm": Style("symmetric", epsilon=1e-5, activation="silu"),
}


def trunk(
    x: keras.KerasTensor,
    *,
    width: float = 1.0,
    ends: float | None = None,
    depth: float = 1.0,
    stem: str = "imagenet",
    excite: bool = True,
    drop_path: float = 0.2,
    style: Style,
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1 ... stage5, h / 2, h / 4, ... pixels a side, and the last

    `ends`: multiplier of the first and the last convolution's filters, by default `width`.
    """
    ends = width if ends is None else ends
    x = conv_bn(x, scale_width(32, ends), 3, 2 if stem == "imagenet" else 1, style=style)
    total = sum(scale_depth(row[3], depth) for rows in STAGES for row in rows)
    stages = []
    number = 0
    for stage, rows in enumerate(STAGES, start=1):
        blocks = [
            (expansion, kernel, filters, stride if i == 0 else 1)
            for expansion, kernel, filters, repeats, stride in rows
            for i in range(scale_depth(repeats, depth))
        ]
        for i, (expansion, kernel, filters, stride) in enumerate(blocks, start=1):
            # Section 3.3: a quarter of the block's input, not of the expanded filters.
            units = max(1, x.shape[-1] // 4)
            x = inverted_residual(
                x,
                scale_width(filters, width),
                kernel,
                stride,
                expansion * x.shape[-1],
                excite=partial(squeeze_excite, units=units, activation=style.activation) if excite else None,
                drop_path=drop_path * number / total,
                style=style,
                name=f"stage{stage}" if i == len(blocks) else None,
            )
            number += 1
        stages.append(x)
    return [*stages, conv_bn(x, scale_width(1280, ends), 1, style=style)]


def efficientnet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    width_coefficient: float = 1.0,
    depth_coefficient: float = 1.0,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "keras",
    lite: bool = False,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    bn_momentum: float = 0.9,
    name: str = "efficientnet",
) -> keras.Model:
    """EfficientNet.

    Args:
        input_shape: (height, width, channels), at least 16 pixels a side.
        num_classes: number of logits; 0 for the pooled features.
        width_coefficient, depth_coefficient: the variant's multipliers of filters and repeats.
        width: a further multiplier of all filters.
        depth: a further multiplier of all repeats.
        stem: "imagenet" (first convolution with stride 2) or "cifar" (stride 1).
        form: "keras", "torchvision" or "timm"; see the module's docstring.
        lite: ReLU6 for SiLU, no squeeze-and-excitation, `width_coefficient` without the first and the last convolution.
        dropout: rate before the last layer.
        drop_path: share of the examples for which a training step leaves out a block (stochastic depth): 0 in the
            first block, growing with the block's number to this value after the last.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). The last map of each
        resolution is named stage1 ... stage5 (strides 2, 4, 8, 16, 32 with the ImageNet stem).
    """
    choose("stem", stem, ("imagenet", "cifar"))
    choose("form", form, STYLES)
    inputs = keras.Input(input_shape)
    style = STYLES[form]._replace(bn_momentum=bn_momentum)
    if form == "torchvision" and width_coefficient > 1.5:
        style = style._replace(epsilon=1e-3)
    if lite:
        style = style._replace(activation="relu6")
    *_, x = trunk(
        inputs,
        width=width * width_coefficient,
        ends=width if lite else None,
        depth=depth * depth_coefficient,
        stem=stem,
        excite=not lite,
        drop_path=drop_path,
        style=style,
    )
    return classify(inputs, x, num_classes, dropout=dropout, name=name)


# The authors' coefficients and dropout, from efficientnet_builder.py of their code.
PUBLISHED = {
    "efficientnet_b0": (Scaling(1.0, 1.0, 224), 0.2),
    "efficientnet_b1": (Scaling(1.0, 1.1, 240), 0.2),
    "efficientnet_b2": (Scaling(1.1, 1.2, 260), 0.3),
    "efficientnet_b3": (Scaling(1.2, 1.4, 300), 0.3),
    "efficientnet_b4": (Scaling(1.4, 1.8, 380), 0.4),
    "efficientnet_b5": (Scaling(1.6, 2.2, 456), 0.4),
    "efficientnet_b6": (Scaling(1.8, 2.6, 528), 0.5),
    "efficientnet_b7": (Scaling(2.0, 3.1, 600), 0.5),
}


def variant(name: str, scaling: Scaling, dropout: float) -> Callable[..., keras.Model]:
    """A row of VARIANTS."""
    return partial(
        efficientnet,
        input_shape=(int(scaling.resolution), int(scaling.resolution), 3),
        width_coefficient=scaling.width,
        depth_coefficient=scaling.depth,
        dropout=dropout,
        name=name,
    )


VARIANTS = {name: variant(name, *row) for name, row in PUBLISHED.items()}
VARIANTS["efficientnet_lite0"] = partial(efficientnet, lite=True, name="efficientnet_lite0")
