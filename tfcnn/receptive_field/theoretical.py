"""What a position of a map sees of the input: size, stride and padding of the receptive field, read from the graph.

Nothing is traced or run, so that a model built without weights (`cost.weightless`) is answered for as well. Maps are
taken as unbounded: at the image's border the field reaches into the padding, and zeros, mirrored or repeated pixels all
count as that. The field is the smallest box around everything that is seen, over all branches; holes in it (a stride
larger than the kernel, dilation) count.

Some things reach beyond any window, and a map behind them sees the whole image, whatever its size: a branch that pools
the whole map and is multiplied in (squeeze-and-excitation), the statistics of a group normalisation, the offsets of a
deformable convolution. Published values leave these out: `windows_only=True` does. Dense layers behind Flatten or
global pooling see the whole image either way; on a map a dense layer is a 1x1 convolution.

The rule for each tensor and axis is what its positions 0, 1, ... see of the input. It repeats: after `len(cells)`
positions everything is `shift` pixels further, where a network that only shrinks its maps has one cell.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import keras

from tfcnn import graph
from tfcnn.errors import choose
from tfcnn.layers import CropLike, DeformableConv2D
from tfcnn.layers.pooling.max_unpooling import MaxUnpoolingLike
from tfcnn.receptive_field.intervals import EVERYTHING, NOTHING, PIXEL, Axis, joined, through
from tfcnn.receptive_field.rules import COLLAPSE, POINTWISE, STATISTICS, WHOLE_AXIS, pooling, rule_of


class ReceptiveField(NamedTuple):
    """Position n of the map sees `size` pixels from n stride - padding on; one entry for each axis of the image.

    The whole image is size math.inf, stride 0, padding math.inf. Behind up-sampling, where neighbours see different
    numbers of pixels, `size` is the largest, `stride` (a Fraction) the mean step, and `padding` that of position 0.
    """

    size: tuple[int | float, ...]
    stride: tuple[int | Fraction, ...]
    padding: tuple[int | float, ...]

    def __str__(self) -> str:
        """ "212", "9x1" where the axes differ, "whole" for the whole image."""
        sizes = ["whole" if math.isinf(size) else str(size) for size in self.size]
        return sizes[0] if len(set(sizes)) == 1 else "x".join(sizes)


def receptive_field(
    model: keras.Model, layer: str | keras.layers.Layer | None = None, *, windows_only: bool = False
) -> ReceptiveField:
    """The receptive field of a layer's output in the model's (first) input.

    Araujo, Norris & Sim, "Computing receptive fields of convolutional neural networks" (Distill, 2019), extended to
    layers that enlarge the map, and exact where branches of different sizes meet.

    Args:
        model: a built functional or sequential model of any package; models inside it are opened.
        layer: a layer or its name, of its last application where it is shared; default: the last one whose output
            still has positions, which is the input of global pooling or Flatten.
        windows_only: leave out what sees the whole image by its nature, as published values do (see the module).

    Raises:
        ValueError: a layer on the way that is not known (it is named), branches of different strides that meet, an
            unknown layer name, or a model without a graph or spatial axes.

    A layer of one's own answers by a method `windows(input_shape, output_shape)`, shapes with the batch: for each
    spatial axis a row (kernel, stride, padding before, dilation), as `arithmetic.receptive_field` takes them, what is
    left out at its end being 1, 0, 1. A stride of Fraction(1, 2) is that of a transposed convolution, which crops by
    its padding.

    Where "same" padding depends on a size that is not known, the size counts as a multiple of the stride.

    Example:
        >>> model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3), keras.layers.MaxPooling2D()])
        >>> receptive_field(model)
        ReceptiveField(size=(4, 4), stride=(2, 2), padding=(0, 0))
    """
    return _answer(find_step(model, layer, windows_only)[1])


def receptive_fields(model: keras.Model, *, windows_only: bool = False) -> list[ReceptiveField | None]:
    """One for each row of `cost.cost_table(model)`, in one pass; None behind a layer that is not known."""
    fields = _fields(graph.read(model), windows_only)
    return [None if isinstance(field, Unknown) else _answer(field) for field in fields]


def window(
    model: keras.Model,
    layer: str | keras.layers.Layer | None = None,
    position: tuple[int, ...] | None = None,
    *,
    windows_only: bool = False,
) -> tuple[tuple[float, float], ...] | None:
    """First and last pixel, along each axis, that one position sees; beyond the image where it sees padding.

    Args:
        model, layer, windows_only: as of `receptive_field`.
        position: in the layer's output; default: its centre, which needs a known size.

    Returns:
        (first, last) for each axis, -math.inf and math.inf for the whole image; None for a position that sees nothing,
        as a zero of bed-of-nails unpooling.

    Raises:
        ValueError: as of `receptive_field`, or the layer's output has no positions or, without `position`, no known
            size.
    """
    step, field = find_step(model, layer, windows_only)
    position = position or centre(step, field)
    cells = [axis.cell(place) for axis, place in zip(field.axes, position, strict=True)]
    return None if None in cells else tuple(cells)


def centre(step: graph.Step, field: Field) -> tuple[int, ...]:
    """The middle position of a map."""
    if not field.positions:
        raise ValueError(
            f"{step.operation.name} has no positions: give a layer before global pooling or Flatten (layer=)"
        )
    sides = step.outputs[0].shape[1 : len(field.axes) + 1]
    if None in sides:
        raise ValueError(
            f"the size of {step.operation.name} is not known: build the model with one, or give the position"
        )
    return tuple(side // 2 for side in sides)


class Field(NamedTuple):
    """What a tensor sees, along each axis of the input. `positions`: its own axes still are those of the image."""

    axes: tuple[Axis, ...]
    positions: bool = True


class Unknown(NamedTuple):
    """Why no field can be given."""

    reason: str


def _answer(field: Field) -> ReceptiveField:
    rows = []
    for axis in field.axes:
        seen = [(place, cell) for place, cell in enumerate(axis.cells) if cell]
        if not seen or math.isinf(seen[0][1][0]):  # nothing but what `windows_only` has left out
            rows.append((math.inf, 0, math.inf))
            continue
        stride = Fraction(axis.shift, len(axis.cells))
        size = max(last - first + 1 for _, (first, last) in seen)
        padding = math.floor(seen[0][0] * stride) - seen[0][1][0]
        rows.append((size, int(stride) if stride.denominator == 1 else stride, padding))
    return ReceptiveField(*zip(*rows, strict=True))


def find_step(model, layer, windows_only, read=None) -> tuple[graph.Step, Field]:
    """The application of `layer` that is meant, and its field."""
    read = read or graph.read(model)
    fields = _fields(read, windows_only)
    if layer is None:
        chosen = _last_map(read, fields)
    else:
        names = [step.operation.name for step in read.steps]
        name = choose("layer", getattr(layer, "name", layer), names, flag="layer=")
        chosen = len(names) - 1 - names[::-1].index(name)
    if isinstance(fields[chosen], Unknown):
        raise ValueError(fields[chosen].reason)
    return read.steps[chosen], fields[chosen]


def _last_map(read, fields) -> int:
    """The last step on the way to the (first) output whose result still has positions."""
    needed = {id(read.outputs[0])}
    for number in range(len(read.steps) - 1, -1, -1):
        step = read.steps[number]
        if needed.isdisjoint(map(id, step.outputs)):
            continue
        if isinstance(fields[number], Unknown) or fields[number].positions:
            return number
        needed.update(map(id, step.inputs))
    raise ValueError("no layer's output has positions of the image")


def _fields(read: graph.Graph, windows_only: bool) -> list[Field | Unknown]:
    """The field of each step's outputs, which read the same windows."""
    image = read.inputs[0]
    count = len(image.shape) - 2
    if count < 1:
        raise ValueError(f"the input has no spatial axes: its shape is {tuple(image.shape)}")
    known = {id(tensor): Field((NOTHING,) * count, False) for tensor in read.inputs}
    known[id(image)] = Field((PIXEL,) * count)
    fields = []
    for step in read.steps:
        inputs = [known[id(tensor)] for tensor in step.inputs]
        unknown = [field for field in inputs if isinstance(field, Unknown)]
        fields.append(unknown[0] if unknown else _through(step, inputs, count, windows_only))
        known.update((id(tensor), fields[-1]) for tensor in step.outputs)
    return fields


