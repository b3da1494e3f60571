"""What a Keras model costs, layer by layer, read from its graph: parameters, MACs, activation bytes.

Nothing is traced or run, so that a model built without weights (`weightless`) is priced as well. MAC = one
multiply-accumulate of a convolution, transposed convolution or dense layer; biases, normalisation, activations and
pooling are not counted.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import NamedTuple

import keras
from keras import layers

from tfcnn.arithmetic import ConvCost, conv_cost
from tfcnn.layers import Subsampling2D


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


class CostTable(NamedTuple):
    """The rows in the order in which the model applies its layers. `str()` is a table with totals."""

    rows: list[Row]
    params: int  # of every weight, batch-norm statistics included, as Keras counts
    trainable: int
    macs: int
    multiplications: int
    additions: int
    activation_bytes: int  # of every layer's output together

    def __str__(self) -> str:
        head = ("layer", "kind", "output", "parameters", "MACs")
        body = [(r.name, r.kind, "x".join(map(str, r.output_shape)), f"{r.params:,}", f"{r.macs:,}") for r in self.rows]
        body.append(("total", "", "", f"{self.params:,}", f"{self.macs:,}"))
        widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

        def text(line):
            cells = [
                cell.rjust(w) if i > 2 else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            ]
            return "  ".join(cells).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(head) - 1))
        return "\n".join([text(head), rule, *map(text, body[:-1]), rule, text(body[-1])])


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
        ValueError: the model has no graph (a subclassed model), or a layer with weights that cannot be priced
            (it is named), or a size that is not known.
    """
    if input_shape is not None:
        with weightless():
            model = keras.models.clone_model(model, input_tensors=keras.Input(input_shape, dtype=model.inputs[0].dtype))
    rows = list(_rows(model, set()))
    return CostTable(
        rows,
        params=model.count_params(),
        trainable=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        macs=sum(row.macs for row in rows),
        multiplications=sum(row.multiplications for row in rows),
        additions=sum(row.additions for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )


CONV = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
# Layers whose weights take part in no convolution or dense product.
UNCOUNTED = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.Normalization,
    layers.PReLU,
    Subsampling2D,
)


def _rows(model, seen: set):
    graph = getattr(model, "_functional", model)  # where a sequential model keeps its graph
    if not hasattr(graph, "_nodes_by_depth"):
        raise ValueError(f"{model.name} has no graph to read: build it with the functional API")
    # Keras has no public name for its nodes; its own `summary` reads the same attribute.
    for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            operation = node.operation
            if isinstance(operation, keras.Model):
                yield from _rows(operation, seen)
            elif not isinstance(operation, layers.InputLayer):
                first = operation not in seen  # a shared layer works at each place and holds its weights once
                seen.add(operation)
                yield _row(operation, node.input_tensors, node.output_tensors, first)


def _row(operation, inputs, outputs, first: bool) -> Row:
    shape = tuple(outputs[0].shape[1:])
    is_layer = isinstance(operation, layers.Layer)
    if is_layer and operation.weights and not (cost := _cost(operation, inputs[0].shape, outputs[0].shape)):
        raise ValueError(f"{operation.name}, a {type(operation).__name__}, has weights and no known cost")
    if not is_layer or not operation.weights:
        cost = ConvCost(0, 0, 0, 0)
    known = all(None not in tensor.shape[1:] for tensor in outputs)
    return Row(
        operation.name,
        type(operation).__name__,
        shape,
        operation.count_params() if is_layer and first else 0,
        cost.macs,
        cost.multiplications,
        cost.additions,
        sum(math.prod(t.shape[1:]) * _bytes(t.dtype) for t in outputs) if known else 0,
    )


def _cost(layer, input_shape, output_shape) -> ConvCost | None:
    """Cost of a layer with weights for one example, or None for a kind that is not known.

    A layer may know its own price: a method `cost(input_shape, output_shape) -> ConvCost`, shapes with the batch.
    """
    in_channels, out_channels = input_shape[-1], output_shape[-1]
    positions = output_shape[1:-1]
    bias = getattr(layer, "use_bias", False)
    if isinstance(layer, UNCOUNTED):
        return ConvCost(0, 0, 0, 0)
    if None in (*positions, *input_shape[1:]):
        raise ValueError(f"the size of {layer.name}'s map is not known: give input_shape")
    if hasattr(layer, "cost"):
        return layer.cost(tuple(input_shape), tuple(output_shape))
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


def _bytes(dtype: str) -> int:
    """Bytes of one value: "bfloat16" -> 2, "bool" -> 1."""
    return int(re.sub(r"\D", "", dtype) or 8) // 8
