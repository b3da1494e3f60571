"""The block that MobileNetV2, MobileNetV3 and EfficientNet share: expand, filter each map, weigh the maps, project."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from tfcnn.models.blocks import Style, conv_bn, depthwise_bn


def inverted_residual(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    stride: int,
    expanded: int,
    *,
    excite: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None,
    drop_path: float = 0.0,
    style: Style,
    name: str | None = None,
) -> keras.KerasTensor:
    """1x1, depthwise, 1x1 without activation, and the identity where the shape stays.

    (h, w, c) -> (h / stride, w / stride, filters)

    Args:
        x: the map.
        filters, kernel, stride: of the block; the kernel is the depthwise convolution's.
        expanded: filters of the first 1x1 convolution, which is left out where there are as many maps already.
        excite: applied to the filtered map, such as `squeeze_excite` with its arguments bound; None for nothing.
        drop_path: share of the examples for which a training step leaves out the branch and keeps the identity.
        style: padding, batch norm and activation.
        name: of the last layer.
    """
    skip = stride == 1 and x.shape[-1] == filters
    y = x if x.shape[-1] == expanded else conv_bn(x, expanded, 1, style=style)
    y = depthwise_bn(y, kernel, stride, style=style)
    if excite:
        y = excite(y)
    y = conv_bn(y, filters, 1, style=style, activation=None, name=None if skip else name)
    if not skip:
        return y
    if drop_path:
        y = layers.Dropout(drop_path, noise_shape=(None, 1, 1, 1))(y)
    return layers.Add(name=name)([x, y])


def squeeze_excite(
    x: keras.KerasTensor, units: int, *, activation: str | None = "relu", gate: str = "sigmoid"
) -> keras.KerasTensor:
    """Weights in (0, 1) for all maps, from their means. Same shape.

    Hu, Shen & Sun, "Squeeze-and-excitation networks", 2017, Figure 3; `units` between the two dense layers, which are
    1x1 convolutions here.
    """
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(units, 1, activation=activation, kernel_initializer="he_normal")(y)
    y = layers.Conv2D(x.shape[-1], 1, activation=gate)(y)
    return layers.Multiply()([x, y])
