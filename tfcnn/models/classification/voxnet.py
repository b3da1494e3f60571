"""VoxNet: Maturana & Scherer, "VoxNet: a 3D convolutional neural network for real-time object recognition", 2015.

Section III.C: Conv(32, 5, 2), Conv(32, 3, 1), Pool(2), FC(128), FC(K) on an occupancy grid of 32x32x32 voxels, with
leaky ReLU of slope 0.1 and dropout of 0.2, 0.3 and 0.4, as in the authors' code. Differences from the paper: none.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.models.heads import classify, logits


def trunk(
    x: keras.KerasTensor, *, width: float = 1.0, dropout: Sequence[float] = (0.2, 0.3)
) -> list[keras.KerasTensor]:
    """The convolutional part. (d, h, w, c) -> the maps stage1 (stride 2) and stage2 (stride 4)"""
    filters = scale_width(32, width)
    x = layers.Conv3D(filters, 5, 2, kernel_initializer="he_normal")(x)  # 14, 14, 14, 32
    stage1 = layers.LeakyReLU(0.1, name="stage1")(x)
    x = layers.Conv3D(filters, 3, kernel_initializer="he_normal")(layers.Dropout(dropout[0])(stage1))  # 12, 12, 12, 32
    x = layers.MaxPooling3D(2, name="stage2")(layers.LeakyReLU(0.1)(x))  # 6, 6, 6, 32
    return [stage1, layers.Dropout(dropout[1])(x)]


def voxnet(
    input_shape: tuple[int | None, ...] = (32, 32, 32, 1),
    num_classes: int = 40,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float | Sequence[float] = (0.2, 0.3, 0.4),
    name: str = "voxnet",
) -> keras.Model:
    """VoxNet.

    Args:
        input_shape: three spatial sizes and the channels, at least 16 voxels a side.
        num_classes: number of logits; 0 for the pooled features. The paper's 40 are ModelNet40's.
        width: multiplier of the filters and of the units of the hidden dense layer.
        depth: multiplier of the one hidden dense layer.
        dropout: rates after the first convolution, the pooling and the hidden dense layer; or one for all.

    Returns:
        keras.Model: (batch, depth, height, width, channels) -> float32 logits (batch, num_classes). The map before the
        second convolution is named stage1, the last stage2 (strides 2, 4).
    """
    rates = (dropout,) * 3 if isinstance(dropout, int | float) else tuple(dropout)
    if len(rates) != 3:
        raise ValueError(f"dropout must be one rate or three, got {dropout}")
    inputs = keras.Input(input_shape)  # 32, 32, 32, 1
    *_, x = trunk(inputs, width=width, dropout=rates[:2])  # 6, 6, 6, 32
    if num_classes == 0:
        return classify(inputs, x, 0, name=name)
    x = layers.Flatten()(x)  # 6912
    for _ in range(scale_depth(1, depth)):
        x = layers.Dense(scale_width(128, width), kernel_initializer="he_normal")(x)
        x = layers.Dropout(rates[2])(layers.LeakyReLU(0.1)(x))
    return keras.Model(inputs, logits(x, num_classes), name=name)


VARIANTS = {"voxnet": voxnet}
