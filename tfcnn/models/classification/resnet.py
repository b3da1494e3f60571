"""ResNet: He, Zhang, Ren & Sun, "Deep residual learning for image recognition", 2015.

Table 1 (resnet18 ... resnet152, projection where the shape changes) and section 4.2 (resnet20 ... resnet110 for
CIFAR, parameter-free shortcuts: option A). The plain bottleneck networks are "v1.5", as torchvision and timm
load them: the stride is on the 3x3 convolution. form="paper" has it on the first 1x1; form="keras" is that with
the convolution biases of keras.applications. Strided convolutions pad both sides equally, as PyTorch does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.models.blocks import Style, conv_bn, max_pool
from tfcnn.models.heads import classify


def shortcut(x: keras.KerasTensor, filters: int, stride: int, *, option: str, style: Style) -> keras.KerasTensor:
    """The identity where the shape stays; else a 1x1 projection (B) or subsampling and zero channels (A)."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    if option == "B":
        return conv_bn(x, filters, 1, stride, style=style, activation=None)
    x = layers.MaxPooling2D(1, stride)(x)
    missing = filters - x.shape[-1]
    if not missing:
        return x
    return keras.ops.pad(x, [(0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)])


def basic(
    x: keras.KerasTensor, filters: int, stride: int, *, option: str, style: Style, name: str | None = None
) -> keras.KerasTensor:
    """Figure 5 left: two 3x3 convolutions. (h, w, c) -> (h / stride, w / stride, filters)"""
    y = conv_bn(x, filters, 3, stride, style=style)
    y = conv_bn(y, filters, 3, style=style, activation=None)
    return layers.ReLU(name=name)(layers.Add()([y, shortcut(x, filters, stride, option=option, style=style)]))


def bottleneck(
    x: keras.KerasTensor,
    filters: int,
    stride: int,
    *,
    option: str,
    style: Style,
    stride_first: bool,
    name: str | None = None,
) -> keras.KerasTensor:
    """Figure 5 right: 1x1, 3x3, 1x1 with four times the filters. (h, w, c) -> (h / stride, w / stride, 4 filters)"""
    y = conv_bn(x, filters, 1, stride if stride_first else 1, style=style)
    y = conv_bn(y, filters, 3, 1 if stride_first else stride, style=style)
    y = conv_bn(y, 4 * filters, 1, style=style, activation=None)
    return layers.ReLU(name=name)(layers.Add()([y, shortcut(x, 4 * filters, stride, option=option, style=style)]))


def trunk(
    x: keras.KerasTensor,
    *,
    block: str,
    repeats: Sequence[int],
    filters: Sequence[int],
    option: str = "B",
    stem: str = "imagenet",
    form: str = "torchvision",
    bn_momentum: float = 0.9,
) -> list[keras.KerasTensor]:
    """The convolutional part. (h, w, c) -> the maps stage1, stage2, ..., with h / 2, h / 4, ... pixels a side

    The arguments are those of `resnet`.
    """
    choose("block", block, ("basic", "bottleneck"))
    choose("option", option, ("A", "B"))
    choose("stem", stem, ("imagenet", "cifar"))
    choose("form", form, ("torchvision", "paper", "keras"))
    style = Style(bias=form == "keras", epsilon=1.001e-5 if form == "keras" else 1e-5, bn_momentum=bn_momentum)
    unit = basic if block == "basic" else partial(bottleneck, stride_first=form != "torchvision")

    if stem == "imagenet":
        stages = [conv_bn(x, filters[0], 7, 2, style=style, name="stage1")]  # 112, 112, 64
        x = max_pool(stages[0], 3, 2, padding=1)  # 56, 56, 64
    else:
        x = conv_bn(x, filters[0], 3, style=style, name="stage1")
        stages = [x]
    for stage, (n, f) in enumerate(zip(repeats, filters, strict=True), start=2):
        for i in range(n):
            stride = 2 if stage > 2 and i == 0 else 1
            last = f"stage{stage}" if i == n - 1 else None
            x = unit(x, f, stride, option=option, style=style, name=last)
        stages.append(x)
    return stages


def resnet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    block: str,
    repeats: Sequence[int],
    filters: Sequence[int] = (64, 128, 256, 512),
    option: str = "B",
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    form: str = "torchvision",
    bn_momentum: float = 0.9,
    name: str = "resnet",
) -> keras.Model:
    """ResNet.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side.
        num_classes: number of logits; 0 for the pooled features.
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
    inputs = keras.Input(input_shape)
    *_, x = trunk(
        inputs,
        block=block,
        repeats=[scale_depth(n, depth) for n in repeats],
        filters=[scale_width(f, width) for f in filters],
        option=option,
        stem=stem,
        form=form,
        bn_momentum=bn_momentum,
    )
    return classify(inputs, x, num_classes, name=name)


def cifar(n: int) -> Callable[..., keras.Model]:
    """Section 4.2: 6n + 2 layers, three stages of n blocks."""
    return partial(
        resnet,
        input_shape=(32, 32, 3),
        num_classes=10,
        block="basic",
        repeats=(n, n, n),
        filters=(16, 32, 64),
        option="A",
        stem="cifar",
    )


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
