"""The same network and the same optimiser by faster TensorFlow kernels, while they train.

Keras 3 composes batch norm and its optimisers of elementwise operations, each of which reads and writes its whole
array. TensorFlow has one kernel for each. And TensorFlow's kernels for the gradients of a convolution take up to eight
times as long as the same sums written as convolutions, where maps are small and channels many: the one by the input on
CPUs on which oneDNN is not switched on by default, the one by the kernel on all without AVX-512 VNNI; and oneDNN's for
a depthwise kernel up to thirty times as long on maps that are smaller than the kernel. With AVX-512 VNNI TensorFlow's
are up to three times as fast as ours, except those of 1x1. To wake its threads, oneDNN takes longer than a small map
does: there a convolution of 1x1 is a product of matrices, batch norm some elementary operations, and a depthwise
convolution onto one place a sum, in a third of the time and less (`python -m benchmarks.layer_kernels`).

What is changed are single layers and optimisers in memory, not their classes: weights, configuration and the saved file
stay Keras' own. The results differ by rounding alone.
"""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path

import keras
import tensorflow as tf

from tfcnn.arithmetic.sizes import same_padding

# A map so small, of so many channels, has the gradient by its kernel as a convolution.
FEW_POSITIONS, MANY_CHANNELS = 256, 64
SMALL_MAP = 1024  # numbers: to normalise a batch of these, oneDNN takes longer to wake its threads than to add


def accelerate(model: keras.Model, batch_norms: bool = True) -> dict[str, int]:
    """Let a built network's layers use faster kernels from now on. Other layers are left as they are.

    Args:
        model: any Keras model; nested ones included. Its functions for training and evaluation, if it has run already,
            keep the kernels that they were traced with.
        batch_norms: whether they are among them. The kernel takes the statistics of one device.

    Returns:
        How many layers were changed, by what: {"batch norms": 27, "convolutions": 14, "depthwise convolutions": 4}.
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
        elif on_cpu and onednn() and _sees_a_small_map(layer):
            layer.call = partial(_with_a_border, layer)
            changed["depthwise convolutions"] += 1
    return changed


def onednn() -> bool:
    """Whether TensorFlow runs oneDNN's kernels in this process, by itself or by TF_ENABLE_ONEDNN_OPTS."""
    from tensorflow.python.util import _pywrap_util_port  # TensorFlow has no public name for it

    return _pywrap_util_port.IsMklEnabled()


@cache
def cpu_has(feature: str) -> bool:
    """Whether Linux lists this feature of the CPU, as "avx512_bf16"."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and f" {feature} " in cpuinfo.read_text().replace("\n", " ")


def has_vnni() -> bool:
    """Whether this is a CPU with AVX-512 VNNI, for which TensorFlow switches oneDNN on by itself."""
    return cpu_has("avx512_vnni")


def multiplies_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 and TensorFlow lets it, which without oneDNN converts to float32."""
    return onednn() and cpu_has("avx512_bf16")


def accelerate_optimizer(optimizer: keras.optimizers.Optimizer) -> bool:
    """Let an Adam, AdamW or SGD with momentum update a variable by one kernel; whether it is one of them."""
    if type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW) and not optimizer.amsgrad:
        optimizer.apply = partial(_apply, optimizer, optimizer.apply, lambda: partial(_adam, optimizer, {}))
    elif type(optimizer) is keras.optimizers.SGD and optimizer.momentum:
        optimizer.apply = partial(_apply, optimizer, optimizer.apply, lambda: partial(_momentum, optimizer))
    else:
        return False
    return True


def _one_kernel_normalises(layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.input_spec.ndim == 4
        and layer.axis in (3, -1)
        and not (layer.synchronized or layer.renorm)
    )


def _batch_norm(layer, small, inputs, training=None, mask=None):
    """What keras.layers.BatchNormalization.call gives, statistics included. (n, h, w, c) -> (n, h, w, c)

    Maps of up to `small` numbers are normalised by `_normalised` in training.
    """
    channels = inputs.shape[-1]
    gamma = layer.gamma.value if layer.scale else tf.ones([channels])
    beta = layer.beta.value if layer.center else tf.zeros([channels])
    kernel = partial(tf.raw_ops.FusedBatchNormV3, x=inputs, scale=gamma, offset=beta, epsilon=layer.epsilon)
    mean, variance = layer.moving_mean.value, layer.moving_variance.value
    if not (training and layer.trainable):
        return kernel(mean=mean, variance=variance, is_training=False).y
    if inputs.dtype == tf.float32 and _numbers(inputs.shape[1:]) <= small:
        outputs, mean, variance = _normalised(inputs, gamma, beta, layer.epsilon)
    else:
        outputs, mean, variance, *_ = kernel(mean=tf.zeros([0]), variance=tf.zeros([0]), is_training=True)
        # The kernel divides the sum of squares by n - 1, Keras by n.
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        variance *= tf.maximum(count - 1, 1) / count
    for moving, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.value.assign_sub((moving - new) * (1 - layer.momentum))
    return outputs


