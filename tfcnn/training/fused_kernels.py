"""Faster TensorFlow kernels for a network in training.

Keras 3 composes batch norm of elementwise operations, each of which reads and writes its whole array; TensorFlow has
one kernel for it. Where maps are small and channels many, TensorFlow's kernels for the gradients of a convolution take
up to eight times as long as the same sums written as convolutions: the gradient by the input on CPUs where oneDNN is
off by default, the gradient by the kernel on all without AVX-512 VNNI. With AVX-512 VNNI TensorFlow's kernels are up to
three times as fast as ours, except those of 1x1. oneDNN takes longer to wake its threads than a small map takes to
compute: there a convolution of 1x1 is a product of matrices, and batch norm a few elementary operations, in a third of
the time or less. Its batch norm of bfloat16 is slow where the channels do not fill its vectors
(`python -m benchmarks.layer_kernels`). Keras gathers the inputs of a dilated convolution and scatters its outputs;
oneDNN's kernels need neither, and skip what lies outside the map. Depthwise convolutions are in `fused_depthwise`.

Single layers change in memory, and their classes do not: weights, configuration and the saved file stay Keras' own. The
results differ by rounding alone.
"""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfcnn.training import fused_depthwise

# On maps of so few positions and so many channels the gradient by the kernel is written as a convolution.
FEW_POSITIONS = 256
MANY_CHANNELS = 64
LANES = 16  # numbers of float32 in a vector of AVX-512
SMALL_MAP = 1024  # numbers: for batch norm of smaller maps oneDNN takes longer to wake its threads than to add


def accelerate(model: keras.Model, batch_norms: bool = True) -> dict[str, int]:
    """Let the layers of a built network use faster kernels from now on, where there are any.

    Args:
        model: any Keras model, also with models inside. Functions for training and evaluation that are traced already
            keep their kernels.
        batch_norms: whether batch norms are among the layers. The kernel uses the statistics of one device.

    Returns:
        The number of changed layers by kind: {"batch norms": 27, "convolutions": 14, "depthwise convolutions": 4}.
    """
    changed = {"batch norms": 0, "convolutions": 0, "depthwise convolutions": 0}
    on_cpu = not tf.config.list_physical_devices("GPU")  # cuDNN's gradients are fast
    for layer in model._flatten_layers():
        if batch_norms and _one_kernel_normalises(layer):
            layer.call = partial(_batch_norm, layer, SMALL_MAP if on_cpu and onednn() else 0)
            changed["batch norms"] += 1
        elif on_cpu and _gradient_is_a_convolution(layer):
            layer.convolution_op = partial(convolution, stride=layer.strides[0], padding=layer.padding)
            changed["convolutions"] += 1
        elif on_cpu and onednn() and _is_dilated(layer):
            layer.convolution_op = partial(dilated_convolution, dilation=layer.dilation_rate, padding=layer.padding)
            changed["convolutions"] += 1
        elif on_cpu and onednn() and fused_depthwise.gains(layer):
            layer.call = partial(fused_depthwise.call, layer)
            changed["depthwise convolutions"] += 1
    return changed


def onednn() -> bool:
    """Whether TensorFlow runs oneDNN's kernels in this process, by default or by TF_ENABLE_ONEDNN_OPTS."""
    from tensorflow.python.util import _pywrap_util_port  # TensorFlow has no public name for it

    return _pywrap_util_port.IsMklEnabled()


@cache
def cpu_has(feature: str) -> bool:
    """Whether Linux lists a feature of the CPU, such as "avx512_bf16"."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and f" {feature} " in cpuinfo.read_text().replace("\n", " ")


def has_vnni() -> bool:
    """Whether this is a CPU with AVX-512 VNNI, where TensorFlow switches oneDNN on by default."""
    return cpu_has("avx512_vnni")


def multiplies_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 and TensorFlow lets it; without oneDNN it converts to float32."""
    return onednn() and cpu_has("avx512_bf16")


