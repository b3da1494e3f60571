"""A block of a network as the papers draw it: a box for each layer that computes, lines for what it reads."""

from __future__ import annotations

from statistics import fmean
from typing import Any, NamedTuple

import keras
from keras import layers
from matplotlib.axes import Axes

from tfcnn import graph
from tfcnn.graph import DEPTHWISE, TRANSPOSED, Step
from tfcnn.layers import MaxUnpoolingLike2D

COLOURS = {"input": "#eeeeee", "layer": "#cfe2f3", "merge": "#fff2cc"}


class Node(NamedTuple):
    """A box.

    Attributes:
        label: what it computes.
        kind: a key of `COLOURS`.
        level: the longest way to it from the input, which is level 0.
        sources: the numbers of the nodes that it reads, all lower than its number.
    """

    label: str
    kind: str
    level: int
    sources: tuple[int, ...]


def nodes_of(model: keras.Model) -> list[Node]:
    """The nodes of a functional model from its input to its output; branches in the order in which they are merged.

    Batch norm, activation, dropout and borders belong to the box of the layer before them.

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = layers.ReLU()(layers.Conv2D(3, 3, padding="same")(inputs))
    >>> for node in nodes_of(keras.Model(inputs, layers.Add()([x, inputs]))):
    ...     print(node.label, node.level, node.sources)
    input 8x8x3 0 ()
    3x3, 3 1 (0,)
    sum 2 (1, 0)
    """
    model_graph = graph.read(model)
    producers = model_graph.producers()
    nodes: list[Node] = []
    numbers: dict[int, int] = {}

    def number_of(tensor: keras.KerasTensor) -> int:
        if id(tensor) in numbers:
            return numbers[id(tensor)]
        step = producers.get(id(tensor))
        if step is None:
            nodes.append(Node(f"input {'x'.join(map(str, tensor.shape[1:]))}", "input", 0, ()))
            numbers[id(tensor)] = len(nodes) - 1
        else:
            sources = tuple(number_of(source) for source in step.inputs)
            label = _label(step)
            if label:
                kind = "merge" if len(sources) > 1 else "layer"
                nodes.append(Node(label, kind, 1 + max(nodes[source].level for source in sources), sources))
            numbers[id(tensor)] = len(nodes) - 1 if label else sources[0]
        return numbers[id(tensor)]

    for output in model_graph.outputs:
        number_of(output)
    return nodes


def _label(step: Step) -> str:
    """What a box says of the step; nothing where it has no box."""
    layer: Any = step.operation
    if hasattr(layer, "kernel_size"):
        what = "depthwise" if isinstance(layer, DEPTHWISE) else f"{step.output_shape[-1]}"
        way = " up" if isinstance(layer, TRANSPOSED) else ""
        return f"{_window(layer.kernel_size, layer.strides)}{way}, {what}"
    if isinstance(layer, layers.UpSampling2D):
        return f"{layer.interpolation}, times {layer.size[0]}"
    if isinstance(layer, MaxUnpoolingLike2D):
        return "unpooling"
    if isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D):
        what = "mean" if isinstance(layer, layers.AveragePooling2D) else "max"
        return f"{_window(layer.pool_size, layer.strides)}, {what}"
    if len(step.inputs) > 1:
        return {layers.Add: "sum", layers.Concatenate: "concatenate", layers.Multiply: "product"}.get(
            type(layer), type(layer).__name__
        )
    if isinstance(layer, layers.GlobalAveragePooling2D):
        return "mean of all"
    return type(layer).__name__ if getattr(layer, "kernel", None) is not None else ""


def _window(size: tuple[int, ...], strides: int | tuple[int, ...]) -> str:
    """ "3x3", or "3x3 / 2" with its stride where that is not 1."""
    stride = strides if isinstance(strides, int) else strides[0]
    return "x".join(map(str, size)) + (f" / {stride}" if stride > 1 else "")


def columns_of(nodes: list[Node]) -> dict[tuple[int, int], float]:
    """The column of node n at level l, as [n, l], where its box stands or its line passes the boxes of others."""
    last = [
        max([node.level, *(reader.level for reader in nodes if n in reader.sources)]) for n, node in enumerate(nodes)
    ]
    columns: dict[tuple[int, int], float] = {}
    for level in range(max(node.level for node in nodes) + 1):
        members = []
        for number, node in enumerate(nodes):
            if node.level == level:
                mean = fmean(columns[source, level - 1] for source in node.sources) if level else 0.0
                members.append((mean, False, number))
            elif node.level < level < last[number]:
                members.append((columns[number, level - 1], True, number))
        for place, (_, _, number) in enumerate(sorted(members)):
            columns[number, level] = place - (len(members) - 1) / 2
    return columns


def draw_block(axes: Axes, model: keras.Model, title: str) -> None:
    """Draw a block of at most some twenty layers, from its input at the top to its output.

    Args:
        axes: where; its frame is removed.
        model: a functional model of the block alone.
        title: above it.
    """
    nodes = nodes_of(model)
    columns = columns_of(nodes)
    for number, node in enumerate(nodes):
        place = (columns[number, node.level], -node.level)
        for source in node.sources:
            levels = range(nodes[source].level, node.level)
            corners = [(columns[source, level], -level) for level in levels]
            axes.plot(*zip(*corners, strict=True), color="0.4", linewidth=1, zorder=1)
            arrow = {"arrowstyle": "->", "color": "0.4", "shrinkB": 9}
            axes.annotate("", place, corners[-1], arrowprops=arrow, zorder=1)
        box = {"boxstyle": "round", "facecolor": COLOURS[node.kind], "edgecolor": "0.4"}
        axes.text(*place, node.label, ha="center", va="center", fontsize=8, bbox=box, zorder=2)
    widest = max(abs(column) for column in columns.values())
    axes.set_xlim(-widest - 0.6, widest + 0.6)
    axes.set_ylim(-max(node.level for node in nodes) - 0.5, 0.5)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
