"""The graph of a Keras model as one flat list of steps; models inside it are opened."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras


class Step(NamedTuple):
    """One application of a layer or operation."""

    operation: Any  # keras.Operation: a layer, or a function of keras.ops
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]
    args: tuple  # as it was called
    kwargs: dict


class Graph(NamedTuple):
    """Symbolic tensors, each the same object wherever it appears; steps in the order in which they are applied."""

    inputs: list[keras.KerasTensor]
    steps: list[Step]
    outputs: list[keras.KerasTensor]


def read(model: keras.Model) -> Graph:
    """The graph of a built functional or sequential model.

    A model inside the model is opened wherever it is applied, so that its layers appear once for each application, with
    the sizes that they have there. One without a graph is a step of its own.

    Raises:
        ValueError: the model itself has no graph: a subclassed model, or one that is not built.
    """
    graph = getattr(model, "_functional", model)  # where a sequential model keeps its graph
    if not hasattr(graph, "_nodes_by_depth"):
        raise ValueError(f"{model.name} has no graph to read: build it with the functional API")
    known = {id(tensor): tensor for tensor in graph.inputs}
    steps = list(_steps(graph, known, fresh=False))
    return Graph(list(graph.inputs), steps, [known[id(tensor)] for tensor in graph.outputs])


def _steps(graph, known, fresh):
    """`known` maps the graph's own tensors to those of the caller; `fresh`: make new ones for what it computes."""
    # Keras has no public name for its nodes; its own `summary` reads the same attribute.
    for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            operation = node.operation
            if isinstance(operation, keras.layers.InputLayer):
                continue
            inputs = [known[id(tensor)] for tensor in node.input_tensors]
            inner = getattr(operation, "_functional", operation)
            if isinstance(operation, keras.Model) and hasattr(inner, "_nodes_by_depth"):
                within = {id(own): tensor for own, tensor in zip(inner.inputs, inputs, strict=True)}
                yield from _steps(inner, within, fresh=True)
                outputs = [within[id(tensor)] for tensor in inner.outputs]
                known.update((id(own), tensor) for own, tensor in zip(node.output_tensors, outputs, strict=True))
                continue
            args, kwargs = node.arguments.fill_in(known)
            outputs = _outputs(node, inputs, args, kwargs) if fresh else node.output_tensors
            known.update((id(own), tensor) for own, tensor in zip(node.output_tensors, outputs, strict=True))
            yield Step(operation, inputs, list(outputs), args, kwargs)


def _outputs(node, inputs, args, kwargs):
    """New tensors for what a step gives; sizes follow from `inputs`, which may be better known than the node's."""
    if all(new.shape == own.shape for new, own in zip(inputs, node.input_tensors, strict=True)):
        return [keras.KerasTensor(own.shape, own.dtype) for own in node.output_tensors]
    return keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))


def in_order(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a functional model that hold weights, in an order that depends on its graph alone.

    Depth first from the outputs, a layer after all that it needs; inputs in their order, but those of a sum or product
    by how much lies behind them, the most first, so that `Add()([x, y])` and `Add()([y, x])` give the same order.
    Input normalisation (keras.applications' EfficientNet) is left out.
    """
    behind: dict[int, int] = {}  # for each node of the graph the set of nodes that it needs, as the bits of a number
    order = []

    def sources(node):
        nodes = [node_of(tensor) for tensor in node.input_tensors]
        if isinstance(node.operation, keras.layers.Add | keras.layers.Multiply) and all(id(n) in behind for n in nodes):
            nodes.sort(key=lambda n: -behind[id(n)].bit_count())
        return nodes

    def walk(each):
        seen, stack = set(), [(node, False) for node in reversed([node_of(output) for output in model.outputs])]
        while stack:
            node, ready = stack.pop()
            if ready:
                each(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((source, False) for source in reversed(sources(node)))

    def count(node):
        bits = 1 << len(behind)
        for source in sources(node):
            bits |= behind[id(source)]
        behind[id(node)] = bits

    def collect(node):
        operation = node.operation
        inner = in_order(operation) if isinstance(operation, keras.Model) else [operation]
        order.extend(layer for layer in inner if isinstance(layer, keras.layers.Layer) and layer.weights)

    walk(count)
    walk(collect)
    return [layer for layer in dict.fromkeys(order) if not isinstance(layer, keras.layers.Normalization)]


def node_of(tensor):
    """The application of a layer that made a tensor. Keras has no public name for it; its own plots read the same."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def is_head(layer: keras.layers.Layer) -> bool:
    """Whether a layer works on the pooled or flattened features, or gives the logits."""
    return layer.name == "logits" or len(layer._inbound_nodes[0].input_tensors[0].shape) == 2