def _numbers(shape) -> float:
    """How many numbers an array of this shape has; infinity where a side is not known."""
    return math.inf if None in shape else math.prod(shape)


def _normalised(inputs, gamma, beta, epsilon):
    """Normalised float32 (n, h, w, c), and the means and variances (c,), by operations that wake no thread.

    Means are products with a row of 1/n, which TensorFlow does faster than sums. The gradient is that of Ioffe &
    Szegedy 2015 (arXiv:1502.03167, section 3); none goes through the means and variances that are returned.
    """

    @tf.custom_gradient
    def normalise(x, gamma, beta):
        rows = tf.reshape(x, [-1, x.shape[-1]])
        count = tf.shape(rows)[0]
        shares = tf.fill([1, count], 1 / tf.cast(count, tf.float32))
        mean = tf.matmul(shares, rows)  # (1, c), as all that is a channel's
        centred = rows - mean
        variance = tf.matmul(shares, tf.square(centred))
        scale = tf.math.rsqrt(variance + epsilon)

        def gradient(upstream, *_):
            rows = tf.reshape(upstream, tf.shape(centred))
            by_beta, by_gamma = tf.matmul(shares, rows), tf.matmul(shares, rows * centred) * scale
            by_x = (rows - by_beta - centred * (scale * by_gamma)) * (gamma * scale)
            sums = [tf.reshape(each, [-1]) * tf.cast(count, tf.float32) for each in (by_gamma, by_beta)]
            return tf.reshape(by_x, tf.shape(x)), *sums

        outputs = tf.reshape(centred * (gamma * scale) + beta, tf.shape(x))
        return (outputs, tf.reshape(mean, [-1]), tf.reshape(variance, [-1])), gradient

    return normalise(inputs, gamma, beta)


def _gradient_is_a_convolution(layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.groups == 1
        and layer.dilation_rate == (1, 1)
        and (layer.strides == (1, 1) or (layer.kernel_size == (1, 1) and layer.strides[0] == layer.strides[1]))
        and layer.padding in ("same", "valid")
        and (layer.kernel_size == (1, 1) or not has_vnni())
    )


def _sees_a_small_map(layer) -> bool:
    if type(layer) not in (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D):
        return False
    sides = layer._inbound_nodes[0].input_tensors[0].shape[1:3]
    plain = layer.padding == "same" and layer.data_format == "channels_last" and layer.dilation_rate in (1, (1, 1))
    axes = zip(sides, layer.kernel_size, layer.strides, strict=True)
    return plain and None not in sides and any(n < k + s - 1 for n, k, s in axes)  # from there on oneDNN is slow


def _with_a_border(layer, inputs):
    """What the layer's own call gives, by the same kernel without padding on a map that has its border already.

    Onto one place, by `_at_one_place`.
    """
    axes = list(zip(inputs.shape[1:3], layer.kernel_size, layer.strides, strict=True))
    border = [same_padding(n, k, s) for n, k, s in axes]
    if type(layer) is keras.layers.SeparableConv2D:
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        outputs = keras.ops.separable_conv(_padded(inputs, border), *kernels, layer.strides, "valid")
    elif all(n <= s for n, _, s in axes) and inputs.dtype == tf.float32:
        outputs = _at_one_place(inputs, tf.convert_to_tensor(layer.kernel), border)
    else:
        outputs = keras.ops.depthwise_conv(_padded(inputs, border), layer.kernel, layer.strides, "valid")
    return layer.activation(outputs + layer.bias if layer.use_bias else outputs)


def _padded(inputs, border):
    return keras.ops.pad(inputs, [(0, 0), *border, (0, 0)])


def _at_one_place(inputs, kernel, border):
    """A depthwise convolution whose output is 1x1: the sum over the map, times what of the kernel lies on it."""
    (top, _), (left, _) = border
    _, height, width, channels = inputs.shape
    seen = kernel[top : top + height, left : left + width]
    outputs = tf.reduce_sum(inputs[..., None] * seen, [1, 2])
    return tf.reshape(outputs, [-1, 1, 1, channels * kernel.shape[3]])


