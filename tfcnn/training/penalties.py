"""What keeps kernels small in training: L2 and the largest norm."""

from __future__ import annotations

from typing import NamedTuple

import keras

from tfcnn.graph import in_order
from tfcnn.layers.constraints import MaxNorm, enforce


class Kernel(NamedTuple):
    """A kernel of a network, and how its filters lie in it: a name of tfcnn.layers.constraints.KERNELS."""

    variable: keras.Variable
    layout: str


def kernels(model: keras.Model) -> list[Kernel]:
    """The trainable kernels of a network's layers, by name: "kernel", "depthwise_kernel", "offset_kernel" ..."""
    return [
        Kernel(variable, _layout(layer, variable))
        for layer in in_order(model)
        for variable in layer.trainable_variables
        if variable.name.endswith("kernel")
    ]


def _layout(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    kind = type(layer).__name__
    if "LocallyConnected" in kind:
        return "locally_connected"
    if variable.name == "depthwise_kernel" or kind.startswith("DepthwiseConv"):
        return "depthwise"
    return "transposed" if "Transpose" in kind else "convolution"


def penalise(model: keras.Model, l2: float, max_norm: float | None) -> None:
    """Give the kernels of a built network their penalty and their largest norm, for its training alone.

    Both are set on the weights and not on the layers, so that Keras alone can load the file of the model; a resumed run
    builds its network again and calls this again.

    Args:
        model: a network of `tfcnn.build`.
        l2: the loss gets l2 / 2 times the sum of the squared kernels, whose gradient is l2 times the kernel: the weight
            decay of the papers.
        max_norm: largest L2 norm of a filter, from now on; None: any.
    """
    for kernel in kernels(model):
        if l2:
            kernel.variable.regularizer = keras.regularizers.L2(l2 / 2)
        if max_norm is not None:
            kernel.variable.constraint = MaxNorm(max_norm, kernel.layout)
    enforce(model)
