"""Pooling switches in TensorFlow graphs that XLA compiles, and in training steps on the CPU, compiled or not.

In a step that is not compiled each function here is compiled alone (benchmarks/unpooling.py has the measurements).
Windows that lie side by side get a form that XLA turns into one pass over memory, forward and backward; others that
of `switches`. Inference outside XLA keeps to `switches`, whose operations LiteRT knows. Functions import TensorFlow
where they use it, for it may be absent on another backend.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from tfcnn.layers.pooling import switches, windows
from tfcnn.layers.pooling.windows import Axis

Compiler = Callable[[Callable], Callable]
AxesOf = Callable[[Sequence], list[Axis]]  # from the sizes of a map to its axes


def compiler(training: bool | None) -> Compiler | None:
    """The decorator that compiles a function below at this point; None where `switches` serves better.

    Inside an XLA compilation it returns the function as it is; elsewhere it compiles that function alone.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # TensorFlow has no public name for this question

    if tf.executing_eagerly():
        return None
    if control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()):
        return _unchanged
    if training and not tf.config.list_logical_devices("GPU"):
        return functools.partial(tf.function, jit_compile=True, autograph=False)
    return None


def _unchanged(function: Callable) -> Callable:
    return function


def pool(x: Any, axes_of: AxesOf, compiled: Compiler) -> list:
    """[values, indices] of the first maximum of each window of x. `axes_of(sizes)` gives its axes."""
    import tensorflow as tf

    folds = _side_by_side(axes_of(ops.shape(x)[1:-1]))

    @compiled
    def forward(x: Any) -> Any:
        axes = axes_of(ops.shape(x)[1:-1])
        values, offsets = (_maxima if folds else switches.maxima)(x, axes)
        return values, switches.to_indices(offsets, axes)

    @compiled
    def backward(upstream: Any, indices: Any, x: Any) -> Any:
        axes = axes_of(ops.shape(x)[1:-1])
        return _spread(upstream, switches.to_offsets(indices, axes), axes)

    @tf.custom_gradient
    def pooled(x: Any) -> Any:
        values, indices = forward(x)

        def gradient(upstream: Any, _: Any) -> Any:
            return backward(upstream, indices, x)

        return (values, indices), gradient

    return list(pooled(x) if folds else forward(x))


def unpool(values: Any, indices: Any, axes_of: AxesOf, compiled: Compiler) -> Any:
    """Each value at its index, zeros elsewhere. `axes_of(sizes of values)` gives the axes of the output."""
    import tensorflow as tf

    folds = _side_by_side(axes_of(ops.shape(values)[1:-1]))

    @compiled
    def forward(values: Any, indices: Any) -> Any:
        axes = axes_of(ops.shape(values)[1:-1])
        return (_spread if folds else switches.place)(values, switches.to_offsets(indices, axes), axes)

    @compiled
    def backward(upstream: Any, indices: Any) -> Any:
        axes = axes_of(ops.shape(indices)[1:-1])
        return _pick(upstream, switches.to_offsets(indices, axes), axes)

    @tf.custom_gradient
    def unpooled(values: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            return backward(upstream, indices)

        return forward(values, indices), gradient

    return unpooled(values) if folds else forward(values, indices)


def unpool_like(values: Any, like: Any, axes_of: AxesOf, compiled: Compiler) -> Any:
    """Each value at the first maximum of its window of `like`, zeros elsewhere."""
    import tensorflow as tf

    folds = _side_by_side(axes_of(ops.shape(like)[1:-1]))

    @compiled
    def forward(values: Any, like: Any) -> Any:
        axes = axes_of(ops.shape(like)[1:-1])
        _, offsets = (_maxima if folds else switches.maxima)(like, axes)
        return (_spread if folds else switches.place)(values, offsets, axes), offsets

    @compiled
    def backward(upstream: Any, offsets: Any) -> Any:
        return _pick(upstream, offsets, axes_of(ops.shape(upstream)[1:-1]))

    @tf.custom_gradient
    def unpooled(values: Any) -> Any:
        placed, offsets = forward(values, like)

        def gradient(upstream: Any) -> Any:
            return backward(upstream, offsets)

        return placed, gradient

    return unpooled(values) if folds else forward(values, like)[0]


def _side_by_side(axes: list[Axis]) -> bool:
    """Each cell lies in one window, and no padding comes before them: each window becomes an axis."""
    return all(along.tiles and isinstance(along.before, int) and along.before == 0 for along in axes)


def _maxima(x: Any, axes: list[Axis]) -> tuple:
    cells = _cells(x, axes, -float("inf"))
    best = cells[0][1]
    offset = ops.zeros_like(best, dtype="int32")
    for place, cell in cells[1:]:
        take = switches.exceeds(cell, best)
        best = ops.where(take, cell, best)
        offset = ops.where(take, place, offset)
    return best, offset


def _pick(x: Any, offsets: Any, axes: list[Axis]) -> Any:
    """The value of x at each switch: the gradient of `_spread`."""
    picked = ops.zeros(ops.shape(offsets), dtype=x.dtype)
    for place, cell in _cells(x, axes, 0):
        picked = ops.where(offsets == place, cell, picked)
    return picked


def _spread(values: Any, offsets: Any, axes: list[Axis]) -> Any:
    batch, *_, channels = ops.shape(values)
    one_cell = (batch, *itertools.chain(*((along.count, 1) for along in axes)), channels)
    place: Any = 0
    for i, (along, unit) in enumerate(zip(axes, switches.units(channels, axes), strict=True)):
        place = place + ops.reshape(ops.arange(along.pool) * unit, (-1, *(1,) * (2 * (len(axes) - 1 - i) + 1)))
    here = ops.reshape(offsets, one_cell) == place
    x = ops.where(here, ops.reshape(values, one_cell), ops.zeros((), dtype=values.dtype))
    x = ops.reshape(x, (batch, *(along.count * along.pool for along in axes), channels))
    for i, along in enumerate(axes):
        x = _resized(x, i, along.size, 0)
    return x


def _cells(x: Any, axes: list[Axis], fill: float) -> list[tuple]:
    """(offset, values) of the first cell of all windows, of the second one, ..., in row-major order."""
    for i, along in enumerate(axes):
        x = _resized(x, i, along.count * along.pool, fill)
    batch, *_, channels = ops.shape(x)
    x = ops.reshape(x, (batch, *itertools.chain(*((along.count, along.pool) for along in axes)), channels))
    units = switches.units(channels, axes)
    cells = []
    for place in itertools.product(*(range(along.pool) for along in axes)):
        offset = sum(d * unit for d, unit in zip(place, units, strict=True))
        cells.append((offset, x[(slice(None), *itertools.chain(*((slice(None), d) for d in place)))]))
    return cells


def _resized(x: Any, i: int, size: Any, fill: float) -> Any:
    """x cropped or padded with `fill` at the end of its spatial axis i."""
    shape = ops.shape(x)
    x = windows.pad(ops.reshape(x, windows.split_at(shape, i)), 0, size - shape[i + 1], fill)
    return ops.reshape(x, (*shape[: i + 1], size, *shape[i + 2 :]))
