"""Which positions of its input each layer, and each function of keras.ops, reads: what `receptive_field` adds up."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import keras
from keras import layers

from tfcnn import graph
from tfcnn.arithmetic.sizes import effective_kernel
from tfcnn.graph import Shape, Step
from tfcnn.layers import BedOfNails1D, CropLike, LocalResponseNormalization, Padding1D, Subsampling2D
from tfcnn.layers.convolutional.convolution import Convolution
from tfcnn.layers.pooling.max_unpooling import MaxUnpooling, MaxUnpoolingLike
from tfcnn.layers.pooling.windows import WindowedLayer
from tfcnn.receptive_field.functions import (
    RADIUS,
    adaptive,
    pointwise,
    reshape,
    resize,
    rule_of_function,
    sorted_axes,
)
from tfcnn.receptive_field.reads import Reach, Reads, Rule, padding_before


def rule_of(step: Step, rank: int) -> Rule:
    """What a step reads of its first input, a map with `rank` spatial axes; None for what is not known."""
    operation = step.operation
    if hasattr(operation, "windows"):
        return [Reads.window(*row) for row in operation.windows(step.input_shape, step.output_shape)]
    if getattr(operation, "data_format", "channels_last") == "channels_first":
        return None
    if not isinstance(operation, layers.Layer):
        return rule_of_function(step, rank)
    if type(operation).__name__ in PRIVATE:
        return Reach.POINTWISE
    rule = graph.entry_of(RULES, operation)
    return rule(step, rank) if rule else None


def _collapse(step: Step, rank: int) -> Rule:
    return Reach.COLLAPSE


def _statistics(step: Step, rank: int) -> Rule:
    return Reach.STATISTICS


def _normalization(step: Step, rank: int) -> Rule:
    """Statistics along the layer's axes, which is no more than a position where they are the channels alone."""
    dimensions = len(step.input_shape)
    return Reach.POINTWISE if sorted_axes(step.operation.axis, dimensions) == [dimensions - 1] else Reach.STATISTICS


def _time_distributed(step: Step, rank: int) -> Rule:
    inputs = [_one_time(tensor) for tensor in step.inputs]
    outputs = [_one_time(tensor) for tensor in step.outputs]
    rule = rule_of(step._replace(operation=step.operation.layer, inputs=inputs, outputs=outputs), rank - 1)
    if isinstance(rule, list):
        return [Reads.window(1), *rule]
    return rule if rule is Reach.POINTWISE else None


