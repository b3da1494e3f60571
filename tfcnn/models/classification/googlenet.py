"""GoogLeNet: Szegedy et al., "Going deeper with convolutions", 2014.

Table 1. form="torchvision" is the widely used network: batch norm after each convolution, 3x3 convolutions
where the table has 5x5, no response normalisation, a last pooling of 2x2. (Its published weights take images in -1 ...
1.) form="paper" is Table 1 with figure 3's response normalisation, with AlexNet's constants, as the paper gives none.
Pooling windows may hang over the end in both, which makes the table's sizes. Differences from the paper: weights start
from He's normal distribution; `depth` repeats modules within a stage.

auxiliary=True adds the two classifiers of section 5, on the maps of modules 4a and 4d, for training with their losses
weighted by 0.3. Their average pooling is the paper's 5x5 with stride 3; torchvision's form resamples any map to 4x4.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_rows, scale_width
from tfcnn.errors import choose
from tfcnn.layers import LocalResponseNormalization, PaddedConv2D
from tfcnn.models.blocks import Style, conv_bn, max_pool
from tfcnn.models.heads import classify

# Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj.
STAGES = (
    (  # 28, 28
        (64, 96, 128, 16, 32, 32),  # 3a
        (128, 128, 192, 32, 96, 64),  # 3b
    ),
    (  # 14, 14
        (192, 96, 208, 16, 48, 64),  # 4a: the first auxiliary classifier
        (160, 112, 224, 24, 64, 64),  # 4b
        (128, 128, 256, 24, 64, 64),  # 4c
        (112, 144, 288, 32, 64, 64),  # 4d: the second
        (256, 160, 320, 32, 128, 128),  # 4e
    ),
    (  # 7, 7
        (256, 160, 320, 32, 128, 128),  # 5a
        (384, 192, 384, 48, 128, 128),  # 5b
    ),
)
FORMS: dict[str, Style | None] = {"torchvision": Style(epsilon=1e-3), "paper": None}  # None: no batch norm


def conv(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int = 1, *, style: Style | None, name: str | None = None
) -> keras.KerasTensor:
    """Convolution, batch norm where there is a style, ReLU. (h, w, c) -> (h / stride, w / stride, filters)"""
    if style:
        return conv_bn(x, filters, kernel, stride, style=style, name=name)
    layer = PaddedConv2D(filters, kernel, stride, "half", activation="relu", kernel_initializer="he_normal", name=name)
    return layer(x)


def inception(
    x: keras.KerasTensor, row: Iterable[int], *, style: Style | None, name: str | None = None
) -> keras.KerasTensor:
    """Figure 2b: four parallel branches. (h, w, c) -> (h, w, the sum of their filters)"""
    f1, reduce3, f3, reduce5, f5, proj = row
    a = conv(x, f1, 1, style=style)
    b = conv(conv(x, reduce3, 1, style=style), f3, 3, style=style)
    c = conv(conv(x, reduce5, 1, style=style), f5, 3 if style else 5, style=style)
    d = conv(layers.MaxPooling2D(3, 1, "same")(x), proj, 1, style=style)
    return layers.Concatenate(name=name)([a, b, c, d])


def auxiliary_classifier(
    x: keras.KerasTensor, num_classes: int, *, width: float, style: Style | None, dropout: float, name: str
) -> keras.KerasTensor:
    """Section 5: average pooling, 1x1 convolution, a hidden dense layer. (h, w, c) -> (num_classes,)"""
    x = layers.AdaptiveAveragePooling2D(4)(x) if style else layers.AveragePooling2D(5, 3)(x)
    x = layers.Flatten()(conv(x, scale_width(128, width), 1, style=style))
    x = layers.Dense(scale_width(1024, width), activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Dropout(dropout)(x)
    return layers.Dense(num_classes, dtype="float32", name=name)(x)


def trunk(
    x: keras.KerasTensor, *, width: float = 1.0, depth: float = 1.0, stem: str = "imagenet", style: Style | None
) -> tuple[list[keras.KerasTensor], tuple[keras.KerasTensor, keras.KerasTensor]]:
    """The convolutional part. (h, w, c) -> the maps stage1 ... stage5, with h / 2, h / 4, ... pixels a side

    The arguments are those of `googlenet`; `style` is batch norm's, None for the paper's form. Returns a pair: the list
    of maps, and the two maps within stage4 (of 4a and 4d) that the auxiliary classifiers take.
    """
    choose("stem", stem, ("imagenet", "cifar"))
    scaled = partial(scale_width, width=width)
    if stem == "imagenet":
        x = conv(x, scaled(64), 7, 2, style=style, name="stage1")  # 112, 112
        maps = [x]
        x = max_pool(x, 3, 2, ceil=True)  # 56, 56
    else:
        x = conv(x, scaled(64), 3, style=style, name="stage1")
        maps = [x]
    x = x if style else LocalResponseNormalization()(x)
    x = conv(conv(x, scaled(64), 1, style=style), scaled(192), 3, style=style, name="stage2")
    maps.append(x)
    x = x if style else LocalResponseNormalization()(x)
    for stage, rows in enumerate(STAGES, start=3):
        scaled_rows = scale_rows(rows, depth)
        x = max_pool(x, 2 if style and stage == 5 else 3, 2, ceil=True)
        modules = []
        for i, row in enumerate(scaled_rows, start=1):
            last = f"stage{stage}" if i == len(scaled_rows) else None
            x = inception(x, map(scaled, row), style=style, name=last)
            modules.append(x)
        if stage == 4:
            auxiliary = modules[0], modules[-2:][0]  # of one module, that module twice
        maps.append(x)
    return maps, auxiliary


def googlenet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "torchvision",
    auxiliary: bool = False,
    dropout: float = 0.4,
    auxiliary_dropout: float = 0.7,
    bn_momentum: float = 0.9,
    name: str = "googlenet",
) -> keras.Model:
    """GoogLeNet.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side.
        num_classes: number of logits; 0 for the pooled features.
        width: multiplier of all filters.
        depth: multiplier of the modules in each stage.
        stem: "imagenet" (7x7 stride 2, then 3x3 max pooling stride 2) or "cifar" (3x3 stride 1).
        form: "torchvision" or "paper"; see the module's docstring.
        auxiliary: add the two auxiliary classifiers; the paper's form needs 5 pixels a side in 4a and 4d.
        dropout: rate before the last layer (torchvision has 0.2).
        auxiliary_dropout: rate after the hidden layer of each auxiliary classifier.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes); with `auxiliary` a list of
        them: the network's, then those on 4a and 4d, of layers auxiliary1 and auxiliary2. The last map of each
        resolution is named stage1 ... stage5 (strides 2, 4, 8, 16, 32 with the ImageNet stem).
    """
    choose("form", form, FORMS)
    style = FORMS[form]
    if style:
        style = style._replace(bn_momentum=bn_momentum)
    inputs = keras.Input(input_shape)
    (*_, x), auxiliary_maps = trunk(inputs, width=width, depth=depth, stem=stem, style=style)
    model = classify(inputs, x, num_classes, dropout=dropout, name=name)
    if not auxiliary or num_classes == 0:
        return model
    outputs = [
        auxiliary_classifier(
            x, num_classes, width=width, style=style, dropout=auxiliary_dropout, name=f"auxiliary{number}"
        )
        for number, x in enumerate(auxiliary_maps, start=1)
    ]
    return keras.Model(inputs, [model.output, *outputs], name=name)


VARIANTS = {"googlenet": googlenet}