def normalises_channels(layer: keras.layers.Layer) -> bool:
    """Whether it is Keras' own batch norm of the last axis, without renorm."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (layer.input_spec.ndim - 1, -1)
        and not layer.renorm
    )


def _one_kernel_normalises(layer: keras.layers.Layer) -> bool:
    return normalises_channels(layer) and layer.input_spec.ndim in (3, 4, 5) and not layer.synchronized


def _batch_norm(
    layer: keras.layers.BatchNormalization, small: int, inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    """The outputs and statistics of keras.layers.BatchNormalization.call. (n, ..., c) -> (n, ..., c)

    The kernel is one of images: sounds and volumes are columns of pixels to it. It knows no mask: with one the layer's
    own call remains.
    With oneDNN, maps of up to `small` numbers are normalised by `_normalised` in training, and bfloat16 is in float32
    where the channels are no multiple of LANES: oneDNN takes four to twenty times as long for them.
    """
    if mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    channels = inputs.shape[-1]
    dtype = inputs.dtype
    if inputs.shape.rank != 4:
        places = _numbers(inputs.shape[1:-1])
        column = tf.reshape(inputs, [tf.shape(inputs)[0], -1 if math.isinf(places) else places, 1, channels])
        return tf.reshape(_batch_norm(layer, small, column, training), tf.shape(inputs))
    if small and channels % LANES:
        inputs = tf.cast(inputs, tf.float32)
    gamma = layer.gamma.value if layer.scale else tf.ones([channels])
    beta = layer.beta.value if layer.center else tf.zeros([channels])
    kernel = partial(tf.raw_ops.FusedBatchNormV3, x=inputs, scale=gamma, offset=beta, epsilon=layer.epsilon)
    mean, variance = layer.moving_mean.value, layer.moving_variance.value
    if not (training and layer.trainable):
        return tf.cast(kernel(mean=mean, variance=variance, is_training=False).y, dtype)
    if inputs.dtype == tf.float32 and _numbers(inputs.shape[1:]) <= small:
        outputs, mean, variance = _normalised(inputs, gamma, beta, layer.epsilon)
    else:
        outputs, mean, variance, *_ = kernel(mean=tf.zeros([0]), variance=tf.zeros([0]), is_training=True)
        # The kernel divides the sum of squares by n - 1, Keras by n.
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        variance *= tf.maximum(count - 1, 1) / count
    for moving, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving.value - (moving.value - new) * (1 - layer.momentum))
    return tf.cast(outputs, dtype)


def _numbers(shape: Any) -> float:
    """The number of elements of an array of this shape; infinity where a side is unknown."""
    return math.inf if None in shape else math.prod(shape)


def _normalised(inputs: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Normalised float32 (n, h, w, c), and the means and variances (c,), by operations that wake no thread.

    Means are products with a row of 1/n, which TensorFlow computes faster than sums. The gradient is that of Ioffe &
    Szegedy 2015 (arXiv:1502.03167, section 3); none flows through the returned means and variances.
    """

    @tf.custom_gradient
    def normalise(x: Any, gamma: Any, beta: Any) -> Any:
        rows = tf.reshape(x, [-1, x.shape[-1]])
        count = tf.shape(rows)[0]
        shares = tf.fill([1, count], 1 / tf.cast(count, tf.float32))
        mean = tf.matmul(shares, rows)  # (1, c), as all values of a channel
        centred = rows - mean
        variance = tf.matmul(shares, tf.square(centred))
        scale = tf.math.rsqrt(variance + epsilon)

        def gradient(upstream: Any, *_: Any) -> tuple:
            rows = tf.reshape(upstream, tf.shape(centred))
            by_beta, by_gamma = tf.matmul(shares, rows), tf.matmul(shares, rows * centred) * scale
            by_x = (rows - by_beta - centred * (scale * by_gamma)) * (gamma * scale)
            sums = [tf.reshape(mean, [-1]) * tf.cast(count, tf.float32) for mean in (by_gamma, by_beta)]
            return tf.reshape(by_x, tf.shape(x)), *sums

        outputs = tf.reshape(centred * (gamma * scale) + beta, tf.shape(x))
        return (outputs, tf.reshape(mean, [-1]), tf.reshape(variance, [-1])), gradient

    return normalise(inputs, gamma, beta)


def _is_plain_convolution(layer: keras.layers.Layer) -> bool:
    """Whether it is a 2-D convolution of all channels together."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.groups == 1
        and layer.padding in ("same", "valid")
    )


def _gradient_is_a_convolution(layer: keras.layers.Layer) -> bool:
    return (
        _is_plain_convolution(layer)
        and layer.dilation_rate == (1, 1)
        and (layer.strides == (1, 1) or (layer.kernel_size == (1, 1) and layer.strides[0] == layer.strides[1]))
        and (layer.kernel_size == (1, 1) or not has_vnni())
    )


def _is_dilated(layer: keras.layers.Layer) -> bool:
    """Whether it is a dilated convolution of which oneDNN computes the gradients; TensorFlow's own kernels do not."""
    dtypes = ("float32", "bfloat16") if multiplies_bfloat16() else ("float32",)
    return _is_plain_convolution(layer) and max(layer.dilation_rate) > 1 and layer.compute_dtype in dtypes


