"""Gradient checkpointing: memory of a training step for time.

Chen, Xu, Zhang & Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174): the network is cut
into segments, the forward pass keeps only the tensors that pass from one segment to a later one, and the backward pass
computes each segment again, the last one first. A chain of n equal layers keeps 2 sqrt(n) activations instead of n, for
one more forward pass of all segments but the last.

Keras' `RematScope` computes single layers again: their inputs, which are all activations of a network, stay. It also
runs a layer's side effects twice, so that batch norm moves its averages twice and dropout draws another mask. Here the
second computation reads the seeds and weights of the first and changes no variable.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfcnn import graph
from tfcnn.cost import example_bytes
from tfcnn.graph import Graph, Step
from tfcnn.kept_activations import kept_activations

SHRINK = 0.85  # from one size of the largest segment to the next that is tried


class Plan(NamedTuple):
    """How a network is cut.

    Attributes:
        segments: in their order; the last is not computed again.
        all_bytes: of one example's activations that the backward pass reads.
        kept_bytes: of those that are kept for the backward pass, and of the largest segment's.
    """

    segments: list[Graph]
    all_bytes: int
    kept_bytes: int

    @property
    def summary(self) -> dict[str, int]:
        """For config.json."""
        return {"segments": len(self.segments), "all_bytes": self.all_bytes, "kept_bytes": self.kept_bytes}


def checkpoint_gradients(model: keras.Model) -> Plan:
    """Let a functional model keep few activations in training from now on.

    The model changes in memory, and its class does not: weights, configuration and the saved file stay. Functions for
    training that are traced already keep all activations.

    Args:
        model: a functional model on the TensorFlow backend, also with models inside; `fused_kernels.accelerate` comes
            before. Its steps must not be compiled by XLA, which may merge the second computation with the first.

    Returns:
        Plan: of one segment where cutting saves nothing; such a model does not change.
    """
    plan = divide(graph.read(model))
    if len(plan.segments) > 1:
        model.call = partial(_call, model, model.call, plan.segments)
    return plan


def divide(model_graph: Graph) -> Plan:
    """The segments for which the tensors that pass between them and the largest segment's activations are least.

    For each bound on a segment's activations, the cuts with the fewest bytes between segments follow by dynamic
    programming over the steps in their order.
    """
    steps = model_graph.steps
    kept = {id(tensor) for tensor in kept_activations(model_graph)}
    sums = [0]  # of the bytes that the first steps leave for the backward pass
    for step in steps:
        sums.append(sums[-1] + sum(example_bytes(tensor) for tensor in step.outputs if id(tensor) in kept))
    passed = _passed_bytes(model_graph)
    whole = sums[-1]
    best_bytes = whole
    best_cuts = [0]
    bound = whole * SHRINK
    while bound >= 1:
        cuts = _cheapest_cuts(sums, passed, bound)
        if cuts is None:
            break
        ends = [*cuts[1:], len(steps)]
        largest = max(sums[end] - sums[start] for start, end in zip(cuts, ends, strict=True))
        between = sum(passed[start][end] for start, end in zip(cuts[:-1], ends[:-1], strict=True))
        if largest + between < best_bytes:
            best_bytes = largest + between
            best_cuts = cuts
        bound = largest * SHRINK
    ends = [*best_cuts[1:], len(steps)]
    segments = [_segment(model_graph, start, end) for start, end in zip(best_cuts, ends, strict=True)]
    return Plan(segments, whole, best_bytes)


def _passed_bytes(model_graph: Graph) -> list[list[int]]:
    """[start][end]: bytes that the steps from start to end, without end, compute for later steps."""
    steps = model_graph.steps
    last_reader = {id(tensor): number for number, step in enumerate(steps) for tensor in step.inputs}
    last_reader |= {id(tensor): len(steps) for tensor in model_graph.outputs}
    produced = [0] * len(steps)
    released: list[list[tuple[int, int]]] = [[] for _ in range(len(steps) + 1)]  # by step: (producer, bytes)
    for number, step in enumerate(steps):
        for tensor in step.outputs:
            reader = last_reader.get(id(tensor), number)
            if reader > number:
                produced[number] += example_bytes(tensor)
                released[reader].append((number, example_bytes(tensor)))
    passed = []
    for start in range(len(steps)):
        live = 0
        row = [0] * (len(steps) + 1)
        for end in range(start, len(steps)):
            live += produced[end] - sum(size for producer, size in released[end] if producer >= start)
            row[end + 1] = live
        passed.append(row)
    return passed


def _cheapest_cuts(sums: list[int], passed: list[list[int]], bound: float) -> list[int] | None:
    """The first steps of the segments, none above `bound` bytes, with the fewest bytes between them.

    None where a single step is above it.
    """
    count = len(sums) - 1
    least = [0.0] + [float("inf")] * count
    source = [0] * (count + 1)
    for end in range(1, count + 1):
        for start in range(end - 1, -1, -1):
            if sums[end] - sums[start] > bound:
                break
            # The last segment passes nothing on.
            total = least[start] + (passed[start][end] if end < count else 0)
            if total < least[end]:
                least[end] = total
                source[end] = start
    if least[count] == float("inf"):
        return None
    cuts = []
    end = count
    while end > 0:
        end = source[end]
        cuts.append(end)
    return cuts[::-1]


def _segment(model_graph: Graph, start: int, end: int) -> Graph:
    """The steps from start to end, without end, with what they read of others and what others read of them."""
    steps = model_graph.steps[start:end]
    computed = {id(tensor): tensor for step in steps for tensor in step.outputs}
    read = {id(tensor): tensor for step in steps for tensor in step.inputs}
    later = {id(tensor) for step in model_graph.steps[end:] for tensor in step.inputs}
    later |= {id(tensor) for tensor in model_graph.outputs}
    inputs = [tensor for number, tensor in read.items() if number not in computed]
    outputs = [tensor for number, tensor in computed.items() if number in later]
    return Graph(inputs, steps, outputs)


def _call(
    model: keras.Model,
    keras_call: Any,
    segments: Sequence[Graph],
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    """What `keras_call` returns; in training by segments."""
    if not training:
        return keras_call(inputs, training=training, mask=mask)
    tensors = model._standardize_inputs(inputs)
    values = {id(tensor): value for tensor, value in zip(model.inputs, tensors, strict=True)}
    first = set(values)
    for number, segment in enumerate(segments):
        arguments = [values[id(tensor)] for tensor in segment.inputs]
        if number + 1 < len(segments):
            # No gradient flows to the inputs of the model.
            sources = [position for position, tensor in enumerate(segment.inputs) if id(tensor) not in first]
            results = _run_and_forget(segment, arguments, sources)
        else:
            results = graph.evaluate(segment, arguments, segment.outputs, apply=_apply_in_training)
        values |= {id(tensor): result for tensor, result in zip(segment.outputs, results, strict=True)}
    outputs = [values[id(tensor)] for tensor in model.outputs]
    return outputs[0] if len(outputs) == 1 else outputs


def _apply_in_training(step: Step, args: tuple, kwargs: dict) -> Any:
    if isinstance(step.operation, keras.layers.Layer):
        kwargs = kwargs | {"training": True}
    return step.operation(*args, **kwargs)


def _run_and_forget(segment: Graph, inputs: list[tf.Tensor], sources: list[int]) -> list[tf.Tensor]:
    """The outputs of a segment, which computes its activations again for its gradients.

    Args:
        segment: of a model.
        inputs: its values.
        sources: the positions of the inputs that gradients flow to.
    """
    layers = {id(step.operation): step.operation for step in segment.steps}.values()
    variables = list(
        {
            id(variable): variable
            for layer in layers
            if isinstance(layer, keras.layers.Layer)
            for variable in layer.variables
        }.values()
    )
    # Not `value`, which Keras casts to the format of the layer whose call this is.
    weights = [tf.convert_to_tensor(variable._value) for variable in variables]
    wanted = sources + [len(inputs) + number for number, variable in enumerate(variables) if variable.trainable]
    floats = [number for number, tensor in enumerate(segment.outputs) if keras.backend.is_float_dtype(tensor.dtype)]
    moved: list[keras.Variable] = []

    @tf.custom_gradient
    def compute(*tensors: tf.Tensor) -> tuple:
        outputs, scope = _run(segment, variables, tensors)
        moved[:] = [
            variable
            for variable, before in zip(variables, tensors[len(inputs) :], strict=True)
            if scope.get_current_value(variable) is not before
        ]

        def gradient(*upstream: tf.Tensor) -> list[tf.Tensor | None]:
            upstream = tuple(upstream[number] for number in floats)
            # The second computation waits for the gradients of later segments, and is no copy of the first.
            with tf.control_dependencies(upstream):
                again = [tf.identity(tensor) for tensor in tensors[: len(inputs)]]
            again += tensors[len(inputs) :]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([again[number] for number in wanted])
                repeated, _ = _run(segment, variables, again)
                targets = [repeated[number] for number in floats]
            results: list[tf.Tensor | None] = [None] * len(tensors)
            by_source = tape.gradient(targets, [again[number] for number in wanted], output_gradients=upstream)
            for number, result in zip(wanted, by_source, strict=True):
                results[number] = result
            return results

        return [*outputs, *(scope.get_current_value(variable) for variable in moved)], gradient

    results = list(compute(*inputs, *weights))
    for variable, value in zip(moved, results[len(segment.outputs) :], strict=True):
        variable.assign(value)
    return results[: len(segment.outputs)]


def _run(
    segment: Graph, variables: list[keras.Variable], tensors: Sequence[tf.Tensor]
) -> tuple[list[tf.Tensor], keras.StatelessScope]:
    """The outputs of a segment for values of its inputs and variables, and the scope with the variables' new values."""
    inputs = tensors[: len(segment.inputs)]
    with keras.StatelessScope() as scope:
        # Not as its argument, whose values Keras casts as `value`.
        for variable, value in zip(variables, tensors[len(inputs) :], strict=True):
            scope.add_update((variable, value))
        outputs = graph.evaluate(segment, inputs, segment.outputs, apply=_apply_in_training)
    return outputs, scope
