"""What a position of a map sees of the input: size, stride and padding of the receptive field, read from the graph.

Nothing is traced or run, so that a model built without weights (`cost.weightless`) is answered for as well. Maps are
taken as unbounded: at the image's border the field reaches into the padding, and zeros, mirrored or repeated pixels all
count as that. The field is the smallest box around everything that is seen, over all branches; holes in it (a stride
larger than the kernel, dilation) count.

Some things reach beyond any window, and a map after them sees the whole image, whatever its size: a branch that pools
the whole map and is multiplied in (squeeze-and-excitation), the statistics of a group normalisation, the offsets of a
deformable convolution. Published values leave these out, and so does `windows_only=True`. Dense layers after Flatten or
global pooling see the whole image either way; on a map a dense layer is a 1x1 convolution.

What the positions 0, 1, ... of a tensor see along an axis repeats: after `len(period)` positions everything is `shift`
pixels further. In a network that only shrinks its maps the period is one position.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import keras

from tfcnn import graph
from tfcnn.errors import choose
from tfcnn.graph import Graph, Step
from tfcnn.layers import CropLike, DeformableConv2D
from tfcnn.layers.pooling.max_unpooling import MaxUnpoolingLike
from tfcnn.receptive_field.intervals import EVERYTHING, NOTHING, PIXEL, Interval, Intervals, compose, join
from tfcnn.receptive_field.reads import Reach, Reads
from tfcnn.receptive_field.rules import pooling, rule_of


class ReceptiveField(NamedTuple):
    """Position n of the map sees `size` pixels from n stride - padding on; one entry for each axis of the image.

    The whole image is size math.inf, stride 0, padding math.inf. After up-sampling, where neighbours see different
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
        windows_only: leave out what sees the whole image whatever its size, as published values do (see the module).

    Raises:
        ValueError: a layer on the way that is not known (it is named), branches of different strides that meet, an
            unknown layer name, or a model without a graph or spatial axes.

    A custom layer answers by a method `windows(input_shape, output_shape)`, shapes with the batch: for each spatial
    axis a row (kernel, stride, padding before, dilation), as `arithmetic.receptive_field` takes them, with 1, 0, 1 for
    what is left out at its end. A stride of Fraction(1, 2) is that of a transposed convolution, which crops by its
    padding.

    Where "same" padding depends on a size that is not known, the size counts as a multiple of the stride.

    Example:
        >>> model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3), keras.layers.MaxPooling2D()])
        >>> receptive_field(model)
        ReceptiveField(size=(4, 4), stride=(2, 2), padding=(0, 0))
    """
    _, field = find_step(graph.read(model), layer, windows_only)
    return _receptive_field(field)


def receptive_fields(model: keras.Model, *, windows_only: bool = False) -> list[ReceptiveField | None]:
    """One for each row of `cost.cost_table(model)`, in one pass; None after an unknown layer."""
    fields = _fields(graph.read(model), windows_only)
    return [None if isinstance(field, Unknown) else _receptive_field(field) for field in fields]


def window(
    model: keras.Model,
    layer: str | keras.layers.Layer | None = None,
    position: tuple[int, ...] | None = None,
    *,
    windows_only: bool = False,
) -> tuple[Interval, ...] | None:
    """First and last pixel, along each axis, that one position sees; beyond the image where it sees padding.

    Args:
        model, layer, windows_only: as in `receptive_field`.
        position: in the layer's output; default: its centre, which needs a known size.

    Returns:
        (first, last) for each axis, -math.inf and math.inf for the whole image; None for a position that sees nothing,
        such as a zero of bed-of-nails unpooling.

    Raises:
        ValueError: as in `receptive_field`, or the layer's output has no positions or, without `position`, no known
            size.
    """
    step, field = find_step(graph.read(model), layer, windows_only)
    position = position or centre(step, field)
    seen = [intervals.at(place) for intervals, place in zip(field.axes, position, strict=True)]
    intervals = tuple(interval for interval in seen if interval is not None)
    return intervals if len(intervals) == len(seen) else None


def centre(step: Step, field: Field) -> tuple[int, ...]:
    """The middle position of a map."""
    name = step.operation.name
    if not field.positions:
        raise ValueError(f"{name} has no positions: give a layer before global pooling or Flatten (layer=)")
    sides = step.output_shape[1 : len(field.axes) + 1]
    lengths = tuple(side for side in sides if side is not None)
    if len(lengths) < len(sides):
        raise ValueError(f"the size of {name} is not known: build the model with one, or give the position")
    return tuple(side // 2 for side in lengths)


class Field(NamedTuple):
    """What a tensor sees, along each axis of the input. `positions`: its own axes still are those of the image."""

    axes: tuple[Intervals, ...]
    positions: bool = True


class Unknown(NamedTuple):
    """Why no field can be given."""

    reason: str


def _receptive_field(field: Field) -> ReceptiveField:
    rows = [_size_stride_padding(intervals) for intervals in field.axes]
    return ReceptiveField(*zip(*rows, strict=True))


def _size_stride_padding(intervals: Intervals) -> tuple[int | float, int | Fraction, int | float]:
    """The numbers of one axis."""
    seen = [(place, interval) for place, interval in enumerate(intervals.period) if interval]
    if not seen or math.isinf(seen[0][1][0]):  # nothing is seen only where `windows_only` has left it out
        return math.inf, 0, math.inf
    stride = Fraction(intervals.shift, len(intervals.period))
    size = max(last - first + 1 for _, (first, last) in seen)
    place, (first, _) = seen[0]
    padding = math.floor(place * stride) - first
    return size, int(stride) if stride.denominator == 1 else stride, padding


def find_step(model_graph: Graph, layer: str | keras.layers.Layer | None, windows_only: bool) -> tuple[Step, Field]:
    """The application of `layer` that is meant, and its field. Raises ValueError as `receptive_field` does."""
    fields = _fields(model_graph, windows_only)
    if layer is None:
        number = _last_map(model_graph, fields)
    else:
        names = [step.operation.name for step in model_graph.steps]
        name = choose("layer", getattr(layer, "name", layer), names, flag="layer=")
        number = len(names) - 1 - names[::-1].index(name)
    field = fields[number]
    if isinstance(field, Unknown):
        raise ValueError(field.reason)
    return model_graph.steps[number], field


def _last_map(model_graph: Graph, fields: list[Field | Unknown]) -> int:
    """The last step on the way to the (first) output whose result still has positions."""
    needed = {id(model_graph.outputs[0])}
    for number in range(len(model_graph.steps) - 1, -1, -1):
        step = model_graph.steps[number]
        if needed.isdisjoint(map(id, step.outputs)):
            continue
        field = fields[number]
        if isinstance(field, Unknown) or field.positions:
            return number
        needed.update(map(id, step.inputs))
    raise ValueError("no layer's output has positions of the image")


def _fields(model_graph: Graph, windows_only: bool) -> list[Field | Unknown]:
    """The field of each step's outputs, which read the same windows."""
    image = model_graph.inputs[0]
    rank = len(image.shape) - 2
    if rank < 1:
        raise ValueError(f"the input has no spatial axes: its shape is {tuple(image.shape)}")
    field_of: dict[int, Field | Unknown] = {
        id(tensor): Field((NOTHING,) * rank, False) for tensor in model_graph.inputs
    }
    field_of[id(image)] = Field((PIXEL,) * rank)
    fields = []
    for step in model_graph.steps:
        field = _field(step, [field_of[id(tensor)] for tensor in step.inputs], rank, windows_only)
        fields.append(field)
        field_of.update((id(tensor), field) for tensor in step.outputs)
    return fields


