"""What the networks are built of: a convolution with its normalisation and activation, and pooling.

`Style` holds what one published version of a network does alike in all its layers, so that a row of a table says only
kernel, filters and stride.
"""

from __future__ import annotations

from typing import NamedTuple

from keras import layers


class Style(NamedTuple):
    """Conventions of a published version.

    padding "same" is TensorFlow's (an even map with stride 2: nothing before, one pixel after), "symmetric" PyTorch's
    (as much before as after). Both keep the size at stride 1, where they are the same thing. "valid" is none. epsilon
    and scale are batch norm's; bias says whether a convolution before batch norm has one; initializer is its kernel's.
    """

    padding: str = "symmetric"
    epsilon: float = 1e-5
    bn_momentum: float = 0.9
    bias: bool = False
    scale: bool = True
    activation: str | None = "relu"
    initializer: str = "he_normal"


def conv_bn(x, filters, kernel, stride=1, *, style, activation="style", name=None):
    """Convolution, batch norm, activation. (h, w, c) -> (h / stride, w / stride, filters)

    `kernel` is a number or a pair; `activation` the style's, another or None; `name` that of the last layer.
    """
    x, padding = _padded(x, kernel, stride, style)
    x = layers.Conv2D(filters, kernel, stride, padding, use_bias=style.bias, kernel_initializer=style.initializer)(x)
    return bn(x, style=style, activation=activation, name=name)


def depthwise_bn(x, kernel, stride=1, *, style, activation="style", name=None):
    """Depthwise convolution, batch norm, activation. (h, w, c) -> (h / stride, w / stride, c)"""
    x, padding = _padded(x, kernel, stride, style)
    x = layers.DepthwiseConv2D(kernel, stride, padding, use_bias=style.bias)(x)
    return bn(x, style=style, activation=activation, name=name)


def bn(x, *, style, activation="style", name=None):
    """Batch norm and activation. Same shape."""
    activation = style.activation if activation == "style" else activation
    norm = layers.BatchNormalization(
        momentum=style.bn_momentum, epsilon=style.epsilon, scale=style.scale, name=None if activation else name
    )
    return layers.Activation(activation, name=name)(norm(x)) if activation else norm(x)


def max_pool(x, size, stride, padding=0, ceil=False):
    """Max pooling of maps that are not negative, as they are after ReLU: the border is of zeros.

    `ceil` lets the last window hang over the end, as Caffe and torchvision's GoogLeNet and SqueezeNet do; with windows
    at least as large as the stride that is a border of stride - 1 at the end.
    """
    if padding or ceil:
        x = layers.ZeroPadding2D(((padding, padding + ceil * (stride - 1)),) * 2)(x)
    return layers.MaxPooling2D(size, stride)(x)


def _padded(x, kernel, stride, style):
    """The map with the border that PyTorch adds before a strided convolution, and Keras' name for the rest."""
    if style.padding == "valid":
        return x, "valid"
    if stride == 1 or style.padding == "same":
        return x, "same"
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return layers.ZeroPadding2D(tuple((k - 1) // 2 for k in sides))(x) if max(sides) > 1 else x, "valid"
