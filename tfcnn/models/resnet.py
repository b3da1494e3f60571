"""ResNet: He, Zhang, Ren & Sun, "Deep residual learning for image recognition", 2015.

Table 1 (resnet18 ... resnet152, projection where the shape changes) and section 4.2 (resnet20 ... resnet110 for
CIFAR, parameter-free shortcuts: option A). The plain bottleneck networks are "v1.5", as torchvision and timm
load them: the stride is on the 3x3 convolution. form="paper" has it on the first 1x1; form="keras" is that with
the convolution biases of keras.applications. Strided convolutions pad both sides equally, as PyTorch does.
"""

from __future__ import annotations

from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic import scale_depth, scale_width
from tfcnn.config import choose


def conv_bn(x, filters, kernel, stride=1, *, style, relu=True, name=None):
    """Convolution, batch norm and, unless relu=False, ReLU. (h, w, c) -> (h / stride, w / stride, filters)"""
    if kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2)(x)
    x = layers.Conv2D(filters, kernel, stride, use_bias=style["bias"], kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=style["bn_momentum"], epsilon=style["epsilon"])(x)
    return layers.ReLU(name=name)(x) if relu else x


def shortcut(x, filters, stride, *, style):
    """The identity where the shape stays; else a 1x1 projection (B) or subsampling and zero channels (A)."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    if style["option"] == "B":
        return conv_bn(x, filters, 1, stride, style=style, relu=False)
    x = layers.MaxPooling2D(1, stride)(x)
    missing = filters - x.shape[-1]
    return keras.ops.pad(x, [(0, 0)] * 3 + [(missing // 2, missing - missing // 2)]) if missing else x


def basic(x, filters, stride, *, style, name=None):
    """Figure 5 left: two 3x3 convolutions. (h, w, c) -> (h / stride, w / stride, filters)"""
    y = conv_bn(x, filters, 3, stride, style=style)
    y = conv_bn(y, filters, 3, style=style, relu=False)
    return layers.ReLU(name=name)(layers.Add()([y, shortcut(x, filters, stride, style=style)]))


def bottleneck(x, filters, stride, *, style, name=None):
    """Figure 5 right: 1x1, 3x3, 1x1 with four times the filters. (h, w, c) -> (h / stride, w / stride, 4 filters)"""
    first, second = (stride, 1) if style["stride_first"] else (1, stride)
    y = conv_bn(x, filters, 1, first, style=style)
    y = conv_bn(y, filters, 3, second, style=style)
    y = conv_bn(y, 4 * filters, 1, style=style, relu=False)
    return layers.ReLU(name=name)(layers.Add()([y, shortcut(x, 4 * filters, stride, style=style)]))


def resnet(
    input_shape=(224, 224, 3),
    num_classes=1000,
    *,
    block,
    repeats,
    filters=(64, 128, 256, 512),
    option="B",
    width=1.0,
    depth=1.0,
    stem="imagenet",
    form="torchvision",
    bn_momentum=0.9,
    name="resnet",
):
    """ResNet.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side.
        num_classes: number of logits.
        block: "basic" or "bottleneck".
        repeats: blocks in each stage; every stage after the first halves the map.
        filters: filters of each stage (of its 3x3 convolutions).
        option: shortcut where the shape changes, "A" (zero channels) or "B" (projection).
        width: multiplier of `filters`.
        depth: multiplier of `repeats`.
        stem: "imagenet" (7x7 stride 2, then 3x3 max pooling stride 2) or "cifar" (3x3 stride 1).
        form: "torchvision", "paper" or "keras"; see the module's docstring.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). The stem's map is
        named stage1, the others' last stage2, stage3, ... (strides 2, 4, 8, 16, 32 with the ImageNet stem).
    """
    choose("block", block, ("basic", "bottleneck"))
    choose("option", option, ("A", "B"))
    choose("stem", stem, ("imagenet", "cifar"))
    choose("form", form, ("torchvision", "paper", "keras"))
    style = {
        "bias": form == "keras",
        "stride_first": form != "torchvision",
        "epsilon": 1.001e-5 if form == "keras" else 1e-5,
        "bn_momentum": bn_momentum,
        "option": option,
    }
    unit = basic if block == "basic" else bottleneck
    filters = [scale_width(n, width) for n in filters]

    inputs = keras.Input(input_shape)
    if stem == "imagenet":
        x = conv_bn(inputs, filters[0], 7, 2, style=style, name="stage1")  # 112, 112, 64
        x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))  # 56, 56, 64; zeros are harmless after ReLU
    else:
        x = conv_bn(inputs, filters[0], 3, style=style, name="stage1")
    for stage, (n, f) in enumerate(zip(repeats, filters, strict=True)):
        n = scale_depth(n, depth)
        for i in range(n):
            stride = 2 if stage > 0 and i == 0 else 1
            x = unit(x, f, stride, style=style, name=f"stage{stage + 2}" if i == n - 1 else None)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32", name="logits")(x), name=name)


def cifar(n):
    """Section 4.2: 6n + 2 layers, three stages of n blocks."""
    rows = {"block": "basic", "repeats": (n, n, n), "filters": (16, 32, 64), "option": "A", "stem": "cifar"}
    return partial(resnet, input_shape=(32, 32, 3), num_classes=10, **rows)


VARIANTS = {
    "resnet18": partial(resnet, block="basic", repeats=(2, 2, 2, 2), name="resnet18"),
    "resnet34": partial(resnet, block="basic", repeats=(3, 4, 6, 3), name="resnet34"),
    "resnet50": partial(resnet, block="bottleneck", repeats=(3, 4, 6, 3), name="resnet50"),
    "resnet101": partial(resnet, block="bottleneck", repeats=(3, 4, 23, 3), name="resnet101"),
    "resnet152": partial(resnet, block="bottleneck", repeats=(3, 8, 36, 3), name="resnet152"),
    "resnet20": partial(cifar(3), name="resnet20"),
    "resnet32": partial(cifar(5), name="resnet32"),
    "resnet44": partial(cifar(7), name="resnet44"),
    "resnet56": partial(cifar(9), name="resnet56"),
    "resnet110": partial(cifar(18), name="resnet110"),
}
