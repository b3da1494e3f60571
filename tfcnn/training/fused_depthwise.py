"""Depthwise convolutions whose gradients oneDNN computes slowly.

On maps smaller than a kernel of 3x3 they take up to eight times as long as those without padding of the padded map. The
gradient by a kernel of more than 3x3 takes longer than those by its parts of up to 3x3, in bfloat16 up to thirty times,
and of small maps in float32 longer than products of matrices. With strides in float32 only that of small maps does. In
bfloat16 the gradient by the input with strides takes up to a hundred times as long as in float32. The 1x1 convolution
of a separable one is a product of matrices here, as are its gradients (docs/layer_kernels.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcnn.arithmetic.sizes import same_padding

LARGEST_PART = 3  # of a kernel, to a side, whose gradient is fast
FEW_PLACES = 36  # of a map, whose pairs with those of the output are few enough
Border = Sequence[tuple[int, int]]  # zeros before and after each axis


def gains(layer: keras.layers.Layer) -> bool:
    """Whether `call` is faster than a layer's own call: of a depthwise or separable one on maps of known sides."""
    if type(layer) not in (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D):
        return False
    if layer.data_format != "channels_last" or layer.dilation_rate not in (1, (1, 1)):
        return False
    maps = [node.input_tensors[0].shape[1:3] for node in layer._inbound_nodes]
    if any(None in sides for sides in maps):
        return False
    if type(layer) is keras.layers.SeparableConv2D:
        return True
    large = max(layer.kernel_size) > LARGEST_PART
    strided = max(layer.strides) > 1
    if layer.compute_dtype != "float32" and (large or strided):
        return True
    if large and (not strided or math.prod(maps[0]) <= FEW_PLACES):
        return True
    axes = zip(maps[0], layer.kernel_size, layer.strides, strict=True)
    return layer.padding == "same" and any(n < k + s - 1 for n, k, s in axes)


def call(layer: keras.layers.Layer, inputs: Any) -> Any:
    """The outputs of the layer's own call. (n, h, w, c) -> (n, h', w', filters)

    An output of 1x1 is computed by `_at_one_place`.
    """
    separable = type(layer) is keras.layers.SeparableConv2D
    kernel = tf.convert_to_tensor(layer.depthwise_kernel if separable else layer.kernel)
    axes = list(zip(inputs.shape[1:3], layer.kernel_size, layer.strides, strict=True))
    border = [same_padding(n, k, s) if layer.padding == "same" else (0, 0) for n, k, s in axes]
    if layer.padding == "same" and all(n <= s for n, _, s in axes) and inputs.dtype == tf.float32:
        outputs = _at_one_place(inputs, kernel, border)
    else:
        if any(map(any, border)):
            inputs = tf.pad(inputs, [(0, 0), *border, (0, 0)])
        outputs = convolution(inputs, kernel, layer.strides[0], border)
    if separable:
        outputs = tf.tensordot(outputs, tf.convert_to_tensor(layer.pointwise_kernel)[0, 0], 1)
    return layer.activation(keras.ops.add(outputs, layer.bias) if layer.use_bias else outputs)


def convolution(inputs: Any, kernel: Any, stride: int, border: Border = ((0, 0), (0, 0))) -> Any:
    """The depthwise convolution without padding, with fast gradients.

    Args:
        inputs: (n, h, w, c), floats; h and w are known.
        kernel: (rows, columns, c, multiplier), of the same dtype.
        stride: of both axes.
        border: zeros before and after each axis of `inputs`, which the gradient by the kernel may leave out.

    Returns:
        (n, h', w', c * multiplier), h' = (h - rows) // stride + 1.
    """
    window = {"strides": [1, stride, stride, 1], "padding": "VALID"}

    @tf.custom_gradient
    def convolve(x: Any, kernel: Any) -> tuple:
        def gradient(upstream: Any) -> tuple:
            (top, bottom), (left, right) = border
            inner = x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]
            if _has_few_places(inner, kernel):
                by_kernel = _by_pairs_of_places(upstream, inner, kernel, stride, (top, left))
            else:
                by_kernel = _by_parts(upstream, x, kernel, window)
            return _by_input(upstream, x, kernel, window), by_kernel

        return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, **window), gradient

    return convolve(inputs, kernel)


def _by_input(upstream: Any, x: Any, kernel: Any, window: dict[str, Any]) -> Any:
    """The gradient by the input, with strides in float32."""
    dtype = x.dtype if window["strides"][1] == 1 else tf.float32
    result = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
        input_sizes=tf.shape(x), filter=tf.cast(kernel, dtype), out_backprop=tf.cast(upstream, dtype), **window
    )
    return tf.cast(result, x.dtype)


def _by_parts(upstream: Any, x: Any, kernel: Any, window: dict[str, Any]) -> Any:
    """The gradient by the kernel, put together of that by parts of up to 3x3."""
    rows, columns, *channels = kernel.shape
    down, across = (window["strides"][1] * (side - 1) for side in upstream.shape[1:3])  # from the first to the last

    def by_part(top: int, left: int) -> Any:
        height, width = min(LARGEST_PART, rows - top), min(LARGEST_PART, columns - left)
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x[:, top : top + down + height, left : left + across + width],
            filter_sizes=[height, width, *channels],
            out_backprop=upstream,
            **window,
        )

    tops, lefts = range(0, rows, LARGEST_PART), range(0, columns, LARGEST_PART)
    return tf.concat([tf.concat([by_part(top, left) for left in lefts], 1) for top in tops], 0)


def _has_few_places(x: Any, kernel: Any) -> bool:
    """Whether `_by_pairs_of_places` is faster than `_by_parts`, for a map without its border."""
    rows, columns, _, multiplier = kernel.shape
    large = max(rows, columns) > LARGEST_PART
    return large and multiplier == 1 and x.dtype == tf.float32 and math.prod(x.shape[1:3]) <= FEW_PLACES


def _by_pairs_of_places(upstream: Any, x: Any, kernel: Any, stride: int, start: tuple[int, int]) -> Any:
    """The gradient by the kernel, from a map without its border, by products of matrices.

    First the product of each place of the map with each of the output, summed over the examples; then for each weight
    the sum over the pairs that it joins.

    Args:
        start: zeros before the rows and before the columns of the map.
    """
    axes = zip(kernel.shape[:2], x.shape[1:3], upstream.shape[1:3], start, strict=True)
    down, across = (  # (weights, n, outputs): whether the weight joins the two
        np.arange(n)[:, None] == stride * np.arange(outputs) + np.arange(weights)[:, None, None] - before
        for weights, n, outputs, before in axes
    )
    joined = np.einsum("iyp,jxq->ijyxpq", down, across).astype("float32")
    pairs = tf.einsum("nyxc,npqc->cyxpq", x, upstream)
    return tf.reshape(tf.einsum("cyxpq,ijyxpq->ijc", pairs, joined), kernel.shape)


def _at_one_place(inputs: Any, kernel: Any, border: Border) -> Any:
    """A depthwise convolution with an output of 1x1: the sum of the map times the part of the kernel that covers it."""
    (top, _), (left, _) = border
    _, height, width, channels = inputs.shape
    covering = kernel[top : top + height, left : left + width]
    outputs = tf.reduce_sum(inputs[..., None] * covering, [1, 2])
    return tf.reshape(outputs, [-1, 1, 1, channels * kernel.shape[3]])
