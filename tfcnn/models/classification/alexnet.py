"""AlexNet: Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks", 2012.

Five convolutions, three poolings and three dense layers, in three published networks.

`alexnet_2012`: section 3.5 and figure 2: two groups, one for each GPU, in conv2, conv4, conv5; dropout after fc6, fc7.
Images have 227 pixels a side, which give the paper's 55 positions; its 224 give no whole number.

`alexnet`: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, as torchvision has it:
one tower, fewer filters, no response normalisation, dropout before fc6 and fc7. At sizes other than 224 fc6 takes the
last map as it is, where torchvision resamples it to 6x6.

`zfnet`: Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013, figure 3: 7x7 stride 2 and 5x5
stride 2 first. The figure's sizes (224, 110, 55, 26, 13, 6) mean a border of 1 in conv1, none in conv2, and poolings
whose last window hangs over the end. Its contrast normalisation, after the poolings, is AlexNet's with AlexNet's
constants; the paper gives none.

Differences from the papers, all three: weights start from He's normal distribution and biases from 0 (2012: standard
deviation 0.01, and biases of 1 in conv2, conv4, conv5, fc6 and fc7; 2013: 0.01 and 0). fc8 is the layer `logits`.
`depth` repeats conv4. stem="cifar" is for small images: conv1 is 3x3 and conv2 5x5, both with stride 1, and the
poolings stay.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.layers import LocalResponseNormalization, PaddedConv2D
from tfcnn.models.blocks import max_pool
from tfcnn.models.heads import classify, logits


class Conv(NamedTuple):
    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1


class Plan(NamedTuple):
    """One network: conv1 ... conv5 (a pooling after 1, 2 and 5), and the layers between them."""

    convolutions: tuple[Conv, ...]
    normalise: str | None = None  # "before" or "after" the first two poolings
    ceil: bool = False  # the last pooling window may hang over the end
    dropout: str = "after"  # "before" or "after" fc6 and fc7


ALEXNET = Plan(
    (
        Conv(64, 11, stride=4, padding=2),  # 224: 55, pooled 27
        Conv(192, 5, padding=2),  # 27, pooled 13
        Conv(384, 3, padding=1),  # 13
        Conv(256, 3, padding=1),
        Conv(256, 3, padding=1),  # 13, pooled 6
    ),
    dropout="before",
)
ALEXNET_2012 = Plan(
    (
        Conv(96, 11, stride=4),  # 227: 55, pooled 27
        Conv(256, 5, padding=2, groups=2),  # 27, pooled 13
        Conv(384, 3, padding=1),  # 13
        Conv(384, 3, padding=1, groups=2),
        Conv(256, 3, padding=1, groups=2),  # 13, pooled 6
    ),
    normalise="before",
)
ZFNET = Plan(
    (
        Conv(96, 7, stride=2, padding=1),  # 224: 110, pooled 55
        Conv(256, 5, stride=2),  # 26, pooled 13
        Conv(384, 3, padding=1),  # 13
        Conv(384, 3, padding=1),
        Conv(256, 3, padding=1),  # 13, pooled 6
    ),
    normalise="after",
    ceil=True,
)
SMALL_STEM = ((3, 1, 1), (5, 1, 2))  # kernel, stride and padding of conv1 and conv2 for small images


def trunk(
    x: keras.KerasTensor, *, plan: Plan, width: float = 1.0, depth: float = 1.0, stem: str = "imagenet"
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps after the three poolings, with h / 8, h / 16, h / 32 pixels a side

    The arguments are those of `alexnet`.
    """
    choose("stem", stem, ("imagenet", "cifar"))
    rows = list(plan.convolutions)
    if stem == "cifar":
        for i, (kernel, stride, padding) in enumerate(SMALL_STEM):
            rows[i] = rows[i]._replace(kernel=kernel, stride=stride, padding=padding)
    pooled = []
    for number, row in enumerate(rows, start=1):
        repeats = scale_depth(1, depth) if number == 4 else 1
        for repeat in range(1, repeats + 1):
            x = PaddedConv2D(
                scale_width(row.filters, width),
                row.kernel,
                row.stride,
                row.padding,
                groups=row.groups,
                activation="relu",
                kernel_initializer="he_normal",
                name=f"conv{number}" if repeat == repeats else None,
            )(x)
        normalise = plan.normalise if number < 3 else None
        if normalise == "before":
            x = LocalResponseNormalization(size=5, alpha=1e-4, beta=0.75, k=2, name=f"norm{number}")(x)
        if number in (1, 2, 5):
            x = max_pool(x, 3, 2, ceil=plan.ceil, name=f"pool{number}")
            pooled.append(x)
        if normalise == "after":
            x = LocalResponseNormalization(size=5, alpha=1e-4, beta=0.75, k=2, name=f"norm{number}")(x)
    return pooled


def alexnet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    plan: Plan = ALEXNET,
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    dropout: float = 0.5,
    name: str = "alexnet",
) -> keras.Model:
    """AlexNet.

    Args:
        input_shape: (height, width, channels), at least 15 pixels a side.
        num_classes: number of logits; 0 for the last pooled map, averaged over its positions.
        plan: the table of convolutions and of the layers between them.
        width: multiplier of all filters and of the 4096 units of fc6 and fc7.
        depth: multiplier of conv4.
        stem: "imagenet" (at least 63 pixels a side) or "cifar"; see the module's docstring.
        dropout: rate at fc6 and fc7.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). conv1 ... conv5, fc6 and
        fc7 are named, each with its ReLU; conv1, conv2 and conv5 have strides 4, 8 and 16 (ZFNet: 2, 8, 16).
    """
    inputs = keras.Input(input_shape)
    *_, x = trunk(inputs, plan=plan, width=width, depth=depth, stem=stem)
    if num_classes == 0:
        return classify(inputs, x, 0, name=name)
    x = layers.Flatten()(x)
    for fc in ("fc6", "fc7"):
        if plan.dropout == "before":
            x = layers.Dropout(dropout)(x)
        x = layers.Dense(scale_width(4096, width), activation="relu", kernel_initializer="he_normal", name=fc)(x)
        if plan.dropout == "after":
            x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, logits(x, num_classes), name=name)


VARIANTS = {
    "alexnet": alexnet,
    "alexnet_2012": partial(alexnet, input_shape=(227, 227, 3), plan=ALEXNET_2012, name="alexnet_2012"),
    "zfnet": partial(alexnet, plan=ZFNET, name="zfnet"),
}