def _through(step: graph.Step, inputs: list[Field], count: int, windows_only: bool) -> Field | Unknown:
    """The field of a step's outputs, from those of its inputs."""
    name = f"{step.operation.name}, a {type(step.operation).__name__},"
    whole = NOTHING if windows_only else EVERYTHING
    # Behind global pooling or Flatten nothing changes any more.
    rule = rule_of(step, count) if any(field.positions for field in inputs) else POINTWISE
    if rule is None or (isinstance(rule, list) and len(rule) != count):
        return Unknown(f"{name} has no known receptive field")
    if rule == COLLAPSE:
        return Field((whole,) * count, False)
    if rule == STATISTICS or isinstance(step.operation, DeformableConv2D):
        inputs = [*inputs, Field((whole,) * count)]
    if isinstance(step.operation, CropLike):  # `like` says the size
        inputs = inputs[:1]
    if isinstance(step.operation, MaxUnpoolingLike):  # `like` says where, by the maximum of each window
        rows = pooling(step.operation, step.inputs[1].shape)
        inputs = [inputs[0], Field(tuple(map(through, inputs[1].axes, rows)))]
    if isinstance(rule, list):
        rule = [whole if row == WHOLE_AXIS else row for row in rule]
        # A tensor that has lost its positions (a squeeze-and-excitation gate) is spread over the map.
        inputs = [Field(tuple(map(through, field.axes, rule))) if field.positions else field for field in inputs]
    axes = tuple(joined(along) for along in zip(*(field.axes for field in inputs), strict=True))
    if None in axes:
        return Unknown(f"{name} joins maps of different strides")
    return Field(axes, any(field.positions for field in inputs))
