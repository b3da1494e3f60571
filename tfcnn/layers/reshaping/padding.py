"""Padding of a map: how much (none, half, full, any number) and with what (zeros, edge, mirror, the other side)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import PerAxis, as_tuple
from tfcnn.arithmetic.sizes import padding_amounts

Amounts = tuple[tuple[int, int], ...]  # (before, after) for each axis
PaddingArgument = str | int | Sequence  # a name of AMOUNTS, pixels for every side, or pixels or a pair for each axis

MODES = ("zero", "replicate", "reflect", "circular")
AMOUNTS = {"none": "valid", "half": "same", "full": "full"}  # and their names in tfcnn.arithmetic


def check_padding(padding: Any, mode: str, rank: int) -> str | Amounts:
    """`padding` as a name of AMOUNTS or a pair of integers an axis. Raises ValueError if it is neither."""
    if mode not in MODES:
        raise ValueError(f"the padding mode must be one of {', '.join(MODES)}; got {mode!r}")
    if isinstance(padding, str):
        name = {"valid": "none", "same": "half"}.get(padding, padding)
        if name not in AMOUNTS:
            raise ValueError(f"padding must be one of {', '.join(AMOUNTS)}, an integer or pairs; got {padding!r}")
        return name
    sides: tuple = tuple(padding) if isinstance(padding, Iterable) else (padding,) * rank
    if rank == 1 and len(sides) == 2:  # (before, after), as for Keras' ZeroPadding1D
        sides = (sides,)
    if len(sides) != rank:
        raise ValueError(f"padding must have one entry for each of {rank} axes, got {padding!r}")
    pairs = [as_tuple(side, 2, "each axis of padding", minimum=0) for side in sides]
    return tuple((before, after) for before, after in pairs)


def explicit_padding(padding: str | Amounts, effective_sizes: Sequence[int]) -> Amounts:
    """(before, after) an axis: `padding` as `check_padding` returns it, for kernels that cover `effective_sizes`.

    "half" puts the odd pixel of an even kernel after the map, as TensorFlow and PyTorch do.
    """
    if isinstance(padding, str):
        return tuple(padding_amounts(1, size, padding=AMOUNTS[padding]) for size in effective_sizes)
    return padding


def padded_shape(shape: tuple, amounts: Amounts) -> tuple:
    """The shape of a batch of maps after `pad`; sizes may be None."""
    sides = (n if n is None else n + sum(pair) for n, pair in zip(shape[1:-1], amounts, strict=True))
    return (shape[0], *sides, shape[-1])


def check_fits(shape: tuple, amounts: Amounts, mode: str) -> None:
    """Raises ValueError for a map too small to be mirrored or wrapped; sizes that are None pass."""
    allowance = {"reflect": -1, "circular": 0}
    for n, pair in zip(shape[1:-1], amounts, strict=True):
        if n is not None and mode in allowance and max(pair) > n + allowance[mode]:
            raise ValueError(f"padding of {max(pair)} is more than an axis of {n} pixels allows in mode {mode!r}")


def pad(inputs: Any, amounts: Amounts, mode: str) -> Any:
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


def _extended(inputs: Any, axis: int, before: int, after: int, mode: str) -> Any:
    """One axis extended by copies of its first and last pixel (replicate) or by pixels of its other end (circular)."""

    def part(start: Any, length: int) -> Any:
        starts: list[Any] = [0] * len(inputs.shape)
        lengths = list(ops.shape(inputs))
        starts[axis] = start
        lengths[axis] = length
        return ops.slice(inputs, starts, lengths)

    def copies(pixel: Any, number: int) -> Any:
        return ops.tile(pixel, [number if i == axis else 1 for i in range(len(inputs.shape))])

    size = ops.shape(inputs)[axis]
    if mode == "replicate":
        first = copies(part(0, 1), before)
        last = copies(part(size - 1, 1), after)
    else:  # a slice that starts before the map fails, where x[-before:] would silently be shorter
        first = part(size - before, before)
        last = part(0, after)
    pieces = [inputs]
    if before:
        pieces.insert(0, first)
    if after:
        pieces.append(last)
    return ops.concatenate(pieces, axis) if len(pieces) > 1 else inputs


class _Padding(keras.layers.Layer):
    """The padding layers' common part; `dimensions` is the number of spatial axes."""

    dimensions: int

    def __init__(
        self,
        padding: PaddingArgument = 1,
        mode: str = "zero",
        kernel_size: PerAxis | None = None,
        dilation_rate: PerAxis = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.padding = check_padding(padding, mode, self.dimensions)
        self.mode = mode
        self.kernel_size = None if kernel_size is None else as_tuple(kernel_size, self.dimensions, "kernel_size")
        self.dilation_rate = as_tuple(dilation_rate, self.dimensions, "dilation_rate")
        if self.padding in ("half", "full") and kernel_size is None:
            raise ValueError(f"padding={padding!r} needs the kernel_size of the convolution that follows")
        kernel = self.kernel_size or (1,) * self.dimensions
        covered = [d * (k - 1) + 1 for k, d in zip(kernel, self.dilation_rate, strict=True)]
        self.amounts = explicit_padding(self.padding, covered)
        self.input_spec = keras.layers.InputSpec(ndim=self.dimensions + 2)

    def call(self, inputs: Any) -> Any:
        return pad(inputs, self.amounts, self.mode)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        check_fits(input_shape, self.amounts, self.mode)
        return padded_shape(input_shape, self.amounts)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "padding": self.padding,
            "mode": self.mode,
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
        }


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
    the size; an even kernel's extra pixel goes after), "full" (each position at which kernel and image meet).

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
