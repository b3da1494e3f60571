"""Padding of a map: how much (none, half, full, any number) and with what (zeros, edge, mirror, the other side)."""

from __future__ import annotations

import operator

import keras
from keras import ops

MODES = ("zero", "replicate", "reflect", "circular")
AMOUNTS = ("none", "half", "full")


def as_tuple(value, rank, name, minimum=1):
    """An integer or a sequence of `rank` integers as a tuple; ValueError names the argument."""
    try:
        values = (int(value),) * rank if isinstance(value, int) else tuple(map(operator.index, value))
    except (TypeError, ValueError):
        values = ()
    if len(values) != rank or min(values) < minimum:
        raise ValueError(f"{name} must be {rank} integers from {minimum} up, or one for all axes; got {value!r}")
    return values


def check_padding(padding, mode, rank):
    """`padding` in its one form: a name of AMOUNTS, or a pair of integers an axis. ValueError if it is neither."""
    if mode not in MODES:
        raise ValueError(f"the padding mode must be one of {', '.join(MODES)}; got {mode!r}")
    if isinstance(padding, str):
        name = {"valid": "none", "same": "half"}.get(padding, padding)
        if name not in AMOUNTS:
            raise ValueError(f"padding must be one of {', '.join(AMOUNTS)}, an integer or pairs; got {padding!r}")
        return name
    sides = (padding,) * rank if isinstance(padding, int) else tuple(padding)
    if rank == 1 and len(sides) == 2:  # (before, after), as for Keras' ZeroPadding1D
        sides = (sides,)
    if len(sides) != rank:
        raise ValueError(f"padding must have one entry for each of {rank} axes, got {padding!r}")
    return tuple(as_tuple(side, 2, "each axis of padding", minimum=0) for side in sides)


