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
