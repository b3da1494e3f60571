"""Max pooling that also returns where the maxima were."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfcnn.layers.pooling import switches, tensorflow_switches, windows


class MaxPoolingWithArgmax(windows.WindowedLayer):
    """Base of `MaxPoolingWithArgmax1D`, `2D` and `3D`."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        if compiled := tensorflow_switches.compiler(training):
            return tensorflow_switches.pool(inputs, self.axes, compiled)
        axes = self.axes(ops.shape(inputs)[1:-1])
        values, offsets = switches.maxima(inputs, axes)
        return [values, switches.to_indices(offsets, axes)]

    def compute_output_shape(self, input_shape: tuple) -> list[tuple]:
        return [self.pooled_shape(input_shape)] * 2

    def compute_output_spec(self, inputs: Any, training: bool = False) -> list[keras.KerasTensor]:
        shape = self.pooled_shape(inputs.shape)
        return [keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(shape, "int32")]


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxPoolingWithArgmax1D(MaxPoolingWithArgmax):
    """Max pooling over time that also returns the place of each maximum, for `MaxUnpooling1D`.

    As `MaxPoolingWithArgmax2D`, with indices `x * C + c`.

    Args:
        pool_size, strides, padding: as in keras.layers.MaxPooling1D.

    Input shape:
        (batch, steps, channels), floating point.

    Output shape:
        [values, indices], both (batch, new steps, channels); values in the layer's dtype, indices int32.

    Raises:
        ValueError: an argument is out of range, or padding is "valid" and the window larger than the input.

    Example:
        >>> import keras
        >>> values, indices = MaxPoolingWithArgmax1D()(keras.ops.reshape([1.0, 3.0, 4.0, 2.0], (1, 4, 1)))
        >>> values.numpy().ravel().tolist(), indices.numpy().ravel().tolist()
        ([3.0, 4.0], [1, 2])
    """

    dimensions = 1


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxPoolingWithArgmax2D(MaxPoolingWithArgmax):
    """Max pooling that also returns the place of each maximum (its switch), for `MaxUnpooling2D`.

    The values are those of keras.layers.MaxPooling2D. The indices are those of `tf.nn.max_pool_with_argmax` without
    the batch, `(y * W + x) * C + c`: of equal maxima in a window the first, row by row, wins, and it alone receives
    the gradient. Unlike that op this layer compiles under XLA, runs on JAX and exports to LiteRT with builtin
    operators. An image may hold up to 2**31 values.

    NaN spreads, as in PyTorch's MaxPool2d: a window with NaN gives NaN, and the index of its last one, row by row
    (aten/src/ATen/native/cpu/MaxPoolKernel.cpp: `(val > maxval) || std::isnan(val)`). Keras' pooling passes over NaN
    or not, by backend and kernel.

    Args:
        pool_size, strides, padding: as in keras.layers.MaxPooling2D.

    Input shape:
        (batch, height, width, channels), floating point.

    Output shape:
        [values, indices], both (batch, new height, new width, channels); values in the layer's dtype, indices int32.

    Raises:
        ValueError: an argument is out of range, or padding is "valid" and the window larger than the input.

    Example:
        >>> import keras
        >>> values, indices = MaxPoolingWithArgmax2D()(keras.ops.reshape([1.0, 2.0, 4.0, 3.0], (1, 2, 2, 1)))
        >>> values.numpy().item(), indices.numpy().item()
        (4.0, 2)
    """

    dimensions = 2


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxPoolingWithArgmax3D(MaxPoolingWithArgmax):
    """Max pooling of volumes that also returns the place of each maximum, for `MaxUnpooling3D`.

    As `MaxPoolingWithArgmax2D`, with indices `((z * H + y) * W + x) * C + c`.

    Args:
        pool_size, strides, padding: as in keras.layers.MaxPooling3D.

    Input shape:
        (batch, depth, height, width, channels), floating point.

    Output shape:
        [values, indices], both (batch, new depth, new height, new width, channels); values in the layer's dtype,
        indices int32.

    Raises:
        ValueError: an argument is out of range, or padding is "valid" and the window larger than the input.

    Example:
        >>> import keras
        >>> values, indices = MaxPoolingWithArgmax3D()(keras.ops.reshape(keras.ops.arange(8.0), (1, 2, 2, 2, 1)))
        >>> values.numpy().item(), indices.numpy().item()
        (7.0, 7)
    """

    dimensions = 3
