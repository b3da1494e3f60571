"""RoI max pooling: from a map and regions of the image, maps of one size. keras.ops."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import keras
from keras import ops

from tfcnn.arithmetic.integers import PerAxis, as_tuple
from tfcnn.layers.pooling.switches import exceeds

EXHAUSTIVE = (
    4  # cells of the largest bin along an axis up to which the maximum of every window of the map is worked out
)
LONGEST = 64  # window along an axis of unknown size: two of them cover bins of up to 128 cells


class Bins(NamedTuple):
    """The bins of regions along one axis, and the windows that cover them."""

    lengths: tuple[int, ...]  # of the windows whose maxima are worked out, in cells
    kind: Any  # int32 (b, r, p): which of the lengths covers the bin
    starts: list[Any]  # int32 (b, r, p) each: the first cells of the windows that cover the bin together


@keras.saving.register_keras_serializable(package="tfcnn")
class RoIPooling2D(keras.layers.Layer):
    """The largest value of each channel in each bin of a region: RoI max pooling.

    Girshick, "Fast R-CNN" (2015), section 2.1. The corners of a region are rounded to cells of the map (half a cell
    up), and the window between them is cut into `pool_size` bins, which overlap where it does not divide. Other than in
    the published code, a region is cut at the border of the map first and has at least one cell there. The gradient of
    a value goes to one cell, the first of equal ones in row-major order where no bin is longer than 4 cells.

    The maxima of all windows of the map that a bin can be are worked out once for all regions, or, where bins can be
    longer than 4 cells, those of windows of 1, 2, 4 ... cells, of which four cover a bin.

    Args:
        pool_size: number of bins, an integer or (height, width).
        stride: of the map in pixels of the image, an integer or (height, width).

    Input shape:
        [maps, regions]: (batch, height, width, channels), and (batch, regions, 4) as x1, y1, x2, y2 in pixels of the
        image. Regions are read as float32 whatever the layer's dtype is. An axis of unknown size may have bins of up
        to 128 cells.

    Output shape:
        (batch, regions, *pool_size, channels), the layer's dtype. Regions without an area on the map, as those of
        padding (-1), give 0.

    Example:
        >>> import keras
        >>> maps = keras.ops.reshape(keras.ops.arange(16.0), (1, 4, 4, 1))
        >>> regions = keras.ops.convert_to_tensor([[[0.0, 0.0, 32.0, 16.0], [-1.0, -1.0, -1.0, -1.0]]])
        >>> keras.ops.convert_to_numpy(RoIPooling2D(2, stride=8)([maps, regions]))[0, ..., 0].tolist()
        [[[1.0, 3.0], [5.0, 7.0]], [[0.0, 0.0], [0.0, 0.0]]]
    """

    def __init__(self, pool_size: PerAxis, stride: PerAxis, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # bfloat16 does not hold the pixels of a region
        self.pool_size = as_tuple(pool_size, 2, "pool_size")
        self.stride = as_tuple(stride, 2, "stride")

    def call(self, inputs: Any) -> Any:
        maps, regions = inputs
        maps = ops.cast(maps, self.compute_dtype)
        x1, y1, x2, y2 = ops.unstack(ops.cast(regions, "float32"), 4, axis=-1)
        batch, height, width, channels = ops.shape(maps)
        y1, y2 = y1 / self.stride[0], y2 / self.stride[0]
        x1, x2 = x1 / self.stride[1], x2 / self.stride[1]
        rows = _bins(y1, y2, height, self.pool_size[0])
        columns = _bins(x1, x2, width, self.pool_size[1])
        windows = ops.reshape(_window_maxima(maps, rows.lengths, columns.lengths), (-1, channels))
        kind = rows.kind[..., :, None] * len(columns.lengths) + columns.kind[..., None, :]
        kind = kind + len(rows.lengths) * len(columns.lengths) * ops.reshape(ops.arange(batch), (-1, 1, 1, 1))
        pooled = None
        for y in rows.starts:
            for x in columns.starts:
                part = ops.take(windows, (kind * height + y[..., :, None]) * width + x[..., None, :], axis=0)
                pooled = part if pooled is None else _first_maximum(pooled, part)
        is_on_map = ops.logical_and(_overlaps(y1, y2, height), _overlaps(x1, x2, width))
        return ops.where(is_on_map[..., None, None, None], pooled, ops.zeros((), dtype=maps.dtype))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        maps, regions = input_shape
        return (maps[0], regions[1], *self.pool_size, maps[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"pool_size": self.pool_size, "stride": self.stride}


def _overlaps(low: Any, high: Any, size: Any) -> Any:
    """Whether a region has an extent between 0 and size."""
    return ops.minimum(high, ops.cast(size, "float32")) > ops.maximum(low, 0.0)


def _bins(low: Any, high: Any, size: Any, count: int) -> Bins:
    """The bins of regions from low to high, (b, r) in cells, along an axis of `size` cells."""
    border = ops.cast(size, "float32")
    first = ops.clip(ops.floor(low + 0.5), 0.0, border - 1)
    end = ops.clip(ops.floor(high + 0.5), first + 1, border)
    first = ops.cast(first, "int32")
    cells = ops.cast(end, "int32")[..., None] - first[..., None]
    number = ops.arange(count, dtype="int32")
    starts = first[..., None] + number * cells // count
    ends = first[..., None] + ((number + 1) * cells + count - 1) // count
    longest = min(size, -(-size // count) + 1) if isinstance(size, int) else LONGEST
    is_exhaustive = longest <= EXHAUSTIVE
    lengths = tuple(range(1, longest + 1) if is_exhaustive else (2**power for power in range(longest.bit_length())))
    kind = ops.sum(
        ops.cast((ends - starts)[..., None] >= ops.convert_to_tensor(lengths[1:], "int32"), "int32"), axis=-1
    )
    if is_exhaustive:
        return Bins(lengths, kind, [starts])
    return Bins(lengths, kind, [starts, ends - ops.take(ops.convert_to_tensor(lengths, "int32"), kind, axis=0)])


def _window_maxima(maps: Any, row_lengths: tuple[int, ...], column_lengths: tuple[int, ...]) -> Any:
    """The maxima of the windows of each pair of lengths that begin at each cell: (b, lengths * lengths, h, w, c).

    Those that reach beyond the end of the map are of no use.
    """
    windows = []
    for wide in _growing(maps, column_lengths, axis=2):
        windows.append(_growing(wide, row_lengths, axis=1))
    return ops.stack([column[i] for i in range(len(row_lengths)) for column in windows], axis=1)


def _growing(x: Any, lengths: tuple[int, ...], axis: int) -> list[Any]:
    """The maxima of windows of each length along an axis, of which each is the one before and a window of x, or two of
    the one before."""
    grown = [x]
    for before, length in itertools.pairwise(lengths):
        step = length - before
        grown.append(_first_maximum(grown[-1], _shift(x if step == 1 else grown[-1], before, axis)))
    return grown


def _shift(x: Any, cells: int, axis: int) -> Any:
    """Each cell's value is that of the cell so many further on; the first cells come last."""
    front = (slice(None),) * axis
    return ops.concatenate([x[(*front, slice(cells, None))], x[(*front, slice(None, cells))]], axis=axis)


def _first_maximum(first: Any, second: Any) -> Any:
    """The larger value, the first of equal ones for the gradient, too; NaN where there is one."""
    return ops.where(exceeds(second, first), second, first)
