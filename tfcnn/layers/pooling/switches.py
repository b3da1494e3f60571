"""Pooling switches: which cell of each window is its maximum, and how to put values back there.

A switch is held as an offset: the flat index of the maximum less the flat index of the window's first cell, which
makes every comparison one against a constant. Elementwise operations, reshapes and slices only, so that it compiles
under XLA, runs in every precision and on every backend, and exports to LiteRT with builtin operators.
"""

from __future__ import annotations

import itertools
from typing import Any

from keras import ops

from tfcnn.layers.pooling import windows
from tfcnn.layers.pooling.windows import Axis


def maxima(x: Any, axes: list[Axis]) -> tuple:
    """(values, offsets) of the first maximum of each window, one axis after the other from the last one on.

    First along the last axis, then the first among those: what a scan of the window in row-major order finds. A window
    with NaN gives NaN and the place of its last one (`exceeds`).
    """
    unit = ops.shape(x)[-1]  # flat distance between neighbours along the axis: channels, then a row, then a plane
    offsets = None
    for i, along in reversed(list(enumerate(axes))):
        shape = ops.shape(x)
        flat = windows.split_at(shape, i)
        values = windows.slices(ops.reshape(x, flat), along, -float("inf"))
        inner = None if offsets is None else windows.slices(ops.reshape(offsets, flat), along, 0)
        best = values[0]
        offset = ops.zeros_like(best, dtype="int32") if inner is None else inner[0]
        for d in range(1, along.pool):
            take = exceeds(values[d], best)
            if not isinstance(along.before, int) or d <= along.before:  # the first cell that is no padding
                first = ops.arange(along.count) * along.stride + d == along.before
                take = ops.logical_or(take, ops.reshape(first, (1, -1, 1)))
            best = ops.where(take, values[d], best)
            offset = ops.where(take, d * unit + (0 if inner is None else inner[d]), offset)
        smaller = (*shape[: i + 1], along.count, *shape[i + 2 :])
        x = ops.reshape(best, smaller)
        offsets = ops.reshape(offset, smaller)
        unit = unit * along.size
    return x, offsets


def exceeds(cell: Any, best: Any) -> Any:
    """Whether a cell replaces the best before it: it is larger, or NaN, as in PyTorch's max_pool2d."""
    return ops.logical_or(cell > best, ops.not_equal(cell, cell))


def to_indices(offsets: Any, axes: list[Axis]) -> Any:
    """Offsets -> flat indices without the batch: `((z * H + y) * W + x) * C + c`."""
    return _shifted(offsets, axes, 1)


def to_offsets(indices: Any, axes: list[Axis]) -> Any:
    """The inverse of `to_indices`."""
    return _shifted(indices, axes, -1)


def _shifted(switches: Any, axes: list[Axis], sign: int) -> Any:
    """Adds `sign` times the flat index of each window's first cell."""
    shape = ops.shape(switches)
    unit = shape[-1]
    switches = switches + sign * ops.arange(unit, dtype="int32")
    for i, along in reversed(list(enumerate(axes))):
        first = (ops.arange(along.count, dtype="int32") * along.stride - along.before) * (sign * unit)
        switches = ops.reshape(switches, windows.split_at(shape, i)) + ops.reshape(first, (1, -1, 1))
        unit = unit * along.size
    return ops.reshape(switches, shape)


def units(channels: Any, axes: list[Axis]) -> list:
    """Flat distance between neighbours along each axis: of a plane, a row, a cell."""
    distances = [channels]
    for along in axes[:0:-1]:
        distances.insert(0, distances[0] * along.size)
    return distances


def place(values: Any, offsets: Any, axes: list[Axis]) -> Any:
    """Each value at its switch, zeros elsewhere. Where windows that overlap name one cell, the last of them in
    row-major order is kept."""
    # Cell q * stride + r of the padded input is cell r + j * stride of window q - j: for each remainder r, and from
    # the earliest of these windows to the last, take the value whose switch is that cell.
    reach = [(along.pool - 1) // along.stride for along in axes]
    distances = units(ops.shape(values)[-1], axes)
    planes = []
    shape = ops.shape(values)
    counts = [along.count + j for along, j in zip(axes, reach, strict=True)]
    values = _bordered(values, reach, 0)
    offsets = _bordered(offsets, reach, -1)
    for remainder in itertools.product(*(range(along.stride) for along in axes)):
        plane = ops.zeros((shape[0], *counts, shape[-1]), dtype=values.dtype)
        steps = [range(j, -1, -1) for j in reach]
        for step in itertools.product(*steps):
            cell = [r + j * along.stride for r, j, along in zip(remainder, step, axes, strict=True)]
            if any(d >= along.pool for d, along in zip(cell, axes, strict=True)):
                continue
            offset = sum(d * unit for d, unit in zip(cell, distances, strict=True))
            starts = [most - j for most, j in zip(reach, step, strict=True)]
            here = (slice(None), *(slice(start, start + n) for start, n in zip(starts, counts, strict=True)))
            plane = ops.where(offsets[here] == offset, values[here], plane)
        planes.append(plane)
    for i, along in reversed(list(enumerate(axes))):
        merged = ops.shape(planes[0])
        flat = windows.split_at(merged, i)
        padded = counts[i] * along.stride
        rows = [ops.reshape(plane, flat) for plane in planes]
        rows = [windows.interleave(rows[n : n + along.stride]) for n in range(0, len(rows), along.stride)]
        rows = [_cropped(row, along, padded) for row in rows]
        planes = [ops.reshape(row, (*merged[: i + 1], along.size, *merged[i + 2 :])) for row in rows]
    return planes[0]


def _bordered(x: Any, reach: list[int], fill: float) -> Any:
    for i, j in enumerate(reach):
        if j:
            shape = ops.shape(x)
            x = windows.pad(ops.reshape(x, windows.split_at(shape, i)), j, j, fill)
            x = ops.reshape(x, (*shape[: i + 1], shape[i + 1] + 2 * j, *shape[i + 2 :]))
    return x


def _cropped(x: Any, along: Axis, length: Any) -> Any:
    """The cells of the input from the padded ones."""
    x = x[:, along.before :] if not isinstance(along.before, int) or along.before else x
    return windows.pad(x, 0, along.size - (length - along.before), 0)
