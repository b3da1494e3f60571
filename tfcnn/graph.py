"""The graph of a Keras model as one flat list of steps, with the models inside it opened; Keras' layers by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import keras
from keras import layers

Shape = tuple[int | None, ...]
Value = TypeVar("Value")

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


def entry_of(table: Mapping[tuple[type, ...], Value], operation: keras.Operation) -> Value | None:
    """The first entry of a table whose classes the operation is an instance of; None without one."""
    return next((value for kinds, value in table.items() if isinstance(operation, kinds)), None)


class Step(NamedTuple):
    """One application of a layer or operation."""

    operation: Any  # keras.Operation: a layer, or a function of keras.ops
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]
    args: tuple  # as it was called
    kwargs: dict

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input, with the batch."""
        return tuple(self.inputs[0].shape)

    @property
    def output_shape(self) -> Shape:
        """Shape of the first output, with the batch."""
        return tuple(self.outputs[0].shape)


class Graph(NamedTuple):
    """Symbolic tensors, each the same object wherever it appears; steps in the order in which they are applied."""

    inputs: list[keras.KerasTensor]
    steps: list[Step]
    outputs: list[keras.KerasTensor]

    def producers(self) -> dict[int, Step]:
        """By the id of a tensor the step that it is an output of; an input of the model has none."""
        return {id(tensor): step for step in self.steps for tensor in step.outputs}


def read(model: keras.Model) -> Graph:
    """The graph of a built functional or sequential model.

    A model inside the model is opened wherever it is applied, so that its layers appear once for each application, with
    the sizes that they have there. A model without a graph inside it is one step.

    Raises:
        ValueError: the model itself has no graph: a subclassed model, or one that is not built.
    """
    graph = getattr(model, "_functional", model)  # where a sequential model keeps its graph
    if not hasattr(graph, "_nodes_by_depth"):
        raise ValueError(f"{model.name} has no graph to read: build it with the functional API")
    tensors = {id(tensor): tensor for tensor in graph.inputs}
    steps = list(_steps(graph, tensors, fresh=False))
    return Graph(list(graph.inputs), steps, [tensors[id(tensor)] for tensor in graph.outputs])


def _steps(graph: Any, tensors: dict[int, keras.KerasTensor], fresh: bool) -> Iterator[Step]:
    """`tensors` maps the graph's tensors to the caller's and grows; `fresh`: make new ones for what steps compute."""
    # Keras has no public name for its nodes; its own `summary` reads the same attribute.
    for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            operation = node.operation
            if isinstance(operation, keras.layers.InputLayer):
                continue
            inputs = [tensors[id(tensor)] for tensor in node.input_tensors]
            inner = getattr(operation, "_functional", operation)
            if isinstance(operation, keras.Model) and hasattr(inner, "_nodes_by_depth"):
                inner_tensors = {id(inside): tensor for inside, tensor in zip(inner.inputs, inputs, strict=True)}
                yield from _steps(inner, inner_tensors, fresh=True)
                outputs = [inner_tensors[id(tensor)] for tensor in inner.outputs]
            else:
                args, kwargs = node.arguments.fill_in(tensors)
                outputs = _new_outputs(node, inputs, args, kwargs) if fresh else node.output_tensors
                yield Step(operation, inputs, list(outputs), args, kwargs)
            tensors.update((id(inside), tensor) for inside, tensor in zip(node.output_tensors, outputs, strict=True))


def _new_outputs(node: Any, inputs: list[keras.KerasTensor], args: tuple, kwargs: dict) -> list[keras.KerasTensor]:
    """New tensors for a step's outputs; sizes follow from `inputs`, which may be better known than the node's."""
    if all(new.shape == old.shape for new, old in zip(inputs, node.input_tensors, strict=True)):
        return [keras.KerasTensor(old.shape, old.dtype) for old in node.output_tensors]
    return keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))


def apply_step(step: Step, args: tuple, kwargs: dict) -> Any:
    """What a step computes from values, in inference."""
    return step.operation(*args, **kwargs)


def evaluate(
    graph: Graph,
    inputs: Sequence[Any],
    targets: Sequence[keras.KerasTensor],
    apply: Callable[[Step, tuple, dict], Any] = apply_step,
) -> list[Any]:
    """The values of symbolic tensors of a graph.

    Args:
        graph: of a model, as `read` gives it.
        inputs: a value for each input of the graph.
        targets: symbolic tensors of the graph; steps after the last of them are not run.
        apply: computes a step from its arguments; by default as the model does.
    """
    values = {id(tensor): value for tensor, value in zip(graph.inputs, inputs, strict=True)}
    missing = {id(tensor) for tensor in targets} - values.keys()

    def value_of(argument: Any) -> Any:
        return values[id(argument)] if isinstance(argument, keras.KerasTensor) else argument

    for step in graph.steps:
        if not missing:
            break
        args, kwargs = keras.tree.map_structure(value_of, (step.args, step.kwargs))
        results = keras.tree.flatten(apply(step, args, kwargs))
        values.update((id(tensor), result) for tensor, result in zip(step.outputs, results, strict=True))
        missing -= values.keys()
    return [values[id(tensor)] for tensor in targets]


def in_order(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a functional model that hold weights, in an order that depends on its graph alone.

    Depth first from the outputs, a layer after all that it needs; inputs in their order, but those of a sum or product
    by how many nodes each needs, the most first, so that `Add()([x, y])` and `Add()([y, x])` give the same order.
    Input normalisation (keras.applications' EfficientNet) is left out.
    """
    needed: dict[int, int] = {}  # for each node of the graph the set of nodes that it needs, as the bits of a number
    order: list[Any] = []

    def sources(node: Any) -> list[Any]:
        nodes = [node_of(tensor) for tensor in node.input_tensors]
        if isinstance(node.operation, keras.layers.Add | keras.layers.Multiply) and all(id(n) in needed for n in nodes):
            nodes.sort(key=lambda n: -needed[id(n)].bit_count())
        return nodes

    def walk(visit: Callable[[Any], None]) -> None:
        seen = set()
        stack = [(node, False) for node in reversed([node_of(output) for output in model.outputs])]
        while stack:
            node, ready = stack.pop()
            if ready:
                visit(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((source, False) for source in reversed(sources(node)))

    def count(node: Any) -> None:
        bits = 1 << len(needed)
        for source in sources(node):
            bits |= needed[id(source)]
        needed[id(node)] = bits

    def collect(node: Any) -> None:
        operation = node.operation
        inner = in_order(operation) if isinstance(operation, keras.Model) else [operation]
        order.extend(layer for layer in inner if isinstance(layer, keras.layers.Layer) and layer.weights)

    walk(count)
    walk(collect)
    return [layer for layer in dict.fromkeys(order) if not isinstance(layer, keras.layers.Normalization)]


def node_of(tensor: keras.KerasTensor) -> Any:
    """The application of a layer that made a tensor. Keras has no public name for it; its own plots read the same."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def is_head(layer: keras.layers.Layer) -> bool:
    """Whether a layer works on the pooled or flattened features, or gives the logits."""
    return layer.name == "logits" or len(layer._inbound_nodes[0].input_tensors[0].shape) == 2
