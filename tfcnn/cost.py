"""What a Keras model costs, layer by layer, read from its graph: parameters, MACs, activations, memory.

Nothing is traced or run, so a model built without weights (`weightless`) has its costs as well. MAC = one
multiply-accumulate of a convolution, transposed convolution or dense layer; biases, normalisation, activations and
pooling are not counted.

Memory is an estimate from the shapes alone: every tensor is held from the step that makes it to the last one that reads
it, nothing is computed in place, and the workspace of a kernel (an unrolled convolution) is left out.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
from keras import layers

from tfcnn import graph
from tfcnn.arithmetic.costs import ConvCost, conv_cost, total
from tfcnn.graph import Graph, Shape, Step
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
        optimizer = slots * self.trainable_bytes
        return Memory(
            parameters=self.params_bytes,
            gradients=self.trainable_bytes,
            optimizer=optimizer,
            activations=activations,
            training=self.params_bytes + self.trainable_bytes + optimizer + activations,
            inference=self.params_bytes + batch_size * self.peak_bytes,
        )

    def __str__(self) -> str:
        head = ("layer", "kind", "output", "parameters", "MACs")
        body = [(r.name, r.kind, "x".join(map(str, r.output_shape)), f"{r.params:,}", f"{r.macs:,}") for r in self.rows]
        totals = ("total", "", "", f"{self.params:,}", f"{self.macs:,}")
        table = as_text(head, body, totals, words=range(3))
        return "\n".join([table, *(f"not priced: {layer}" for layer in self.unpriced)])


@contextlib.contextmanager
def weightless() -> Iterator[None]:
    """Within this context models are built without allocating a byte for their weights (VGG-16: 0.03 s).

    Keras notes such weights, and would allocate all of them at the end of the next scope of another kind.
    """
    from keras.src.backend.common import global_state

    noted = global_state.get_global_attribute("uninitialized_variables", [], set_to_default=True)
    before = len(noted)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del noted[before:]


def cost_table(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> CostTable:
    """The costs of a functional model of any package.

    Args:
        model: a built functional or sequential model; models inside it are opened, layer by layer.
        input_shape: (height, width, channels) to count at; default: the shape it was built with. What is unknown of
            other inputs counts as 1: the costs of a detector are those of an image with one region.

    Raises:
        ValueError: the model has no graph (a subclassed model), or a size that is not known.

    A layer with weights whose cost is not known, and a product of tensors such as `ops.matmul` or `layers.Attention`,
    stands in the table with its parameters and without MACs, and is named in `unpriced`. A custom layer states its cost
    by a method `cost(input_shape, output_shape) -> ConvCost`, shapes with the batch.
    """
    if len(model.inputs) > 1:
        model = _with_known_inputs(model, input_shape)
    elif input_shape is not None:
        with weightless():
            model = keras.models.clone_model(model, input_tensors=keras.Input(input_shape, dtype=model.inputs[0].dtype))
    model_graph = graph.read(model)
    rows = []
    unpriced = []
    seen = set()
    for step in model_graph.steps:
        cost = _cost_of_step(step)
        # A shared layer works at each place and holds its weights once.
        row = _row(step, cost or FREE, first=step.operation not in seen)
        seen.add(step.operation)
        rows.append(row)
        if cost is None:
            unpriced.append(f"{row.name} ({row.kind})")
    return CostTable(
        rows,
        params=model.count_params(),
        trainable=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        macs=sum(row.macs for row in rows),
        multiplications=sum(row.multiplications for row in rows),
        additions=sum(row.additions for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        unpriced=tuple(dict.fromkeys(unpriced)),
        params_bytes=sum(map(_weight_bytes, model.weights)),
        trainable_bytes=sum(map(_weight_bytes, model.trainable_weights)),
        input_bytes=sum(map(example_bytes, model_graph.inputs)),
        peak_bytes=_peak(model_graph),
    )


def _with_known_inputs(model: keras.Model, input_shape: tuple[int, ...] | None) -> keras.Model:
    """The same network, its first input of a shape, and 1 for what is unknown of the others; not compiled."""
    first, *others = model.inputs
    shapes = [input_shape or first.shape[1:], *([side or 1 for side in other.shape[1:]] for other in others)]
    with weightless():
        inputs = [keras.Input(shape, dtype=old.dtype) for shape, old in zip(shapes, model.inputs, strict=True)]
        return keras.models.clone_model(keras.Model(model.inputs, model.outputs), input_tensors=inputs)


FREE = ConvCost(0, 0, 0, 0)


def _row(step: Step, cost: ConvCost, first: bool) -> Row:
    operation = step.operation
    return Row(
        name=operation.name,
        kind=type(operation).__name__,
        output_shape=step.output_shape[1:],
        params=operation.count_params() if _has_weights(operation) and first else 0,
        macs=cost.macs,
        multiplications=cost.multiplications,
        additions=cost.additions,
        activation_bytes=sum(map(example_bytes, step.outputs)),
    )


def _has_weights(operation: Any) -> bool:
    return isinstance(operation, layers.Layer) and bool(operation.weights)


def _peak(model_graph: Graph) -> int:
    """The most bytes held at one time."""
    last = {id(tensor): number for number, step in enumerate(model_graph.steps) for tensor in step.inputs}
    last |= {id(tensor): len(model_graph.steps) for tensor in model_graph.outputs}
    held = {id(tensor): example_bytes(tensor) for tensor in model_graph.inputs}
    peak = sum(held.values())
    for number, step in enumerate(model_graph.steps):
        held |= {id(tensor): example_bytes(tensor) for tensor in step.outputs}
        peak = max(peak, sum(held.values()))
        for tensor in (*step.inputs, *step.outputs):
            if last.get(id(tensor), number) == number:
                held.pop(id(tensor), None)
    return peak


# Operations without weights that multiply and accumulate: layers, and functions of keras.ops.
PRODUCTS = {
    "Conv",
    "ConvTranspose",
    "DepthwiseConv",
    "SeparableConv",
    "Matmul",
    "Dot",
    "Einsum",
    "Tensordot",
    "Vdot",
    "Vecdot",
    "Inner",
    "Outer",
    "Kron",
    "Convolve",
    "Correlate",
    "DotProductAttention",
    "Attention",
    "AdditiveAttention",
}


def _cost_of_step(step: Step) -> ConvCost | None:
    if _has_weights(step.operation):
        return _cost(step.operation, step.input_shape, step.output_shape)
    return None if type(step.operation).__name__ in PRODUCTS else FREE


def _cost(layer: Any, input_shape: Shape, output_shape: Shape) -> ConvCost | None:
    """Cost of a layer with weights for one example, or None for a kind that is not known."""
    if isinstance(layer, UNCOUNTED) or type(layer).__name__ in UNCOUNTED_NAMES:
        return FREE
    if getattr(layer, "data_format", None) == "channels_first":
        input_shape = _channels_last(input_shape)
        output_shape = _channels_last(output_shape)
    if None in (*output_shape[1:-1], *input_shape[1:]):
        raise ValueError(f"the size of {layer.name}'s map is not known: give input_shape")
    if hasattr(layer, "cost"):
        return layer.cost(input_shape, output_shape)
    cost = graph.entry_of(COSTS, layer)
    return cost(layer, input_shape, output_shape) if cost else None


def _channels_last(shape: Shape) -> Shape:
    return (shape[0], *shape[2:], shape[1])


def _places(shape: Any) -> int:
    """Positions of a map of a known size."""
    return math.prod(shape[1:-1])


def _dense(layer: Any, input_shape: Any, output_shape: Any) -> ConvCost:
    return conv_cost((), input_shape[-1], output_shape[-1], _places(output_shape), bias=layer.use_bias)


def _convolution(layer: Any, input_shape: Any, output_shape: Any) -> ConvCost:
    return conv_cost(
        layer.kernel_size,
        input_shape[-1],
        output_shape[-1],
        _places(output_shape),
        groups=layer.groups,
        bias=layer.use_bias,
    )


def _depthwise(layer: Any, input_shape: Any, output_shape: Any) -> ConvCost:
    channels = input_shape[-1]
    places = _places(output_shape)
    return conv_cost(layer.kernel_size, channels, output_shape[-1], places, groups=channels, bias=layer.use_bias)


def _separable(layer: Any, input_shape: Any, output_shape: Any) -> ConvCost:
    channels = input_shape[-1]
    between = channels * layer.depth_multiplier
    places = _places(output_shape)
    return total(
        conv_cost(layer.kernel_size, channels, between, places, groups=channels, bias=False),
        conv_cost((), between, output_shape[-1], places, bias=layer.use_bias),
    )


def _transposed(layer: Any, input_shape: Any, output_shape: Any) -> ConvCost:
    """Every input value meets the whole kernel, whatever the output is cropped to."""
    filters = output_shape[-1]
    cost = conv_cost(layer.kernel_size, input_shape[-1], filters, _places(input_shape), bias=False)
    outputs = _places(output_shape) * filters
    return cost._replace(additions=cost.macs if layer.use_bias else cost.macs - outputs)


def _time_distributed(layer: Any, input_shape: Any, output_shape: Any) -> ConvCost | None:
    cost = _cost(layer.layer, (input_shape[0], *input_shape[2:]), (output_shape[0], *output_shape[2:]))
    return cost and ConvCost(*(output_shape[1] * count for count in cost))


def _spectral_normalization(layer: Any, input_shape: Any, output_shape: Any) -> ConvCost | None:
    return _cost(layer.layer, input_shape, output_shape)


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
# Each function takes the layer and the shapes of its input and output, with the batch and of known sizes.
COSTS: dict[tuple[type, ...], Callable[[Any, Any, Any], ConvCost | None]] = {
    (layers.TimeDistributed,): _time_distributed,
    (layers.SpectralNormalization,): _spectral_normalization,
    (layers.Dense,): _dense,
    graph.CONVOLUTIONS: _convolution,
    graph.DEPTHWISE: _depthwise,
    graph.SEPARABLE: _separable,
    graph.TRANSPOSED: _transposed,
}


def example_bytes(tensor: keras.KerasTensor) -> int:
    """Bytes of a tensor for one example; 0 where its size is not known."""
    return 0 if None in tensor.shape[1:] else math.prod(tensor.shape[1:]) * _bytes(tensor.dtype)


def _weight_bytes(weight: keras.Variable) -> int:
    return math.prod(weight.shape) * _bytes(weight.dtype)


def _bytes(dtype: str) -> int:
    """Bytes of one value: "bfloat16" -> 2, "bool" -> 1."""
    return int(re.sub(r"\D", "", dtype) or 8) // 8