def _field(step: Step, input_fields: list[Field | Unknown], rank: int, windows_only: bool) -> Field | Unknown:
    """The field of a step's outputs, from those of its inputs."""
    inputs: list[Field] = []
    for field in input_fields:
        if isinstance(field, Unknown):
            return field
        inputs.append(field)
    name = f"{step.operation.name}, a {type(step.operation).__name__},"
    whole = NOTHING if windows_only else EVERYTHING
    # After global pooling or Flatten nothing changes any more.
    rule = rule_of(step, rank) if any(field.positions for field in inputs) else Reach.POINTWISE
    if rule is None or (isinstance(rule, list) and len(rule) != rank):
        return Unknown(f"{name} has no known receptive field")
    if rule is Reach.COLLAPSE:
        return Field((whole,) * rank, positions=False)
    if rule is Reach.STATISTICS or isinstance(step.operation, DeformableConv2D):
        inputs = [*inputs, Field((whole,) * rank)]
    if isinstance(step.operation, CropLike):  # `like` says the size
        inputs = inputs[:1]
    if isinstance(step.operation, MaxUnpoolingLike):  # `like` says where, by the maximum of each window
        windows = pooling(step.operation, tuple(step.inputs[1].shape))
        inputs = [inputs[0], _read(inputs[1], windows, whole)]
    if isinstance(rule, list):
        # A tensor that has lost its positions (a squeeze-and-excitation gate) is spread over the map.
        inputs = [_read(field, rule, whole) if field.positions else field for field in inputs]
    axes = [join(along) for along in zip(*(field.axes for field in inputs), strict=True)]
    joined = tuple(intervals for intervals in axes if intervals is not None)
    if len(joined) < len(axes):
        return Unknown(f"{name} joins maps of different strides")
    return Field(joined, any(field.positions for field in inputs))


def _read(field: Field, rule: list[Reads | Reach], whole: Intervals) -> Field:
    """What positions see that read a map by a rule with an entry for each axis."""
    pairs = zip(field.axes, rule, strict=True)
    return Field(tuple(compose(axis, reads) if isinstance(reads, Reads) else whole for axis, reads in pairs))
