"""What holds kernels down in training: L2 and the largest norm."""

from __future__ import annotations

from typing import NamedTuple

import keras

from tfcnn.graph import in_order
from tfcnn.layers.constraints import MaxNorm, enforce


class Kernel(NamedTuple):
    """A kernel of a network and how its filters lie in it, as of tfcnn.layers.constraints.KERNELS."""

    variable: keras.Variable
    layout: str


def kernels(model: keras.Model) -> list[Kernel]:
    """The trainable kernels of a network's layers, by name: "kernel", "depthwise_kernel", "offset_kernel" ..."""
    found = []
    for layer in in_order(model):
        kind = type(layer).__name__
        for variable in layer.trainable_variables:
            if variable.name.endswith("kernel"):
                depthwise = variable.name == "depthwise_kernel" or kind.startswith("DepthwiseConv")
                layout = "depthwise" if depthwise else "transposed" if "Transpose" in kind else "convolution"
                found.append(Kernel(variable, "locally_connected" if "LocallyConnected" in kind else layout))
    return found


def penalise(model: keras.Model, l2: float, max_norm: float | None) -> None:
    """Give the kernels of a built network their penalty and their largest norm, which hold for its training alone.

    They are set on the weights and not on the layers, so that the file of the model stays one that Keras alone loads;
    a run that is resumed builds its network anew and comes by here again.

    Args:
        model: a network of `tfcnn.build`.
        l2: the loss gets l2 / 2 times the sum of the squared kernels, whose gradient is l2 times the kernel: what the
            papers call weight decay.
        max_norm: largest L2 norm of a filter, from now on; None: any.
    """
    for kernel in kernels(model):
        if l2:
            kernel.variable.regularizer = keras.regularizers.L2(l2 / 2)
        if max_norm is not None:
            kernel.variable.constraint = MaxNorm(max_norm, kernel.layout)
    enforce(model)
