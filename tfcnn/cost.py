"""What a Keras model costs, layer by layer, read from its graph: parameters, MACs, activations, memory.

Nothing is traced or run, so that a model built without weights (`weightless`) is priced as well. MAC = one
multiply-accumulate of a convolution, transposed convolution or dense layer; biases, normalisation, activations and
pooling are not counted.

Memory is an estimate from the shapes alone: every tensor is held from the step that makes it to the last one that reads
it, nothing is computed in place, and the workspace of a kernel (an unrolled convolution) is left out.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import NamedTuple

import keras
from keras import layers

from tfcnn import graph
from tfcnn.arithmetic.costs import ConvCost, conv_cost
from tfcnn.layers import Subsampling2D
from tfcnn.tables import as_text


class Row(NamedTuple):
    """One application of a layer. Shapes without the batch; costs for one example."""

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    params: int
    macs: int
    multiplications: int
    additions: int
    activation_bytes: int


class Memory(NamedTuple):
    """Bytes that a batch needs, by what they hold."""

    parameters: int
    gradients: int  # one for each trainable weight
    optimizer: int
    activations: int  # kept for the gradient: the images and every layer's output
    training: int  # the four together
    inference: int  # the parameters, and the most that is held at one time


class CostTable(NamedTuple):
    """The rows in the order in which the model applies its layers. `str()` is a table with totals."""

    rows: list[Row]
    params: int  # of every weight, batch-norm statistics included, as Keras counts
    trainable: int
    macs: int
    multiplications: int
    additions: int
    activation_bytes: int  # of every layer's output together
    unpriced: tuple[str, ...]  # "name (Kind)" of layers whose MACs are not known and not in the sums
    params_bytes: int
    trainable_bytes: int
    input_bytes: int
    peak_bytes: int  # the most that tensors hold at one time, each until its last reader is done

    def memory(self, batch_size: int = 1, slots: int = 2) -> Memory:
        """What training and inference need for a batch of `batch_size` (see the module).

        Args:
            batch_size: images, 1 or more.
            slots: values that the optimiser keeps for each trainable weight: 2 for Adam and AdamW, 1 for SGD with
                momentum.
        """
        activations = batch_size * (self.input_bytes + self.activation_bytes)
        fixed = self.params_bytes, self.trainable_bytes, slots * self.trainable_bytes
        return Memory(*fixed, activations, sum(fixed) + activations, self.params_bytes + batch_size * self.peak_bytes)

    def __str__(self) -> str:
        head = ("layer", "kind", "output", "parameters", "MACs")
        body = [(r.name, r.kind, "x".join(map(str, r.output_shape)), f"{r.params:,}", f"{r.macs:,}") for r in self.rows]
        total = ("total", "", "", f"{self.params:,}", f"{self.macs:,}")
        return "\n".join(
            [as_text(head, body, total, words=range(3)), *(f"not priced: {what}" for what in self.unpriced)]
        )


@contextlib.contextmanager
def weightless():
    """Within this context models are built without allocating a byte for their weights (VGG-16: 0.03 s)."""
    with keras.StatelessScope(initialize_variables=False):
        yield


def cost_table(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> CostTable:
    """Price a functional model of any package.

    Args:
        model: a built functional or sequential model; models inside it are priced layer by layer.
        input_shape: (height, width, channels) to price it at; default: the shape it was built with.

    Raises:
        ValueError: the model has no graph (a subclassed model), or a size that is not known.

    A layer with weights whose price is not known stands in the table with its parameters and without MACs, and is
    named in `unpriced`. A layer of one's own knows its price by a method `cost(input_shape, output_shape) -> ConvCost`,
    shapes with the batch.
    """
    if input_shape is not None:
        with weightless():
            model = keras.models.clone_model(model, input_tensors=keras.Input(input_shape, dtype=model.inputs[0].dtype))
    read = graph.read(model)
    rows, unpriced, seen = [], [], set()
    for step in read.steps:
        # A shared layer works at each place and holds its weights once.
        row, priced = _row(step, first=step.operation not in seen)
        seen.add(step.operation)
        rows.append(row)
        unpriced += [] if priced else [f"{row.name} ({row.kind})"]
    return CostTable(
        rows,
        params=model.count_params(),
        trainable=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        macs=sum(row.macs for row in rows),
        multiplications=sum(row.multiplications for row in rows),
        additions=sum(row.additions for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        unpriced=tuple(dict.fromkeys(unpriced)),
        params_bytes=sum(map(_size, model.weights)),
        trainable_bytes=sum(map(_size, model.trainable_weights)),
        input_bytes=sum(map(_held, read.inputs)),
        peak_bytes=_peak(read),
    )


CONV = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
FREE = ConvCost(0, 0, 0, 0)
# Layers whose weights take part in no convolution or dense product.
UNCOUNTED = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.Normalization,
    layers.PReLU,
    layers.RMSNormalization,
    Subsampling2D,
)
UNCOUNTED_NAMES = ("LayerScale",)  # a private class of keras.applications' ConvNeXt: one factor a channel


def _row(step: graph.Step, first: bool) -> tuple[Row, bool]:
    """A step's row, and whether its price is known."""
    operation, outputs = step.operation, step.outputs
    weighty = isinstance(operation, layers.Layer) and bool(operation.weights)
    cost = _cost(operation, step.inputs[0].shape, outputs[0].shape) if weighty else FREE
    row = Row(
        operation.name,
        type(operation).__name__,
        tuple(outputs[0].shape[1:]),
        operation.count_params() if weighty and first else 0,
        *(cost or FREE)[1:],
        activation_bytes=sum(map(_held, outputs)),
    )
    return row, cost is not None


