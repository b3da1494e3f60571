"""LeNet-5: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition", 1998.

Figure 2 and Table I. form="modern" is the network as it is taught: full connections in C3, average pooling,
a dense output. form="paper" has the partial connections of Table I, the trainable subsampling of section II.B
and the scaled tanh of appendix A. Both differ from the paper in the output: ten logits in place of Euclidean
radial basis functions. Images are 32x32 in the paper (28x28 digits with a border of two pixels).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import layers, ops

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.layers import Subsampling2D
from tfcnn.models.heads import classify, logits

Activation = str | Callable[[Any], Any]

# Table I: which of S2's six maps each of C3's sixteen maps sees.
C3_INPUTS = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


@keras.saving.register_keras_serializable("tfcnn")
def scaled_tanh(x: Any) -> Any:
    """1.7159 tanh(2x / 3), the squashing function of the paper's appendix A."""
    return 1.7159 * ops.tanh(2.0 / 3.0 * x)


def partial_conv(x: keras.KerasTensor, activation: Activation) -> list[keras.KerasTensor]:
    """C3 of Table I: sixteen 5x5 filters, each over a subset of the six maps. (h, w, 6) -> 16 x (h-4, w-4, 1)"""
    maps = [x[..., i : i + 1] for i in range(6)]
    return [
        layers.Conv2D(1, 5, activation=activation)(layers.Concatenate()([maps[i] for i in subset]))
        for subset in C3_INPUTS
    ]


def lenet(
    input_shape: tuple[int | None, ...] = (32, 32, 1),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    form: str = "modern",
    activation: Activation | None = None,
    name: str = "lenet5",
) -> keras.Model:
    """LeNet-5.

    Args:
        input_shape: (height, width, channels), at least 16 pixels a side.
        num_classes: number of logits; 0 for the last map, averaged over its positions.
        width: multiplier of the maps of C1, C3 and the units of C5, F6.
        depth: multiplier of the one hidden dense layer F6.
        form: "modern" or "paper" (the latter with width 1 only: Table I fixes the maps).
        activation: Keras name of the activation; default "relu" in the modern form, scaled tanh in the paper's.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). C1
        and C3 are named stage1 and stage2 (strides 1 and 2), the others as in the paper.
    """
    choose("form", form, ("modern", "paper"))
    if form == "paper" and width != 1:
        raise ValueError(f'form="paper" fixes the number of maps: width must be 1, got {width}')
    c1, c3, c5, f6 = (scale_width(n, width) for n in (6, 16, 120, 84))
    if form == "paper":
        activation = activation or scaled_tanh
        pool = partial(Subsampling2D, activation=activation)
    else:
        activation = activation or "relu"
        pool = partial(layers.AveragePooling2D, 2)

    inputs = keras.Input(input_shape)  # 32, 32, 1
    x = layers.Conv2D(c1, 5, activation=activation, name="stage1")(inputs)  # C1: 28, 28, 6
    x = pool(name="s2")(x)  # S2: 14, 14, 6
    if form == "paper":
        x = layers.Concatenate(name="stage2")(partial_conv(x, activation))  # C3: 10, 10, 16
    else:
        x = layers.Conv2D(c3, 5, activation=activation, name="stage2")(x)
    x = pool(name="s4")(x)  # S4: 5, 5, 16
    if num_classes == 0:
        return classify(inputs, x, 0, name=name)
    x = layers.Flatten()(x)
    x = layers.Dense(c5, activation=activation, name="c5")(x)  # C5: 120; a 5x5 convolution over a 5x5 map
    for i in range(scale_depth(1, depth)):
        x = layers.Dense(f6, activation=activation, name=f"f{6 + i}")(x)  # F6: 84
    return keras.Model(inputs, logits(x, num_classes), name=name)


VARIANTS = {"lenet5": lenet}