def convolution(inputs: Any, kernel: Any, *, stride: int, padding: str) -> Any:
    """The convolution of stride 1, or of 1x1 with any stride, with its gradients written as convolutions.

    The gradient by the input is the upstream gradient in a border of (kernel - 1 - border), convolved with the kernel
    rotated by 180 degrees, channels exchanged (Dumoulin & Visin 2016, relationship 8). The gradient by the kernel is a
    sum over examples and positions: the input, its channels as examples and its examples as channels, convolved with
    the upstream gradient as the kernel. Those of 1x1 are products of matrices.

    Args:
        inputs: (n, h, w, c), floats.
        kernel: (rows, columns, c, filters), of the same dtype.
        stride: of both axes; 1 unless the kernel is 1x1.
        padding: "same" or "valid".

    Returns:
        (n, h', w', filters), h' and w' as keras.layers.Conv2D has them.
    """
    # A custom gradient takes no variable, which Keras passes when it runs eagerly.
    inputs = tf.convert_to_tensor(keras.ops.convert_to_tensor(inputs))
    kernel = tf.convert_to_tensor(keras.ops.convert_to_tensor(kernel))
    if stride > 1:  # a kernel of 1x1 skips the positions between
        inputs = inputs[:, ::stride, ::stride]
    sides = kernel.shape[:2]
    border = [((side - 1) // 2, side // 2) if padding == "same" else (0, 0) for side in sides]
    few_positions = _numbers(inputs.shape[1:3]) <= FEW_POSITIONS

    @tf.custom_gradient
    def convolve(x: Any, kernel: Any) -> tuple:
        def gradient(upstream: Any) -> tuple:
            if sides == (1, 1):
                by_output = _as_matrix(upstream)
                by_input = tf.reshape(tf.matmul(by_output, _as_matrix(kernel), transpose_b=True), tf.shape(x))
                return by_input, tf.reshape(tf.matmul(_as_matrix(x), by_output, transpose_a=True), kernel.shape)
            rotated = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
            rest = [(side - 1 - before, side - 1 - after) for side, (before, after) in zip(sides, border, strict=True)]
            by_input = _convolve(upstream, rotated, rest)
            # Not in half precision: TensorFlow's kernel sums over examples and positions in float32.
            if few_positions and x.shape[3] >= MANY_CHANNELS and x.dtype == tf.float32:
                by_kernel = _convolve(tf.transpose(x, [3, 1, 2, 0]), tf.transpose(upstream, [1, 2, 0, 3]), border)
                return by_input, tf.transpose(by_kernel, [1, 2, 0, 3])
            return by_input, tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=upstream, **_window(border)
            )

        if sides == (1, 1) and few_positions:
            outputs = tf.matmul(_as_matrix(x), _as_matrix(kernel))
            return tf.reshape(outputs, [-1, *x.shape[1:3], kernel.shape[-1]]), gradient
        return _convolve(x, kernel, border), gradient

    return convolve(inputs, kernel)


def dilated_convolution(inputs: Any, kernel: Any, *, dilation: tuple[int, int], padding: str) -> Any:
    """The dilated convolution of stride 1, by one kernel, without the weights that see nothing but padding.

    Args:
        inputs: (n, h, w, c), floats.
        kernel: (rows, columns, c, filters), of the same dtype.
        dilation: of the rows and of the columns.
        padding: "same" or "valid".

    Returns:
        (n, h', w', filters), h' and w' as keras.layers.Conv2D has them.
    """
    if padding == "same":
        axes = zip(inputs.shape[1:3], kernel.shape[:2], dilation, strict=True)
        unseen = [_weights_on_padding(*axis) for axis in axes]
        sizes = [weights - 2 * outer for weights, outer in zip(kernel.shape[:2], unseen, strict=True)]
        if any(unseen):
            kernel = tf.slice(kernel, [*unseen, 0, 0], [*sizes, -1, -1])  # its gradient is faster than that of [...]
    return tf.nn.conv2d(inputs, kernel, 1, padding.upper(), dilations=dilation)


def _weights_on_padding(n: int | None, weights: int, dilation: int) -> int:
    """How many weights on each end of an axis see none of the `n` places, but only the padding of "same"."""
    return 0 if n is None or weights % 2 == 0 else max(0, weights // 2 - (n - 1) // dilation)


def _as_matrix(x: Any) -> Any:
    """The same numbers in rows of the last axis."""
    return tf.reshape(x, [-1, x.shape[-1]])


def _convolve(x: Any, kernel: Any, border: list[tuple[int, int]]) -> Any:
    return tf.raw_ops.Conv2D(input=x, filter=kernel, **_window(border))


def _window(border: list[tuple[int, int]]) -> dict[str, Any]:
    """TensorFlow's arguments for stride 1 and a border of (before, after) rows and columns."""
    if border[0][0] == border[0][1] == border[1][0] == border[1][1] == 0:
        return {"strides": [1] * 4, "padding": "VALID"}
    return {"strides": [1] * 4, "padding": "EXPLICIT", "explicit_paddings": [0, 0, *border[0], *border[1], 0, 0]}
