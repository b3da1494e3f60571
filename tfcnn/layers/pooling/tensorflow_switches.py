"""Pooling switches in TensorFlow graphs that XLA compiles, and in training steps on the CPU, compiled or not.

In a step that is not compiled each function here is compiled by itself (benchmarks/unpooling.py has the
measurements). Windows that lie side by side get a form that XLA turns into one pass over memory, forward and
backward; others that of `switches`. Inference outside XLA keeps to `switches`, whose operations LiteRT knows.
"""

from __future__ import annotations

import functools
import itertools

import keras
from keras import ops

from tfcnn.layers.pooling import switches, windows


def compiler(training):
    """How to compile the functions below at this place; None where `switches` should be used.

    A decorator: it does nothing inside an XLA compilation, and compiles the function by itself elsewhere.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # TensorFlow has no public name for this question

    if tf.executing_eagerly():
        return None
    if control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()):
        return lambda function: function
    if training and not tf.config.list_logical_devices("GPU"):
        return functools.partial(tf.function, jit_compile=True, autograph=False)
    return None


def pool(x, axes_of, compiled):
    """[values, indices] of the first maximum of each window of x. `axes_of(sizes)` gives its axes."""
    import tensorflow as tf

    folds = _side_by_side(axes_of(ops.shape(x)[1:-1]))

    @compiled
    def forward(x):
        axes = axes_of(ops.shape(x)[1:-1])
        values, offsets = (_maxima if folds else switches.maxima)(x, axes)
        return values, switches.to_indices(offsets, axes)

    @compiled
    def backward(upstream, indices, x):
        axes = axes_of(ops.shape(x)[1:-1])
        return _spread(upstream, switches.to_offsets(indices, axes), axes)

    @tf.custom_gradient
    def pooled(x):
        values, indices = forward(x)
        return (values, indices), lambda upstream, _: backward(upstream, indices, x)

    return list(pooled(x) if folds else forward(x))


def unpool(values, indices, axes_of, compiled):
    """Each value at its index, zeros elsewhere. `axes_of(sizes of values)` gives the axes of the output."""
    import tensorflow as tf

    folds = _side_by_side(axes_of(ops.shape(values)[1:-1]))

    @compiled
    def forward(values, indices):
        axes = axes_of(ops.shape(values)[1:-1])
        return (_spread if folds else switches.place)(values, switches.to_offsets(indices, axes), axes)

    @compiled
    def backward(upstream, indices):
        axes = axes_of(ops.shape(indices)[1:-1])
        return _pick(upstream, switches.to_offsets(indices, axes), axes)

    @tf.custom_gradient
    def unpooled(values):
        return forward(values, indices), lambda upstream: backward(upstream, indices)

    return unpooled(values) if folds else forward(values, indices)


def unpool_like(values, like, axes_of, compiled):
    """Each value at the first maximum of its window of `like`, zeros elsewhere."""
    import tensorflow as tf

    folds = _side_by_side(axes_of(ops.shape(like)[1:-1]))

    @compiled
    def forward(values, like):
        axes = axes_of(ops.shape(like)[1:-1])
        _, offsets = (_maxima if folds else switches.maxima)(like, axes)
        return (_spread if folds else switches.place)(values, offsets, axes), offsets

    @compiled
    def backward(upstream, offsets):
        return _pick(upstream, offsets, axes_of(ops.shape(upstream)[1:-1]))

    @tf.custom_gradient
    def unpooled(values):
        placed, offsets = forward(values, like)
        return placed, lambda upstream: backward(upstream, offsets)

    return unpooled(values) if folds else forward(values, like)[0]


def _side_by_side(axes):
    """Each cell lies in one window, and there is no padding in front: the windows become axes of their own."""
    return all(along.tiles and isinstance(along.before, int) and along.before == 0 for along in axes)


def _maxima(x, axes):
    cells = _cells(x, axes, -float("inf"))
    best, offset = cells[0][1], ops.zeros_like(cells[0][1], dtype="int32")
    for place, cell in cells[1:]:
        take = cell > best
        best, offset = ops.where(take, cell, best), ops.where(take, place, offset)
    return best, offset


def _pick(x, offsets, axes):
    """The value of x at each switch: the gradient of `_spread`."""
    picked = ops.zeros(ops.shape(offsets), dtype=x.dtype)
    for place, cell in _cells(x, axes, 0):
        picked = ops.where(offsets == place, cell, picked)
    return picked


def _spread(values, offsets, axes):
    batch, *_, channels = ops.shape(values)
    one_cell = (batch, *itertools.chain(*((along.count, 1) for along in axes)), channels)
    place = 0
    for i, (along, unit) in enumerate(zip(axes, switches.units(channels, axes), strict=True)):
        place = place + ops.reshape(ops.arange(along.pool) * unit, (-1, *(1,) * (2 * (len(axes) - 1 - i) + 1)))
    here = ops.reshape(offsets, one_cell) == place
    x = ops.where(here, ops.reshape(values, one_cell), ops.zeros((), dtype=values.dtype))
    x = ops.reshape(x, (batch, *(along.count * along.pool for along in axes), channels))
    for i, along in enumerate(axes):
        x = _resized(x, i, along.size, 0)
    return x


def _cells(x, axes, fill):
    """(offset, values) of the first cell of all windows, of the second one, ..., in row-major order."""
    for i, along in enumerate(axes):
        x = _resized(x, i, along.count * along.pool, fill)
    batch, *_, channels = ops.shape(x)
    x = ops.reshape(x, (batch, *itertools.chain(*((along.count, along.pool) for along in axes)), channels))
    units = switches.units(channels, axes)
    return [
        (
            sum(d * unit for d, unit in zip(place, units, strict=True)),
            x[(slice(None), *itertools.chain(*((slice(None), d) for d in place)))],
        )
        for place in itertools.product(*(range(along.pool) for along in axes))
    ]


def _resized(x, i, size, fill):
    """x cropped or padded with `fill` at the end of its spatial axis i."""
    shape = ops.shape(x)
    x = windows.pad(ops.reshape(x, windows.split_at(shape, i)), 0, size - shape[i + 1], fill)
    return ops.reshape(x, (*shape[: i + 1], size, *shape[i + 2 :]))
