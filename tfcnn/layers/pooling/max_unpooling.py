"""Max unpooling: values go back to where the maxima of a pooling were, and zeros everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import PerAxis, as_tuple
from tfcnn.layers.pooling import switches, tensorflow_switches, windows
from tfcnn.layers.pooling.windows import Axis


class MaxUnpooling(windows.WindowedLayer):
    """Base of `MaxUnpooling1D`, `2D` and `3D`."""

    def __init__(
        self,
        pool_size: PerAxis = 2,
        strides: PerAxis | None = None,
        padding: str = "valid",
        output_size: PerAxis | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, **kwargs)
        self.output_size = None if output_size is None else as_tuple(output_size, self.dimensions, "output_size")
        self.input_spec = [self.input_spec] * 2

    def call(self, inputs: Any, training: bool = False) -> Any:
        values, indices = inputs
        indices = ops.cast(indices, "int32")
        if compiled := tensorflow_switches.compiler(training):
            return tensorflow_switches.unpool(values, indices, self.unpooled_axes, compiled)
        axes = self.unpooled_axes(ops.shape(values)[1:-1])
        return switches.place(values, switches.to_offsets(indices, axes), axes)

    def unpooled_axes(self, pooled: Sequence) -> list[Axis]:
        """The windows over the output, from the number of values along each axis."""
        sizes: Sequence | None = self.output_size
        if sizes is None:
            last = self.strides if self.padding == "same" else self.pool_size  # cells of the last window
            rows = zip(pooled, self.strides, last, strict=True)
            sizes = [None if n is None else (n - 1) * stride + cells for n, stride, cells in rows]
        return _checked(self.axes(sizes), pooled)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, *pooled, channels = input_shape[0]
        return (batch, *(along.size for along in self.unpooled_axes(pooled)), channels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output_size": self.output_size}


class MaxUnpoolingLike(windows.WindowedLayer):
    """Base of `MaxUnpoolingLike1D`, `2D` and `3D`."""

    def __init__(
        self, pool_size: PerAxis = 2, strides: PerAxis | None = None, padding: str = "valid", **kwargs: Any
    ) -> None:
        super().__init__(pool_size, strides, padding, **kwargs)
        self.input_spec = [self.input_spec] * 2

    def call(self, inputs: Any, training: bool = False) -> Any:
        values, like = inputs
        axes = _checked(self.axes(ops.shape(like)[1:-1]), ops.shape(values)[1:-1])
        if compiled := tensorflow_switches.compiler(training):
            return tensorflow_switches.unpool_like(values, like, self.axes, compiled)
        _, offsets = switches.maxima(like, axes)
        return switches.place(values, offsets, axes)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        values, like = input_shape
        _checked(self.axes(like[1:-1]), values[1:-1])
        return (values[0], *like[1:-1], values[-1])


def _checked(axes: list[Axis], pooled: Sequence) -> list[Axis]:
    """`axes`. Raises ValueError unless there is one value for each of their windows."""
    for name, along, count in zip("zyx"[-len(axes) :], axes, pooled, strict=True):
        if isinstance(along.count, int) and isinstance(count, int) and along.count != count:
            raise ValueError(
                f"an output of {along.size} along {name} has {along.count} windows of {along.pool} with strides of "
                f"{along.stride}, but there are {count} values: give the output_size, pool_size, strides and padding "
                "of the pooling"
            )
    return axes


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxUnpooling1D(MaxUnpooling):
    """Puts pooled values back to the places of the maxima along time, zeros everywhere else.

    As `MaxUnpooling2D`, with the indices of `MaxPoolingWithArgmax1D`.

    Args:
        pool_size, strides, padding: those of the pooling.
        output_size: an integer: the size of the pooling's input; by default as in `MaxUnpooling2D`.

    Input shape:
        [values, indices], both (batch, steps, channels); indices integer.

    Output shape:
        (batch, new steps, channels), the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or output_size does not have as many windows as there are values.

    Example:
        >>> import keras
        >>> from tfcnn.layers import MaxPoolingWithArgmax1D
        >>> values, indices = MaxPoolingWithArgmax1D()(keras.ops.reshape([1.0, 3.0, 4.0, 2.0], (1, 4, 1)))
        >>> MaxUnpooling1D()([values, indices]).numpy().ravel().tolist()
        [0.0, 3.0, 4.0, 0.0]
    """

    dimensions = 1


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxUnpooling2D(MaxUnpooling):
    """Puts pooled values back to the places of the maxima, zeros everywhere else.

    Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2014; SegNet; DeconvNet. `indices` are
    those of `MaxPoolingWithArgmax2D` with the same pool_size, strides and padding, and count in an image of the
    output's size: `(y * W + x) * C + c`. Where the encoder's input is at hand, `MaxUnpoolingLike2D` needs no indices.

    An index outside its window is left out. Where windows overlap, several may name one cell: it keeps the value
    of the last of them, row by row, as PyTorch's MaxUnpool2d does on a CPU, and only that value receives the cell's
    gradient. Values that come straight from the pooling are equal there, so that nothing depends on the order.

    Args:
        pool_size, strides, padding: those of the pooling.
        output_size: two integers or one for both: the size of the pooling's input. Without it the smallest size that
            padding="valid" allows, (n - 1) * stride + pool_size, or n * stride for "same". Needed wherever the input
            was of another size (a side of 7, windows of 2): its indices count in rows of that size.

    Input shape:
        [values, indices], both (batch, height, width, channels); indices integer.

    Output shape:
        (batch, new height, new width, channels), the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or output_size does not have as many windows as there are values.

    Example:
        >>> import keras
        >>> from tfcnn.layers import MaxPoolingWithArgmax2D
        >>> values, indices = MaxPoolingWithArgmax2D()(keras.ops.reshape([1.0, 2.0, 4.0, 3.0], (1, 2, 2, 1)))
        >>> MaxUnpooling2D()([10 * values, indices]).numpy()[0, :, :, 0].tolist()
        [[0.0, 0.0], [40.0, 0.0]]
    """

    dimensions = 2


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxUnpooling3D(MaxUnpooling):
    """Puts pooled values back to the places of the maxima in a volume, zeros everywhere else.

    As `MaxUnpooling2D`, with the indices of `MaxPoolingWithArgmax3D`.

    Args:
        pool_size, strides, padding: those of the pooling.
        output_size: three integers or one for all: the size of the pooling's input; by default as in `MaxUnpooling2D`.

    Input shape:
        [values, indices], both (batch, depth, height, width, channels); indices integer.

    Output shape:
        (batch, new depth, new height, new width, channels), the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or output_size does not have as many windows as there are values.

    Example:
        >>> import keras
        >>> from tfcnn.layers import MaxPoolingWithArgmax3D
        >>> values, indices = MaxPoolingWithArgmax3D()(keras.ops.reshape(keras.ops.arange(8.0), (1, 2, 2, 2, 1)))
        >>> MaxUnpooling3D()([values, indices]).numpy().ravel().tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 7.0]
    """

    dimensions = 3


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxUnpoolingLike1D(MaxUnpoolingLike):
    """Puts values to where another tensor has the maxima of its windows, zeros everywhere else.

    As `MaxUnpoolingLike2D`, along time.

    Args:
        pool_size, strides, padding: those of the pooling.

    Input shape:
        [values, like]: (batch, steps, channels) and (batch, new steps, channels).

    Output shape:
        The shape of `like`, the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or `like` does not have as many windows as there are values.

    Example:
        >>> import keras
        >>> x = keras.ops.reshape([1.0, 3.0, 4.0, 2.0], (1, 4, 1))
        >>> MaxUnpoolingLike1D()([keras.ops.ones((1, 2, 1)), x]).numpy().ravel().tolist()
        [0.0, 1.0, 1.0, 0.0]
    """

    dimensions = 1


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxUnpoolingLike2D(MaxUnpoolingLike):
    """Puts values to where another tensor has the maxima of its windows, zeros everywhere else.

    `MaxUnpoolingLike2D(...)([values, like])` is `MaxUnpooling2D(..., output_size=size of like)([values, indices])`
    with the indices of `MaxPoolingWithArgmax2D(...)(like)`, and needs no indices: `like` is the input of the encoder's
    pooling, which may be keras.layers.MaxPooling2D. The output has the size of `like`, odd sizes included, known when
    the model is built or not. `like` only says places and receives no gradient.

    Args:
        pool_size, strides, padding: those of the pooling.

    Input shape:
        [values, like]: (batch, height, width, channels) and (batch, new height, new width, channels).

    Output shape:
        The shape of `like`, the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or `like` does not have as many windows as there are values.

    Example:
        >>> import keras
        >>> x = keras.ops.reshape([1.0, 2.0, 4.0, 3.0], (1, 2, 2, 1))
        >>> MaxUnpoolingLike2D()([keras.ops.ones((1, 1, 1, 1)), x]).numpy()[0, :, :, 0].tolist()
        [[0.0, 0.0], [1.0, 0.0]]
    """

    dimensions = 2


@keras.saving.register_keras_serializable(package="tfcnn")
class MaxUnpoolingLike3D(MaxUnpoolingLike):
    """Puts values to where another tensor has the maxima of its windows, zeros everywhere else.

    As `MaxUnpoolingLike2D`, in a volume.

    Args:
        pool_size, strides, padding: those of the pooling.

    Input shape:
        [values, like]: (batch, depth, height, width, channels) and (batch, new depth, new height, new width, channels).

    Output shape:
        The shape of `like`, the layer's dtype.

    Raises:
        ValueError: an argument is out of range, or `like` does not have as many windows as there are values.

    Example:
        >>> import keras
        >>> x = keras.ops.reshape(keras.ops.arange(8.0), (1, 2, 2, 2, 1))
        >>> MaxUnpoolingLike3D()([keras.ops.ones((1, 1, 1, 1, 1)), x]).numpy().ravel().tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    """

    dimensions = 3
