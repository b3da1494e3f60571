"""The blocks of the networks: a convolution with its normalisation and activation, and pooling.

`Style` holds what all layers of one published version have in common, so that a row of a table says only kernel,
filters and stride.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import layers

from tfcnn.arithmetic.sizes import same_padding
from tfcnn.errors import choose
from tfcnn.layers import BlurPooling2D, LpPooling2D

Kernel = int | tuple[int, int]


class Style(NamedTuple):
    """Conventions of a published version.

    padding "same" is TensorFlow's (an even map with stride 2: nothing before, one pixel after), "symmetric" PyTorch's
    (as much before as after). At stride 1 the two are the same and keep the size. "valid" is none. epsilon and scale
    are batch norm's; bias says whether a convolution before batch norm has one; initializer is its kernel's.
    """

    padding: str = "symmetric"
    epsilon: float = 1e-5
    bn_momentum: float = 0.9
    bias: bool = False
    scale: bool = True
    activation: str | None = "relu"
    initializer: str = "he_normal"


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel: Kernel,
    stride: int = 1,
    *,
    style: Style,
    activation: str | None = "style",
    name: str | None = None,
) -> keras.KerasTensor:
    """Convolution, batch norm, activation. (h, w, c) -> (h / stride, w / stride, filters)

    `activation`: the style's by default, or None; `name`: of the last layer.
    """
    x, padding = _padded(x, kernel, stride, style)
    x = layers.Conv2D(filters, kernel, stride, padding, use_bias=style.bias, kernel_initializer=style.initializer)(x)
    return bn(x, style=style, activation=activation, name=name)


def depthwise_bn(
    x: keras.KerasTensor,
    kernel: Kernel,
    stride: int = 1,
    *,
    style: Style,
    activation: str | None = "style",
    name: str | None = None,
) -> keras.KerasTensor:
    """Depthwise convolution, batch norm, activation. (h, w, c) -> (h / stride, w / stride, c)"""
    x, padding = _padded(x, kernel, stride, style)
    x = layers.DepthwiseConv2D(kernel, stride, padding, use_bias=style.bias)(x)
    return bn(x, style=style, activation=activation, name=name)


def bn(
    x: keras.KerasTensor, *, style: Style, activation: str | None = "style", name: str | None = None
) -> keras.KerasTensor:
    """Batch norm and activation. Same shape."""
    activation = style.activation if activation == "style" else activation
    norm = layers.BatchNormalization(
        momentum=style.bn_momentum, epsilon=style.epsilon, scale=style.scale, name=None if activation else name
    )
    return layers.Activation(activation, name=name)(norm(x)) if activation else norm(x)


def max_pool(
    x: keras.KerasTensor, size: int, stride: int, padding: int = 0, ceil: bool = False, name: str | None = None
) -> keras.KerasTensor:
    """Max pooling of maps that are not negative, as they are after ReLU: the border is of zeros.

    `ceil` lets the last window hang over the end, as Caffe and torchvision's GoogLeNet and SqueezeNet do; with windows
    at least as large as the stride that is a border of stride - 1 at the end. Where no window hangs over, or each as
    with "same" padding, none is added: a border copies the map, and its gradient once more.
    """
    sides = x.shape[1:3]
    if ceil and not padding and None not in sides:
        missing = [(0, (size - side) % stride) for side in sides]
        if not any(after for _, after in missing):
            return layers.MaxPooling2D(size, stride, name=name)(x)
        if missing == [same_padding(side, size, stride) for side in sides]:
            return layers.MaxPooling2D(size, stride, "same", name=name)(x)
    if padding or ceil:
        after = padding + stride - 1 if ceil else padding
        x = layers.ZeroPadding2D(((padding, after), (padding, after)))(x)
    return layers.MaxPooling2D(size, stride, name=name)(x)


POOLINGS = ("max", "average", "l2", "strided", "blur")


def pool(x: keras.KerasTensor, kind: str, size: int) -> keras.KerasTensor:
    """Pooling of one of POOLINGS, over windows that do not overlap. (h, w, c) -> (h / size, w / size, c)

    "strided" takes one value of each window, so that with the convolution before it is one of this stride; "blur" is
    the maximum with stride 1 and a binomial filter (Zhang, 2019).

    Raises:
        BadInput, a ValueError: another kind.
    """
    choose("pool", kind, POOLINGS)
    match kind:
        case "average":
            return layers.AveragePooling2D(size)(x)
        case "l2":
            return LpPooling2D(size)(x)
        case "strided":
            return layers.MaxPooling2D(1, size)(x)
        case "blur":
            return BlurPooling2D(strides=size)(layers.MaxPooling2D(size, 1)(x))
    return layers.MaxPooling2D(size)(x)


def _padded(x: keras.KerasTensor, kernel: Kernel, stride: int, style: Style) -> tuple[keras.KerasTensor, str]:
    """The map with the border that PyTorch adds before a strided convolution, and Keras' name of the padding left."""
    if style.padding == "valid":
        return x, "valid"
    if stride == 1 or style.padding == "same":
        return x, "same"
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    if max(sides) > 1:
        x = layers.ZeroPadding2D(tuple((side - 1) // 2 for side in sides))(x)
    return x, "valid"
