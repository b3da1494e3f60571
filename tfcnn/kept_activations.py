"""The activations that the backward pass of a network reads, from its graph alone.

A tensor is kept from the forward pass on if a layer that reads it needs its input for its gradients, or if the layer
that computes it needs its output: a convolution its input, batch norm its input, ReLU its output, a sum or a
concatenation neither. This is a lower bound: an implementation may keep more (the masks of dropout, the means of batch
norm, maps within a layer of several operations), and needs space for the tensors that it works on.
"""

from __future__ import annotations

import keras
from keras import layers

from tfcnn import graph
from tfcnn.graph import Graph, Step

# Layers whose gradients need no activation: sums, means and layers that move values.
WITHOUT = (
    layers.Add,
    layers.Average,
    layers.Subtract,
    layers.Concatenate,
    layers.Dropout,
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.AveragePooling3D,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Cropping3D,
    layers.UpSampling1D,
    layers.UpSampling2D,
    layers.UpSampling3D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.ZeroPadding3D,
)
# The same by the class's name: functions of keras.ops, and layers of this package.
WITHOUT_NAMES = {
    "Add",
    "BedOfNails1D",
    "BedOfNails2D",
    "BedOfNails3D",
    "BlurPooling2D",
    "Concatenate",
    "CropLike",
    "GetItem",
    "Mean",
    "Pad",
    "Padding1D",
    "Padding2D",
    "Padding3D",
    "Reshape",
    "SplitBatch",
    "Squeeze",
    "Subtract",
    "Sum",
    "Transpose",
}
# Layers of one product with their kernel, or a normalisation: the gradients need the input.
OF_INPUT = (
    *graph.CONVOLUTIONS,
    *graph.DEPTHWISE,
    *graph.SEPARABLE,
    *graph.TRANSPOSED,
    layers.Dense,
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.Multiply,
    layers.LeakyReLU,
    layers.PReLU,
)
OF_INPUT_NAMES = {"Multiply", "PaddedConv1D", "PaddedConv2D", "PaddedConv3D"}
# Activations whose derivative is a function of the output.
OF_OUTPUT = {"ReLU", "Relu", "relu", "relu6", "sigmoid", "softmax", "tanh", "elu", "selu", "Sigmoid", "Softmax", "Tanh"}


def kept_activations(model_graph: Graph) -> list[keras.KerasTensor]:
    """The tensors of a graph that the backward pass reads, each once, in the order in which they are computed.

    Args:
        model_graph: of a model, as `tfcnn.graph.read` gives it.

    Inputs of the model are among them where a layer with weights reads them. Of a layer that is not known here, inputs
    and outputs are kept.
    """
    kept = set()
    for step in model_graph.steps:
        reads_input, reads_output = _reads(step)
        if reads_input:
            kept |= {id(tensor) for tensor in step.inputs}
        if reads_output:
            kept |= {id(tensor) for tensor in step.outputs}
    tensors = [*model_graph.inputs, *(tensor for step in model_graph.steps for tensor in step.outputs)]
    return [tensor for tensor in tensors if id(tensor) in kept]


def _reads(step: Step) -> tuple[bool, bool]:
    """Whether the gradients of a step read its inputs, and its outputs."""
    operation = step.operation
    kind = type(operation).__name__
    if isinstance(operation, WITHOUT) or kind in WITHOUT_NAMES:
        return False, False
    if isinstance(operation, layers.Activation):
        of_output = operation.activation.__name__ in OF_OUTPUT
        return not of_output, of_output
    if kind in OF_OUTPUT:
        return False, True
    if isinstance(operation, OF_INPUT) or kind in OF_INPUT_NAMES:
        activation = getattr(operation, "activation", None)
        return True, activation is not None and activation is not keras.activations.linear
    return True, True