def _peak(read: graph.Graph) -> int:
    """The most bytes held at one time."""
    last = {id(tensor): number for number, step in enumerate(read.steps) for tensor in step.inputs}
    last |= {id(tensor): len(read.steps) for tensor in read.outputs}
    held = {id(tensor): _held(tensor) for tensor in read.inputs}
    peak = sum(held.values())
    for number, step in enumerate(read.steps):
        held |= {id(tensor): _held(tensor) for tensor in step.outputs}
        peak = max(peak, sum(held.values()))
        for tensor in (*step.inputs, *step.outputs):
            if last.get(id(tensor), number) == number:
                held.pop(id(tensor), None)
    return peak


def _cost(layer, input_shape, output_shape) -> ConvCost | None:
    """Cost of a layer with weights for one example, or None for a kind that is not known."""
    in_channels, out_channels = input_shape[-1], output_shape[-1]
    positions = output_shape[1:-1]
    bias = getattr(layer, "use_bias", False)
    if isinstance(layer, UNCOUNTED) or type(layer).__name__ in UNCOUNTED_NAMES:
        return FREE
    if None in (*positions, *input_shape[1:]):
        raise ValueError(f"the size of {layer.name}'s map is not known: give input_shape")
    if hasattr(layer, "cost"):
        return layer.cost(tuple(input_shape), tuple(output_shape))
    if isinstance(layer, layers.TimeDistributed):
        each = _cost(layer.layer, (input_shape[0], *input_shape[2:]), (output_shape[0], *output_shape[2:]))
        return each and ConvCost(*(output_shape[1] * count for count in each))
    if isinstance(layer, layers.SpectralNormalization):
        return _cost(layer.layer, input_shape, output_shape)
    places = math.prod(positions)
    if isinstance(layer, layers.Dense):
        return conv_cost((), in_channels, out_channels, places, bias=bias)
    if isinstance(layer, TRANSPOSED):  # every input value meets the whole kernel, whatever the output is cropped to
        cost = conv_cost(layer.kernel_size, in_channels, out_channels, math.prod(input_shape[1:-1]), bias=False)
        return cost._replace(additions=cost.macs + (bias - 1) * places * out_channels)
    if isinstance(layer, DEPTHWISE):
        return conv_cost(layer.kernel_size, in_channels, out_channels, places, groups=in_channels, bias=bias)
    if isinstance(layer, SEPARABLE):
        between = in_channels * layer.depth_multiplier
        depthwise = conv_cost(layer.kernel_size, in_channels, between, places, groups=in_channels, bias=False)
        pointwise = conv_cost((), between, out_channels, places, bias=bias)
        return ConvCost(*(sum(pair) for pair in zip(depthwise, pointwise, strict=True)))
    if isinstance(layer, CONV):
        return conv_cost(layer.kernel_size, in_channels, out_channels, places, groups=layer.groups, bias=bias)
    return None


def _held(tensor) -> int:
    """Bytes of a tensor for one example; 0 where its size is not known."""
    return 0 if None in tensor.shape[1:] else math.prod(tensor.shape[1:]) * _bytes(tensor.dtype)


def _size(weight) -> int:
    return math.prod(weight.shape) * _bytes(weight.dtype)


def _bytes(dtype: str) -> int:
    """Bytes of one value: "bfloat16" -> 2, "bool" -> 1."""
    return int(re.sub(r"\D", "", dtype) or 8) // 8
