"""Depthwise convolutions whose gradients oneDNN computes slowly.

On maps smaller than a kernel of 3x3 they take up to eight times as long as those without padding of the padded map. The
gradient by a kernel of more than three columns takes longer than those by its parts of up to three, in bfloat16 up to
thirty times. The gradient by the input takes longer than the convolution that computes the same, and in bfloat16 with
strides up to a hundred times as long as in float32. The 1x1 convolution of a separable one is a product of matrices
here, as are its gradients (docs/layer_kernels.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfcnn.arithmetic.sizes import same_padding

WIDEST_PART = 3  # columns of a kernel whose gradient is fast
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
    strided_bfloat16 = max(layer.strides) > 1 and layer.compute_dtype != "float32"
    small = layer.padding == "same" and _is_smaller(maps[0], layer.kernel_size, layer.strides)
    return layer.kernel_size[1] > WIDEST_PART or strided_bfloat16 or small


def _is_smaller(sides: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether a map is so small that a kernel with padding="same" reaches over both its borders at some place."""
    return any(n < k + s - 1 for n, k, s in zip(sides, kernel, strides, strict=True))


def call(layer: keras.layers.Layer, inputs: Any) -> Any:
    """The outputs of the layer's own call. (n, h, w, c) -> (n, h', w', filters)

    An output of 1x1 is computed by `_at_one_place`.
    """
    separable = type(layer) is keras.layers.SeparableConv2D
    kernel = tf.convert_to_tensor(layer.depthwise_kernel if separable else layer.kernel)
    one_place = all(n <= s for n, s in zip(inputs.shape[1:3], layer.strides, strict=True))
    if layer.padding == "same" and one_place and inputs.dtype == tf.float32:
        outputs = _at_one_place(inputs, kernel, layer.strides[0])
    else:
        outputs = convolution(inputs, kernel, layer.strides[0], layer.padding)
    if separable:
        outputs = tf.tensordot(outputs, tf.convert_to_tensor(layer.pointwise_kernel)[0, 0], 1)
    return layer.activation(keras.ops.add(outputs, layer.bias) if layer.use_bias else outputs)


def convolution(inputs: Any, kernel: Any, stride: int, padding: str = "valid") -> Any:
    """The depthwise convolution with fast gradients.

    Args:
        inputs: (n, h, w, c), floats; h and w are known.
        kernel: (rows, columns, c, multiplier), of the same dtype.
        stride: of both axes.
        padding: "valid" or "same".

    Returns:
        (n, h', w', c * multiplier).
    """
    border = _border(inputs, kernel, stride) if padding == "same" else ((0, 0), (0, 0))
    if padding == "same" and _is_smaller(inputs.shape[1:3], kernel.shape[:2], (stride, stride)):
        return convolution(_pad(inputs, border), kernel, stride)
    window = {"strides": [1, stride, stride, 1], "padding": padding.upper()}

    @tf.custom_gradient
    def convolve(x: Any, kernel: Any) -> tuple:
        def gradient(upstream: Any) -> tuple:
            by_kernel = _by_parts(upstream, _pad(x, border), kernel, stride)
            return _by_input(upstream, x, kernel, window), by_kernel

        return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, **window), gradient

    return convolve(inputs, kernel)


def _border(x: Any, kernel: Any, stride: int) -> Border:
    """The zeros that padding="same" puts before and after each axis of a map."""
    return [same_padding(n, k, stride) for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)]


def _pad(x: Any, border: Border) -> Any:
    return tf.pad(x, [(0, 0), *border, (0, 0)]) if any(map(any, border)) else x


def _by_input(upstream: Any, x: Any, kernel: Any, window: dict[str, Any]) -> Any:
    """The gradient by the input: with strides in float32, without them a convolution where both borders are equal."""
    rows, columns, _, multiplier = kernel.shape
    if window == {"strides": [1, 1, 1, 1], "padding": "SAME"} and rows % 2 and columns % 2 and multiplier == 1:
        return tf.raw_ops.DepthwiseConv2dNative(input=upstream, filter=tf.reverse(kernel, [0, 1]), **window)
    dtype = x.dtype if window["strides"][1] == 1 else tf.float32
    result = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
        input_sizes=tf.shape(x), filter=tf.cast(kernel, dtype), out_backprop=tf.cast(upstream, dtype), **window
    )
    return tf.cast(result, x.dtype)


def _by_parts(upstream: Any, x: Any, kernel: Any, stride: int) -> Any:
    """The gradient by the kernel, put together of that by parts of up to three columns, from a map with its border."""
    rows, columns, *channels = kernel.shape
    across = stride * (upstream.shape[2] - 1)  # from the first place to the last

    def by_part(left: int) -> Any:
        width = min(WIDEST_PART, columns - left)
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x[:, :, left : left + across + width],
            filter_sizes=[rows, width, *channels],
            out_backprop=upstream,
            strides=[1, stride, stride, 1],
            padding="VALID",
        )

    return tf.concat([by_part(left) for left in range(0, columns, WIDEST_PART)], 1)


def _at_one_place(inputs: Any, kernel: Any, stride: int) -> Any:
    """A depthwise convolution with an output of 1x1: the sum of the map times the part of the kernel that covers it."""
    (top, _), (left, _) = _border(inputs, kernel, stride)
    _, height, width, channels = inputs.shape
    covering = kernel[top : top + height, left : left + width]
    outputs = tf.reduce_sum(inputs[..., None] * covering, [1, 2])
    return tf.reshape(outputs, [-1, 1, 1, channels * kernel.shape[3]])
