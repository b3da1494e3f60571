"""Arrays that TensorFlow reads where they are; `tf.constant` holds two copies of an array while it makes a third.

Readers examine files before TensorFlow is imported, which takes seconds: it is imported in `as_tensor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

ALIGNMENT = 64  # bytes: kernels of TensorFlow read and write registers of up to this length


def empty_aligned(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array of any values whose memory a tensor can share, unless they are objects."""
    if np.dtype(dtype).hasobject:
        return np.empty(shape, dtype)
    size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def take_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`values[rows]` in memory that a tensor can share; the rows are 0 ... len(values) - 1."""
    taken = empty_aligned((len(rows), *values.shape[1:]), values.dtype)
    return np.take(values, rows, axis=0, out=taken, mode="clip")  # another mode than "raise" writes without a buffer


def as_tensor(values: np.ndarray | tf.Tensor) -> tf.Tensor:
    """The values as a tensor, which shares the memory of an array of `empty_aligned`: it must not change any more.

    Of other arrays of numbers one copy is made.
    """
    import tensorflow as tf

    if tf.is_tensor(values) or values.dtype.kind not in "iuf" or values.size == 0:
        return tf.convert_to_tensor(values)
    if values.ctypes.data % ALIGNMENT or not (values.flags.c_contiguous and values.flags.writeable):
        copy = empty_aligned(values.shape, values.dtype)
        copy[...] = values
        values = copy
    return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