def convolution(inputs, kernel, *, stride, padding):
    """The convolution of stride 1, or of 1x1 with any, with its gradients as convolutions of their own.

    The gradient by the input is the upstream gradient, convolved with the kernel turned by half a turn, its channels
    exchanged, in a border of (kernel - 1 - border) (Dumoulin & Visin 2016, relationship 8). The gradient by the kernel
    is a sum over examples and positions: the input, its channels as examples and its examples as channels, convolved
    with the upstream gradient as the kernel. Those of 1x1 are products of matrices.

    Args:
        inputs: (n, h, w, c), floats.
        kernel: (rows, columns, c, filters), of the same dtype.
        stride: of both axes; 1 unless the kernel is 1x1.
        padding: "same" or "valid".

    Returns:
        (n, h', w', filters), h' and w' as keras.layers.Conv2D has them.
    """
    # Eagerly Keras leaves a variable a variable, which a custom gradient does not take.
    inputs, kernel = (tf.convert_to_tensor(keras.ops.convert_to_tensor(each)) for each in (inputs, kernel))
    if stride > 1:  # of 1x1: the positions between are not looked at
        inputs = inputs[:, ::stride, ::stride]
    sides = kernel.shape[:2]
    before = [(side - 1) // 2 if padding == "same" else 0 for side in sides]
    border = [(b, side - 1 - b if padding == "same" else 0) for side, b in zip(sides, before, strict=True)]

    few_positions = _numbers(inputs.shape[1:3]) <= FEW_POSITIONS

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(upstream):
            if sides == (1, 1):
                matrix, *rows = (tf.reshape(each, [-1, each.shape[-1]]) for each in (kernel, x, upstream))
                by_input = tf.reshape(tf.matmul(rows[1], matrix, transpose_b=True), tf.shape(x))
                return by_input, tf.reshape(tf.matmul(*rows, transpose_a=True), kernel.shape)
            turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
            rest = [(side - 1 - b, side - 1 - a) for side, (b, a) in zip(sides, border, strict=True)]
            by_input = _convolve(upstream, turned, rest)
            # Not in half precision, whose sums over examples and positions TensorFlow's kernel takes in float32.
            if few_positions and x.shape[3] >= MANY_CHANNELS and x.dtype == tf.float32:
                by_kernel = _convolve(tf.transpose(x, [3, 1, 2, 0]), tf.transpose(upstream, [1, 2, 0, 3]), border)
                return by_input, tf.transpose(by_kernel, [1, 2, 0, 3])
            return by_input, tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=upstream, **_window(border)
            )

        if sides == (1, 1) and few_positions:
            rows, matrix = (tf.reshape(each, [-1, each.shape[-1]]) for each in (x, kernel))
            return tf.reshape(tf.matmul(rows, matrix), [-1, *x.shape[1:3], kernel.shape[-1]]), gradient
        return _convolve(x, kernel, border), gradient

    return convolve(inputs, kernel)


def _convolve(x, kernel, border):
    return tf.raw_ops.Conv2D(input=x, filter=kernel, **_window(border))


def _window(border):
    """TensorFlow's arguments for stride 1 and a border of (before, after) rows and columns."""
    if border[0][0] == border[0][1] == border[1][0] == border[1][1] == 0:
        return {"strides": [1] * 4, "padding": "VALID"}
    return {"strides": [1] * 4, "padding": "EXPLICIT", "explicit_paddings": [0, 0, *border[0], *border[1], 0, 0]}


def _apply(optimizer, apply, update_step, grads, trainable_variables=None):
    """Keras' own `apply`, with one look at the schedule, where Keras takes one for each variable with weight decay."""
    rate = optimizer._get_current_learning_rate()
    optimizer._get_current_learning_rate, optimizer.update_step = (lambda: rate), update_step()
    try:
        apply(grads, trainable_variables)
    finally:
        del optimizer._get_current_learning_rate, optimizer.update_step


def _adam(optimizer, powers, gradient, variable, learning_rate):
    """What keras.optimizers.Adam.update_step does. `powers` keeps those of its betas from variable to variable."""
    index, dtype = optimizer._get_variable_index(variable), variable.dtype
    if dtype not in powers:
        step = tf.cast(optimizer.iterations + 1, dtype)
        powers[dtype] = [tf.pow(tf.constant(beta, dtype), step) for beta in (optimizer.beta_1, optimizer.beta_2)]
    beta1_power, beta2_power = powers[dtype]
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=beta1_power,
        beta2_power=beta2_power,
        lr=tf.cast(learning_rate, dtype),
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        epsilon=optimizer.epsilon,
        grad=tf.cast(gradient, dtype),
    )


def _momentum(optimizer, gradient, variable, learning_rate):
    """What keras.optimizers.SGD.update_step does with momentum."""
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=optimizer.momentums[optimizer._get_variable_index(variable)].value.handle,
        lr=tf.cast(learning_rate, variable.dtype),
        grad=tf.cast(gradient, variable.dtype),
        momentum=optimizer.momentum,
        use_nesterov=optimizer.nesterov,
    )
