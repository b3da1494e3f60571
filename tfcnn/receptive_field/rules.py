"""Which positions of its input each layer, and each function of keras.ops, reads: what `receptive_field` adds up."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import keras
from keras import layers

from tfcnn import graph
from tfcnn.arithmetic.sizes import effective_kernel, same_padding
from tfcnn.layers import BedOfNails1D, CropLike, LocalResponseNormalization, Padding1D, Subsampling2D
from tfcnn.layers.convolutional.convolution import Convolution
from tfcnn.layers.pooling.max_unpooling import MaxUnpooling, MaxUnpoolingLike
from tfcnn.layers.pooling.windows import WindowedLayer

BedOfNails, Padding = BedOfNails1D.__base__, Padding1D.__base__  # what their three ranks share

# What a layer does to the positions of a map where it does not read windows of them.
POINTWISE, STATISTICS, COLLAPSE = "each position by itself", "whole map, positions kept", "whole map, positions lost"
WHOLE_AXIS = "everything along this axis"  # in the place of a row


class Reads(NamedTuple):
    """Which positions of its input a layer's output positions read, for one period of these."""

    shift: int  # of the input's positions, from one period of the output's to the next
    taps: tuple[tuple[int, ...], ...]


def reads_of(row) -> Reads:
    """Reads from a row (kernel, stride, padding before, dilation)."""
    kernel, stride, padding, dilation = (*row, *(1, 1, 0, 1)[len(row) :])
    stride = Fraction(stride)
    if stride.denominator == 1:
        return Reads(int(stride), (tuple(tap * dilation - padding for tap in range(kernel)),))
    if stride.numerator != 1:
        raise ValueError(f"a stride must be a whole number or 1 / one, got {stride}")
    step = stride.denominator  # input i adds to the outputs from i * step - padding on
    places = [[place + padding - tap * dilation for tap in range(kernel)] for place in range(step)]
    return Reads(1, tuple(tuple(at // step for at in taps if at % step == 0) for taps in places))


CONV = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D)
CONV += (layers.SeparableConv1D, layers.SeparableConv2D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
POOLING = (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D)
POOLING += (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
GLOBAL = (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D)
GLOBAL += (layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D, layers.Flatten)
GLOBAL += (layers.SimpleRNN, layers.LSTM, layers.GRU, layers.Bidirectional, layers.MultiHeadAttention, layers.Attention)
ADAPTIVE = (layers.AdaptiveAveragePooling1D, layers.AdaptiveAveragePooling2D, layers.AdaptiveAveragePooling3D)
ADAPTIVE += (layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D, layers.AdaptiveMaxPooling3D)
UP_SAMPLING = (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)
ZERO_PADDING = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
CROPPING = (layers.Cropping1D, layers.Cropping2D, layers.Cropping3D)
BY_ITSELF = (
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Identity, layers.Masking),
    *(layers.BatchNormalization, layers.Normalization, layers.Rescaling, layers.ActivityRegularization),
    *(layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise),
    *(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
    *(layers.Dense, LocalResponseNormalization),
)
ALONG_AN_AXIS = (layers.LayerNormalization, layers.UnitNormalization, layers.RMSNormalization, layers.Softmax)
# Private classes of keras.applications: ConvNeXt's and Inception-ResNet's scale factors, ConvNeXt's dropped paths.
PRIVATE = ("LayerScale", "StochasticDepth", "CustomScaleLayer")
# Functions of keras.ops, by the names of their operations.
POINTWISE_OPS = (
    "Absolute Add Subtract Multiply Divide DivideNoNan TrueDivide FloorDivide Power Mod Negative Square Sqrt Rsqrt "
    "Reciprocal Exp Expm1 Log Log1p Log2 Log10 Sin Cos Tan Arctan Tanh Sinh Cosh Sigmoid HardSigmoid LogSigmoid Relu "
    "Relu6 LeakyRelu Elu Selu Celu Gelu Silu HardSilu HardTanh Softplus Softsign SoftShrink HardShrink TanhShrink "
    "Squareplus Threshold Maximum Minimum Clip Sign Round Floor Ceil Trunc Equal NotEqual Greater GreaterEqual Less "
    "LessEqual LogicalAnd LogicalOr LogicalNot LogicalXor Where Select Isnan Isfinite Isinf NanToNum Erf Cast "
    "SaturateCast StopGradient ConvertToTensor Copy OnesLike ZerosLike BatchNorm OneHot RGBToGrayscale "
    "RGBToHSV HSVToRGB"
)
REDUCTIONS = "Mean Sum Max Min Amax Amin Std Var Prod Any All Logsumexp Argmax Argmin Median"
ALONG = "Softmax LogSoftmax LayerNorm RMSNorm Normalize Cumsum Cumprod Sort Argsort Glu"


def rule_of(step: graph.Step, count: int) -> Any:
    """What a step does to the positions: a row of windows (or Reads, or WHOLE_AXIS) an axis, or one of the three words.

    None for what is not known.
    """
    operation = step.operation
    shape, output = step.inputs[0].shape, step.outputs[0].shape
    if isinstance(operation, layers.TimeDistributed):
        inputs, outputs = ([_one_time(tensor) for tensor in tensors] for tensors in (step.inputs, step.outputs))
        rule = rule_of(step._replace(operation=operation.layer, inputs=inputs, outputs=outputs), count - 1)
        return [(1,), *rule] if isinstance(rule, list) else rule if rule == POINTWISE else None
    if isinstance(operation, layers.SpectralNormalization):
        return rule_of(step._replace(operation=operation.layer), count)
    if hasattr(operation, "windows"):
        return list(operation.windows(tuple(shape), tuple(output)))
    if getattr(operation, "data_format", "channels_last") == "channels_first":
        return None
    if isinstance(operation, BY_ITSELF) or type(operation).__name__ in PRIVATE:
        return POINTWISE
    if isinstance(operation, GLOBAL):
        return COLLAPSE
    if not isinstance(operation, layers.Layer):
        return _of_function(step, count)
    if isinstance(operation, CONV):
        rows = zip(operation.kernel_size, operation.strides, operation.dilation_rate, shape[1:-1], strict=True)
        return [(k, s, _before(operation.padding, n, k, s, d), d) for k, s, d, n in rows]
    if isinstance(operation, TRANSPOSED):
        return _transposed(operation)
    if isinstance(operation, POOLING):
        return pooling(operation, shape)
    if isinstance(operation, ADAPTIVE):
        return _adaptive(shape, output)
    if isinstance(operation, UP_SAMPLING):
        sizes = (operation.size,) if isinstance(operation.size, int) else operation.size
        return [_up_sampling(size, getattr(operation, "interpolation", "nearest")) for size in sizes]
    if isinstance(operation, ZERO_PADDING + CROPPING):
        sign, amounts = (1, operation.padding) if isinstance(operation, ZERO_PADDING) else (-1, operation.cropping)
        return [(1, 1, sign * before) for before, _ in ([amounts] if isinstance(amounts[0], int) else amounts)]
    if isinstance(operation, layers.GroupNormalization):
        return STATISTICS
    if isinstance(operation, ALONG_AN_AXIS):
        return POINTWISE if _axes(operation.axis, len(shape)) == [len(shape) - 1] else STATISTICS
    if isinstance(operation, layers.Concatenate):
        return POINTWISE if _axes(operation.axis, len(shape))[0] > count else None
    if isinstance(operation, layers.Reshape):
        return _reshape(shape, output, count)
    if isinstance(operation, layers.Permute):
        return POINTWISE if operation.dims[:count] == tuple(range(1, count + 1)) else None
    if isinstance(operation, layers.Resizing):
        return _resize(operation, shape, output)
    return _of_ours(operation, shape, step.inputs[-1].shape)


def _one_time(tensor) -> keras.KerasTensor:
    """One step in time of (batch, time, ...)."""
    return keras.KerasTensor((tensor.shape[0], *tensor.shape[2:]), tensor.dtype)


def _of_ours(layer, shape, like) -> list | None:
    if isinstance(layer, Convolution):
        rows = zip(layer.kernel_size, layer.strides, layer.amounts, layer.dilation_rate, strict=True)
        return [(kernel, stride, before, dilation) for kernel, stride, (before, _), dilation in rows]
    if isinstance(layer, MaxUnpoolingLike):
        return unpooling(layer, like)
    if isinstance(layer, MaxUnpooling):
        return unpooling(layer, [None, *(axis.size for axis in layer.unpooled_axes(shape[1:-1])), None])
    if isinstance(layer, WindowedLayer):
        return pooling(layer, shape)
    if isinstance(layer, Subsampling2D):
        return [(layer.pool_size, layer.pool_size)] * 2
    if isinstance(layer, BedOfNails):
        return [(1, Fraction(1, size), -place) for size, place in zip(layer.size, layer.position, strict=True)]
    if isinstance(layer, CropLike):
        return [(1, 1, -first) for first in layer.first(shape, like)]
    if isinstance(layer, Padding):
        return [(1, 1, before) for before, _ in layer.amounts]
    return None


def _of_function(step, count) -> Any:
    """The rule of a function of keras.ops."""
    operation, kind = step.operation, type(step.operation).__name__
    shape, output = step.inputs[0].shape, step.outputs[0].shape
    if kind in POINTWISE_OPS.split():
        return POINTWISE
    if kind in REDUCTIONS.split():
        axes = range(len(shape)) if operation.axis is None else _axes(operation.axis, len(shape))
        if min(axes) > count:
            return POINTWISE
        if 0 in axes or (len(axes) < count and not operation.keepdims):
            return None
        return COLLAPSE if set(range(1, count + 1)) <= set(axes) else _only(axes, count)
    if kind in ALONG.split():
        axes = _axes(getattr(operation, "axis", -1), len(shape))
        return POINTWISE if min(axes) > count else None
    if kind in ("Concatenate", "Split", "ExpandDims", "Squeeze", "Stack", "Unstack", "Repeat", "Flip", "Roll", "Take"):
        axis = getattr(operation, "axis", None)
        rank = len(output if kind in ("ExpandDims", "Stack") else shape)
        return POINTWISE if axis is not None and min(_axes(axis, rank)) > count else None
    if kind == "Transpose":
        return POINTWISE if tuple(operation.axes or ())[: count + 1] == tuple(range(count + 1)) else None
    if kind == "Reshape":
        return _reshape(shape, output, count)
    if kind == "Pad":
        widths = operation.pad_width * (len(shape) if len(operation.pad_width) == 1 else 1)
        return [(1, 1, before) for before, _ in widths[1 : count + 1]] if not any(widths[0]) else None
    if kind == "GetItem":
        return _slices(step.args[1] if len(step.args) > 1 else step.kwargs["key"], shape, count)
    if kind in ("MaxPool", "AveragePool"):
        sides = [(v,) * count if isinstance(v, int) else v for v in (operation.pool_size, operation.strides)]
        rows = zip(sides[0], sides[1] or sides[0], shape[1:-1], strict=True)
        return [(k, s, _before(operation.padding, n, k, s, 1)) for k, s, n in rows]
    if kind in ("AdaptiveAveragePool", "AdaptiveMaxPool"):
        return _adaptive(shape, output)
    if kind == "Resize":
        return _resize(operation, shape, output)
    if kind == "DepthToSpace":
        return [(operation.block_size, Fraction(1, operation.block_size))] * count
    if kind == "SpaceToDepth":
        return [(operation.block_size, operation.block_size)] * count
    return None


def _axes(axis, rank) -> list[int]:
    return sorted(a % rank for a in ([axis] if isinstance(axis, int) else axis))


def _only(axes, count) -> list:
    """Everything along `axes`, each position by itself along the others."""
    return [WHOLE_AXIS if axis in axes else (1,) for axis in range(1, count + 1)]


def _before(padding, size, kernel, stride, dilation) -> int:
    if padding == "causal":
        return effective_kernel(kernel, dilation) - 1
    if padding == "same":  # of an unknown size: as of a multiple of the stride
        return same_padding(size or stride * effective_kernel(kernel, dilation), kernel, stride, dilation)[0]
    return 0


def pooling(layer, shape) -> list:
    rows = zip(layer.pool_size, layer.strides, shape[1:-1], strict=True)
    return [(k, s, _before(layer.padding, n, k, s, 1)) for k, s, n in rows]


def unpooling(layer, shape) -> list:
    """`shape` is that of the output."""
    return [(k, Fraction(1, s), before) for k, s, before in pooling(layer, shape)]


def _transposed(layer) -> list:
    extra = layer.output_padding
    extras = extra if isinstance(extra, tuple | list) else (extra,) * len(layer.kernel_size)
    rows = []
    for kernel, stride, dilation, extra in zip(
        layer.kernel_size, layer.strides, layer.dilation_rate, extras, strict=True
    ):
        covered = effective_kernel(kernel, dilation)
        # What TensorFlow crops in all: "same" gives stride * size pixels, or with output_padding as PyTorch counts.
        crop = covered - stride if extra is None else 2 * (covered // 2) - extra
        rows.append((kernel, Fraction(1, stride), max(crop, 0) // 2 if layer.padding == "same" else 0, dilation))
    return rows


RADIUS = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}  # of an interpolation, in pixels of its input


def _up_sampling(size, interpolation) -> tuple:
    if interpolation == "nearest":
        return (size, Fraction(1, size))
    if size == 1:
        return (1,)
    # Input i reaches the outputs o at which (o + 1/2) / size - 1/2 is less than the radius away from it.
    before = math.ceil(RADIUS[interpolation] * size - Fraction(size - 1, 2)) - 1
    after = math.ceil(RADIUS[interpolation] * size + Fraction(size - 1, 2)) - 1
    return (before + after + 1, Fraction(1, size), before)


def _adaptive(shape, output) -> list | None:
    pairs = list(zip(shape[1:-1], output[1:-1], strict=True))
    if all(large == 1 for _, large in pairs):
        return COLLAPSE
    if any(n is None or n % m for n, m in pairs):
        return None  # windows of different sizes
    return [(n // m, n // m) for n, m in pairs]


def _resize(operation, shape, output) -> list | None:
    special = (operation.antialias, operation.crop_to_aspect_ratio, operation.pad_to_aspect_ratio)
    if any(special) or operation.interpolation not in ("nearest", *RADIUS) or None in shape[1:-1]:
        return None
    rows = []
    for size, wanted in zip(shape[1:-1], output[1:-1], strict=True):
        step = Fraction(size, wanted)
        taps = []
        for place in range(step.denominator):
            at = (place + Fraction(1, 2)) * step - Fraction(1, 2)
            radius = RADIUS.get(operation.interpolation)
            if radius is None:
                taps.append((math.floor(at + Fraction(1, 2)),))
            else:
                taps.append(tuple(range(math.floor(at - radius) + 1, math.ceil(at + radius))))
        rows.append(Reads(step.numerator, tuple(taps)))
    return rows


def _reshape(shape, output, count) -> str | None:
    if len(output) == 2:
        return COLLAPSE
    return POINTWISE if shape[1 : count + 1] == output[1 : count + 1] and None not in shape[1 : count + 1] else None


def _slices(key, shape, count) -> list | None:
    key = key if isinstance(key, tuple) else (key,)
    if key.count(Ellipsis):
        at = key.index(Ellipsis)
        key = key[:at] + (slice(None),) * (len(shape) - len(key) + 1) + key[at + 1 :]
    parts = key[: count + 1] + (slice(None),) * (count + 1 - len(key))
    if not all(isinstance(part, slice) for part in parts) or parts[0] != slice(None):
        return None
    rows = []
    for part, size in zip(parts[1:], shape[1:], strict=False):
        start, step = part.start or 0, part.step or 1
        if step < 0 or (start < 0 and size is None):
            return None
        rows.append((1, step, -(start + size if start < 0 else start)))
    return rows