def _one_time(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """One step in time of (batch, time, ...)."""
    return keras.KerasTensor((tensor.shape[0], *tensor.shape[2:]), tensor.dtype)


def _spectral_normalization(step: Step, rank: int) -> Rule:
    return rule_of(step._replace(operation=step.operation.layer), rank)


def _convolution(step: Step, rank: int) -> Rule:
    layer = step.operation
    rows = zip(layer.kernel_size, layer.strides, layer.dilation_rate, step.input_shape[1:-1], strict=True)
    return [Reads.window(k, s, padding_before(layer.padding, n, k, s, d), d) for k, s, d, n in rows]


def _transposed(step: Step, rank: int) -> Rule:
    layer = step.operation
    output_padding = layer.output_padding
    if not isinstance(output_padding, tuple | list):
        output_padding = (output_padding,) * rank
    rule: list[Reads | Reach] = []
    for kernel, stride, dilation, extra in zip(
        layer.kernel_size, layer.strides, layer.dilation_rate, output_padding, strict=True
    ):
        covered = effective_kernel(kernel, dilation)
        # What TensorFlow crops in all: "same" gives stride * size pixels, or with output_padding as PyTorch counts.
        crop = covered - stride if extra is None else 2 * (covered // 2) - extra
        before = max(crop, 0) // 2 if layer.padding == "same" else 0
        rule.append(Reads.window(kernel, Fraction(1, stride), before, dilation))
    return rule


def pooling(layer: Any, shape: Shape) -> list[Reads | Reach]:
    """The windows of a pooling layer on a map of this shape, with batch and channels."""
    return [Reads.window(*row) for row in _pooling_rows(layer, shape)]


def unpooling(layer: Any, shape: Shape) -> list[Reads | Reach]:
    """The windows of an unpooling layer; `shape` is that of its output."""
    rows = _pooling_rows(layer, shape)
    return [Reads.window(kernel, Fraction(1, stride), before) for kernel, stride, before in rows]


def _pooling_rows(layer: Any, shape: Shape) -> list[tuple[int, int, int]]:
    rows = zip(layer.pool_size, layer.strides, shape[1:-1], strict=True)
    return [(k, s, padding_before(layer.padding, n, k, s)) for k, s, n in rows]


def _pooling(step: Step, rank: int) -> Rule:
    return pooling(step.operation, step.input_shape)


def _max_unpooling(step: Step, rank: int) -> Rule:
    sides = [axis.size for axis in step.operation.unpooled_axes(step.input_shape[1:-1])]
    return unpooling(step.operation, (None, *sides, None))


def _max_unpooling_like(step: Step, rank: int) -> Rule:
    return unpooling(step.operation, tuple(step.inputs[-1].shape))


def _up_sampling(step: Step, rank: int) -> Rule:
    size = step.operation.size
    interpolation = getattr(step.operation, "interpolation", "nearest")
    return [_enlargement(side, interpolation) for side in ((size,) if isinstance(size, int) else size)]


def _enlargement(size: int, interpolation: str) -> Reads:
    if interpolation == "nearest":
        return Reads.window(size, Fraction(1, size))
    if size == 1:
        return Reads.window(1)
    # Input i reaches the outputs o at which (o + 1/2) / size - 1/2 is less than the radius away from it.
    before = math.ceil(RADIUS[interpolation] * size - Fraction(size - 1, 2)) - 1
    after = math.ceil(RADIUS[interpolation] * size + Fraction(size - 1, 2)) - 1
    return Reads.window(before + after + 1, Fraction(1, size), before)


def _zero_padding(step: Step, rank: int) -> Rule:
    return [Reads.window(1, 1, before) for before, _ in _pairs(step.operation.padding)]


def _cropping(step: Step, rank: int) -> Rule:
    return [Reads.window(1, 1, -before) for before, _ in _pairs(step.operation.cropping)]


def _pairs(amounts: Any) -> Any:
    """(before, after) for each axis; layers of one axis hold the pair alone."""
    return [amounts] if isinstance(amounts[0], int) else amounts


def _concatenate(step: Step, rank: int) -> Rule:
    return Reach.POINTWISE if sorted_axes(step.operation.axis, len(step.input_shape))[0] > rank else None


def _permute(step: Step, rank: int) -> Rule:
    return Reach.POINTWISE if step.operation.dims[:rank] == tuple(range(1, rank + 1)) else None


def _padded_convolution(step: Step, rank: int) -> Rule:
    layer = step.operation
    rows = zip(layer.kernel_size, layer.strides, layer.amounts, layer.dilation_rate, strict=True)
    return [Reads.window(kernel, stride, before, dilation) for kernel, stride, (before, _), dilation in rows]


def _subsampling(step: Step, rank: int) -> Rule:
    size = step.operation.pool_size
    return [Reads.window(size, size) for _ in range(2)]


def _bed_of_nails(step: Step, rank: int) -> Rule:
    pairs = zip(step.operation.size, step.operation.position, strict=True)
    return [Reads.window(1, Fraction(1, size), -place) for size, place in pairs]


def _crop_like(step: Step, rank: int) -> Rule:
    first = step.operation.first(step.input_shape, tuple(step.inputs[-1].shape))
    return [Reads.window(1, 1, -place) for place in first]


def _padding(step: Step, rank: int) -> Rule:
    return [Reads.window(1, 1, before) for before, _ in step.operation.amounts]


POINTWISE = (
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.PReLU,
    layers.ELU,
    layers.Identity,
    layers.Masking,
    layers.BatchNormalization,
    layers.Normalization,
    layers.Rescaling,
    layers.ActivityRegularization,
    layers.Dropout,
    layers.AlphaDropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Dense,
    LocalResponseNormalization,
)
# Private classes of keras.applications: ConvNeXt's and Inception-ResNet's scale factors, ConvNeXt's dropped paths.
PRIVATE = ("LayerScale", "StochasticDepth", "CustomScaleLayer")
GLOBAL_POOLING = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.GlobalMaxPooling3D,
)
RECURRENT = (layers.SimpleRNN, layers.LSTM, layers.GRU, layers.Bidirectional)
ATTENTION = (layers.MultiHeadAttention, layers.Attention)
POOLING = (
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.MaxPooling3D,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.AveragePooling3D,
)
ADAPTIVE = (
    layers.AdaptiveAveragePooling1D,
    layers.AdaptiveAveragePooling2D,
    layers.AdaptiveAveragePooling3D,
    layers.AdaptiveMaxPooling1D,
    layers.AdaptiveMaxPooling2D,
    layers.AdaptiveMaxPooling3D,
)
BedOfNails = BedOfNails1D.__base__  # what their three ranks share
Padding = Padding1D.__base__

RULES: dict[tuple[type, ...], Callable[[Step, int], Rule]] = {
    (layers.TimeDistributed,): _time_distributed,
    (layers.SpectralNormalization,): _spectral_normalization,
    POINTWISE: pointwise,
    GLOBAL_POOLING: _collapse,
    (layers.Flatten,): _collapse,
    RECURRENT: _collapse,
    ATTENTION: _collapse,
    graph.CONVOLUTIONS: _convolution,
    graph.DEPTHWISE: _convolution,
    graph.SEPARABLE: _convolution,
    graph.TRANSPOSED: _transposed,
    POOLING: _pooling,
    ADAPTIVE: adaptive,
    (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D): _up_sampling,
    (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D): _zero_padding,
    (layers.Cropping1D, layers.Cropping2D, layers.Cropping3D): _cropping,
    (layers.GroupNormalization,): _statistics,
    (layers.LayerNormalization, layers.UnitNormalization, layers.RMSNormalization, layers.Softmax): _normalization,
    (layers.Concatenate,): _concatenate,
    (layers.Reshape,): reshape,
    (layers.Permute,): _permute,
    (layers.Resizing,): resize,
    (Convolution,): _padded_convolution,
    (MaxUnpoolingLike,): _max_unpooling_like,
    (MaxUnpooling,): _max_unpooling,
    (WindowedLayer,): _pooling,
    (Subsampling2D,): _subsampling,
    (BedOfNails,): _bed_of_nails,
    (CropLike,): _crop_like,
    (Padding,): _padding,
}
