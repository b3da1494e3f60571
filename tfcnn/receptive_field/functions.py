"""What each function of keras.ops reads of its input, by the name of its operation."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any

from tfcnn.graph import Shape, Step
from tfcnn.receptive_field.reads import Reach, Reads, Rule, padding_before

POINTWISE_FUNCTIONS = (
    "Absolute Add Subtract Multiply Divide DivideNoNan TrueDivide FloorDivide Power Mod Negative Square Sqrt Rsqrt "
    "Reciprocal Exp Expm1 Log Log1p Log2 Log10 Sin Cos Tan Arctan Tanh Sinh Cosh Sigmoid HardSigmoid LogSigmoid Relu "
    "Relu6 LeakyRelu Elu Selu Celu Gelu Silu HardSilu HardTanh Softplus Softsign SoftShrink HardShrink TanhShrink "
    "Squareplus Threshold Maximum Minimum Clip Sign Round Floor Ceil Trunc Equal NotEqual Greater GreaterEqual Less "
    "LessEqual LogicalAnd LogicalOr LogicalNot LogicalXor Where Select Isnan Isfinite Isinf NanToNum Erf Cast "
    "SaturateCast StopGradient ConvertToTensor Copy OnesLike ZerosLike BatchNorm OneHot RGBToGrayscale "
    "RGBToHSV HSVToRGB"
)
REDUCTIONS = "Mean Sum Max Min Amax Amin Std Var Prod Any All Logsumexp Argmax Argmin Median"
ALONG_AXES = "Softmax LogSoftmax LayerNorm RMSNorm Normalize Cumsum Cumprod Sort Argsort Glu"
ALONG_ONE_AXIS = "Concatenate Split Squeeze Unstack Repeat Flip Roll Take"
NEW_AXIS = "ExpandDims Stack"
RADIUS = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}  # of an interpolation, in pixels of its input


def rule_of_function(step: Step, rank: int) -> Rule:
    """What a function of keras.ops reads of its first input, a map with `rank` spatial axes."""
    rule = RULES.get(type(step.operation).__name__)
    return rule(step, rank) if rule else None


def pointwise(step: Step, rank: int) -> Rule:
    return Reach.POINTWISE


def _reduction(step: Step, rank: int) -> Rule:
    dimensions = len(step.input_shape)
    axis = step.operation.axis
    axes = range(dimensions) if axis is None else sorted_axes(axis, dimensions)
    if min(axes) > rank:
        return Reach.POINTWISE
    if 0 in axes or (len(axes) < rank and not step.operation.keepdims):
        return None
    spatial = range(1, rank + 1)
    if set(spatial) <= set(axes):
        return Reach.COLLAPSE
    return [Reach.WHOLE_AXIS if axis in axes else Reads.window(1) for axis in spatial]


def _along_axes(step: Step, rank: int) -> Rule:
    axes = sorted_axes(getattr(step.operation, "axis", -1), len(step.input_shape))
    return Reach.POINTWISE if min(axes) > rank else None


def _along_one_axis(step: Step, rank: int) -> Rule:
    return _outside_the_map(step, rank, len(step.input_shape))


def _new_axis(step: Step, rank: int) -> Rule:
    return _outside_the_map(step, rank, len(step.output_shape))


def _outside_the_map(step: Step, rank: int, dimensions: int) -> Rule:
    axis = getattr(step.operation, "axis", None)
    return Reach.POINTWISE if axis is not None and min(sorted_axes(axis, dimensions)) > rank else None


def _transpose(step: Step, rank: int) -> Rule:
    axes = tuple(step.operation.axes or ())
    return Reach.POINTWISE if axes[: rank + 1] == tuple(range(rank + 1)) else None


def _pad(step: Step, rank: int) -> Rule:
    widths = step.operation.pad_width
    if len(widths) == 1:
        widths = widths * len(step.input_shape)
    return None if any(widths[0]) else [Reads.window(1, 1, before) for before, _ in widths[1 : rank + 1]]


def _slice(step: Step, rank: int) -> Rule:
    shape = step.input_shape
    key = step.args[1] if len(step.args) > 1 else step.kwargs["key"]
    parts = _slices(key if isinstance(key, tuple) else (key,), len(shape))[: rank + 1]
    if not all(isinstance(part, slice) for part in parts) or parts[0] != slice(None):
        return None
    rule: list[Reads | Reach] = []
    for part, size in zip(parts[1:], shape[1:], strict=False):
        start = part.start or 0
        stride = part.step or 1
        if stride < 0 or (start < 0 and size is None):
            return None
        if start < 0 and size is not None:
            start += size
        rule.append(Reads.window(1, stride, -start))
    return rule


def _slices(key: tuple[Any, ...], dimensions: int) -> tuple[Any, ...]:
    """An entry for each dimension: `...` and what is left out are whole slices."""
    missing = (slice(None),) * (dimensions - len(key))
    if Ellipsis in key:
        place = key.index(Ellipsis)
        return key[:place] + missing + (slice(None),) + key[place + 1 :]
    return key + missing


def _pool(step: Step, rank: int) -> Rule:
    pool = _for_each_axis(step.operation.pool_size, rank)
    strides = _for_each_axis(step.operation.strides, rank) or pool
    rows = zip(pool, strides, step.input_shape[1:-1], strict=True)
    return [Reads.window(k, s, padding_before(step.operation.padding, n, k, s)) for k, s, n in rows]


def _for_each_axis(value: Any, rank: int) -> Any:
    return (value,) * rank if isinstance(value, int) else value


def adaptive(step: Step, rank: int) -> Rule:
    """Adaptive pooling, where its windows are all of one size."""
    pairs = list(zip(step.input_shape[1:-1], step.output_shape[1:-1], strict=True))
    if all(output == 1 for _, output in pairs):
        return Reach.COLLAPSE
    rule: list[Reads | Reach] = []
    for size, output in pairs:
        if size is None or output is None or size % output:
            return None
        rule.append(Reads.window(size // output, size // output))
    return rule


def resize(step: Step, rank: int) -> Rule:
    operation = step.operation
    special = operation.antialias or operation.crop_to_aspect_ratio or operation.pad_to_aspect_ratio
    if special or operation.interpolation not in ("nearest", *RADIUS):
        return None
    rule: list[Reads | Reach] = []
    for size, output in zip(step.input_shape[1:-1], step.output_shape[1:-1], strict=True):
        if size is None or output is None:
            return None
        rule.append(_interpolation(Fraction(size, output), RADIUS.get(operation.interpolation)))
    return rule


def _interpolation(step: Fraction, radius: int | None) -> Reads:
    """An axis whose output pixels lie `step` input pixels apart; `radius` None is the nearest pixel."""
    taps: list[tuple[int, ...]] = []
    for place in range(step.denominator):
        centre = (place + Fraction(1, 2)) * step - Fraction(1, 2)
        if radius is None:
            taps.append((math.floor(centre + Fraction(1, 2)),))
        else:
            taps.append(tuple(range(math.floor(centre - radius) + 1, math.ceil(centre + radius))))
    return Reads(step.numerator, tuple(taps))


def reshape(step: Step, rank: int) -> Rule:
    if len(step.output_shape) == 2:
        return Reach.COLLAPSE
    sides: Shape = step.input_shape[1 : rank + 1]
    return Reach.POINTWISE if sides == step.output_shape[1 : rank + 1] and None not in sides else None


def _depth_to_space(step: Step, rank: int) -> Rule:
    block = step.operation.block_size
    return [Reads.window(block, Fraction(1, block)) for _ in range(rank)]


def _space_to_depth(step: Step, rank: int) -> Rule:
    block = step.operation.block_size
    return [Reads.window(block, block) for _ in range(rank)]


def sorted_axes(axis: int | Collection[int], dimensions: int) -> list[int]:
    """Numbers of axes, counted from the first."""
    return sorted(a % dimensions for a in ([axis] if isinstance(axis, int) else axis))


RULES: dict[str, Callable[[Step, int], Rule]] = {
    **dict.fromkeys(POINTWISE_FUNCTIONS.split(), pointwise),
    **dict.fromkeys(REDUCTIONS.split(), _reduction),
    **dict.fromkeys(ALONG_AXES.split(), _along_axes),
    **dict.fromkeys(ALONG_ONE_AXIS.split(), _along_one_axis),
    **dict.fromkeys(NEW_AXIS.split(), _new_axis),
    "Transpose": _transpose,
    "Reshape": reshape,
    "Pad": _pad,
    "GetItem": _slice,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "AdaptiveAveragePool": adaptive,
    "AdaptiveMaxPool": adaptive,
    "Resize": resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