def padding_amounts(padding, effective_sizes):
    """(before, after) an axis: `padding` as `check_padding` returns it, for kernels that cover `effective_sizes`.

    The pixel that an even kernel needs beyond the middle is added behind, as TensorFlow and PyTorch do.
    """
    if padding == "none":
        return tuple((0, 0) for _ in effective_sizes)
    if padding == "half":
        return tuple(((size - 1) // 2, size // 2) for size in effective_sizes)
    if padding == "full":
        return tuple((size - 1, size - 1) for size in effective_sizes)
    return padding


def padded_shape(shape, amounts):
    """The shape of a batch of maps after `pad`; sizes may be None."""
    sides = (n if n is None else n + sum(pair) for n, pair in zip(shape[1:-1], amounts, strict=True))
    return (shape[0], *sides, shape[-1])


def check_fits(shape, amounts, mode):
    """ValueError where a map is too small to be mirrored or wrapped; sizes that are None pass."""
    allowance = {"reflect": -1, "circular": 0}
    for n, pair in zip(shape[1:-1], amounts, strict=True):
        if n is not None and mode in allowance and max(pair) > n + allowance[mode]:
            raise ValueError(f"padding of {max(pair)} is more than an axis of {n} pixels allows in mode {mode!r}")


def pad(inputs, amounts, mode):
    """(batch, *sizes, channels) with (before, after) pixels added to each spatial axis."""
    check_fits(inputs.shape, amounts, mode)
    if not any(map(sum, amounts)):
        return inputs
    if mode in ("zero", "reflect"):
        widths = ((0, 0), *amounts, (0, 0))
        return ops.pad(inputs, widths, mode="constant" if mode == "zero" else "reflect")
    for axis, (before, after) in enumerate(amounts, start=1):
        inputs = _extended(inputs, axis, before, after, mode)
    return inputs


def _extended(inputs, axis, before, after, mode):
    """One axis longer by copies of its first and last pixel (replicate) or by pixels of its other end (circular)."""

    def part(start, length):
        starts, lengths = [0] * len(inputs.shape), list(ops.shape(inputs))
        starts[axis], lengths[axis] = start, length
        return ops.slice(inputs, starts, lengths)

    def copies(pixel, number):
        return ops.tile(pixel, [number if i == axis else 1 for i in range(len(inputs.shape))])

    size = ops.shape(inputs)[axis]
    if mode == "replicate":
        ends = copies(part(0, 1), before), copies(part(size - 1, 1), after)
    else:  # a slice that starts before the map fails, where x[-before:] would silently be shorter
        ends = part(size - before, before), part(0, after)
    pieces = [ends[0]] * (before > 0) + [inputs] + [ends[1]] * (after > 0)
    return ops.concatenate(pieces, axis) if len(pieces) > 1 else inputs


class _Padding(keras.layers.Layer):
    dimensions: int

    def __init__(self, padding=1, mode="zero", kernel_size=None, dilation_rate=1, **kwargs):
        super().__init__(**kwargs)
        self.padding = check_padding(padding, mode, self.dimensions)
        self.mode = mode
        self.kernel_size = None if kernel_size is None else as_tuple(kernel_size, self.dimensions, "kernel_size")
        self.dilation_rate = as_tuple(dilation_rate, self.dimensions, "dilation_rate")
        if self.padding in ("half", "full") and kernel_size is None:
            raise ValueError(f"padding={padding!r} depends on the kernel that follows: give its kernel_size")
        kernel = self.kernel_size or (1,) * self.dimensions
        covered = [d * (k - 1) + 1 for k, d in zip(kernel, self.dilation_rate, strict=True)]
        self.amounts = padding_amounts(self.padding, covered)
        self.input_spec = keras.layers.InputSpec(ndim=self.dimensions + 2)

    def call(self, inputs):
        return pad(inputs, self.amounts, self.mode)

    def compute_output_shape(self, input_shape):
        check_fits(input_shape, self.amounts, self.mode)
        return padded_shape(input_shape, self.amounts)

    def get_config(self):
        own = ("padding", "mode", "kernel_size", "dilation_rate")
        return super().get_config() | {name: getattr(self, name) for name in own}


@keras.saving.register_keras_serializable(package="tfcnn")
class Padding1D(_Padding):
    """Pads sequences; `Padding2D` explains the arguments.

    Input shape:
        (batch, length, channels).

    Output shape:
        (batch, before + length + after, channels), same dtype.

    Raises:
        ValueError: as of `Padding2D`.

    Example:
        >>> import keras
        >>> keras.ops.convert_to_numpy(Padding1D(2, "reflect")(keras.ops.reshape([1.0, 2.0, 3.0], (1, 3, 1)))).ravel()
        array([3., 2., 1., 2., 3., 2., 1.], dtype=float32)
    """

    dimensions = 1


@keras.saving.register_keras_serializable(package="tfcnn")
class Padding2D(_Padding):
    """Pads images: torch.nn's ZeroPad2d, ReplicationPad2d, ReflectionPad2d and CircularPad2d, and Keras' ZeroPadding2D.

    How much: a number of pixels for every side, a (before, after) pair for each axis, or, for the kernel that follows,
    the names of Dumoulin & Visin (2016): "none" (also "valid"), "half" (also "same": an odd kernel at stride 1 keeps
    the size; an even kernel's extra pixel goes behind), "full" (each position at which kernel and image meet).

    With what, of a row a b c d, two pixels each side: "zero" 0 0 [a b c d] 0 0; "replicate" a a [a b c d] d d;
    "reflect" c b [a b c d] c b; "circular" c d [a b c d] a b.

    Args:
        padding: an integer, a pair of integers for each axis, or "none", "half" or "full".
        mode: "zero", "replicate", "reflect" (less than the map's size) or "circular" (at most the map's size).
        kernel_size: of the convolution that follows, an integer or one for each axis; needed by "half" and "full" only.
        dilation_rate: of that convolution.

    Input shape:
        (batch, height, width, channels).

    Output shape:
        (batch, top + height + bottom, left + width + right, channels), same dtype.

    Raises:
        ValueError: an unknown mode or amount, a kernel-dependent amount without kernel_size, or a map that is too small
            to be mirrored or wrapped.

    Example:
        >>> import keras
        >>> Padding2D("half", "replicate", kernel_size=5)(keras.ops.ones((1, 28, 28, 6))).shape
        TensorShape([1, 32, 32, 6])
    """

    dimensions = 2


@keras.saving.register_keras_serializable(package="tfcnn")
class Padding3D(_Padding):
    """Pads volumes; `Padding2D` explains the arguments.

    Input shape:
        (batch, depth, height, width, channels).

    Output shape:
        (batch, front + depth + back, top + height + bottom, left + width + right, channels), same dtype.

    Raises:
        ValueError: as of `Padding2D`.

    Example:
        >>> import keras
        >>> Padding3D(((1, 1), (0, 2), (3, 0)), "circular")(keras.ops.ones((1, 8, 8, 8, 2))).shape
        TensorShape([1, 10, 10, 11, 2])
    """

    dimensions = 3
