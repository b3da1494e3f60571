"""Convolution with any padding, and with stride and dilation together: the base of the other convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.costs import ConvCost, conv_cost
from tfcnn.arithmetic.integers import PerAxis, as_int, as_tuple
from tfcnn.arithmetic.sizes import conv_output_size
from tfcnn.layers.reshaping.padding import PaddingArgument, check_fits, check_padding, explicit_padding, pad


def convolve(inputs: Any, kernel: Any, strides: tuple[int, ...], dilation_rate: tuple[int, ...]) -> Any:
    """Convolution without padding, of maps with as many channels as the kernel takes or a multiple (groups).

    Keras refuses strides together with dilation. Their common divisor skips input pixels that no position reads; where
    both remain, the dilated convolution is computed at every position and the strides pick from it. Keras' own
    grouped convolution compiles one XLA program a call on a CPU (50 to 200 times slower than this) and exports an
    invalid ONNX file: groups are split and concatenated here.
    """
    groups = inputs.shape[-1] // kernel.shape[-2]
    if groups > 1:
        parts = zip(ops.split(inputs, groups, axis=-1), ops.split(kernel, groups, axis=-1), strict=True)
        return ops.concatenate([convolve(part, k, strides, dilation_rate) for part, k in parts], axis=-1)
    common = [math.gcd(s, d) for s, d in zip(strides, dilation_rate, strict=True)]
    inputs = every(inputs, common)
    strides = tuple(s // c for s, c in zip(strides, common, strict=True))
    dilation_rate = tuple(d // c for d, c in zip(dilation_rate, common, strict=True))
    if max(strides) > 1 and max(dilation_rate) > 1:
        return every(convolve(inputs, kernel, (1,) * len(strides), dilation_rate), strides)
    return ops.conv(inputs, kernel, strides, "valid", data_format="channels_last", dilation_rate=dilation_rate)


def every(inputs: Any, steps: Sequence[int]) -> Any:
    """Each `steps`-th pixel of the spatial axes."""
    if max(steps) == 1:
        return inputs
    return inputs[(slice(None), *(slice(None, None, step) for step in steps))]


class Convolution(keras.layers.Layer):
    """The arguments, padding, bias and activation of a convolution; a subclass adds kernels and convolves with them."""

    dimensions = 2

    def __init__(
        self,
        filters: int,
        kernel_size: PerAxis,
        strides: PerAxis = 1,
        padding: PaddingArgument = "none",
        padding_mode: str = "zero",
        dilation_rate: PerAxis = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = as_int(filters, "filters")
        self.kernel_size = as_tuple(kernel_size, self.dimensions, "kernel_size")
        self.strides = as_tuple(strides, self.dimensions, "strides")
        self.dilation_rate = as_tuple(dilation_rate, self.dimensions, "dilation_rate")
        if padding == "same" and max(self.strides) > 1:
            raise ValueError("padding='same' with strides is asymmetric in TensorFlow: use 'half', which is symmetric")
        self.padding = check_padding(padding, padding_mode, self.dimensions)
        self.padding_mode = padding_mode
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.effective_size = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))
        self.amounts = explicit_padding(self.padding, self.effective_size)
        self.input_spec = keras.layers.InputSpec(ndim=self.dimensions + 2)

    def build(self, input_shape: tuple) -> None:
        if input_shape[-1] is None:
            raise ValueError(f"{self.name}: the number of channels must be known, got the shape {tuple(input_shape)}")
        self.input_spec = keras.layers.InputSpec(ndim=self.dimensions + 2, axes={-1: input_shape[-1]})
        self.build_kernels(input_shape)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_bias("bias", self.compute_output_shape(input_shape)[-1:])

    def build_kernels(self, input_shape: tuple) -> None:
        self.kernel = self.add_kernel("kernel", (*self.kernel_size, input_shape[-1], self.filters))

    def add_kernel(self, name: str, shape: tuple, initializer: Any = None) -> Any:
        return self.add_weight(
            shape,
            name=name,
            initializer=initializer or self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def add_bias(self, name: str, shape: tuple) -> Any:
        return self.add_weight(
            shape,
            name=name,
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def another_initializer(self) -> Any:
        """The kernel initialiser for another kernel: an unseeded one draws new values."""
        initializer = self.kernel_initializer
        return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer

    def call(self, inputs: Any) -> Any:
        outputs = self.convolve(inputs)
        return self.activation(outputs if self.bias is None else ops.add(outputs, self.bias))

    def convolve(self, inputs: Any) -> Any:
        return convolve(self.pad(inputs), self.kernel, self.strides, self.dilation_rate)

    def pad(self, inputs: Any) -> Any:
        return pad(inputs, self.amounts, self.padding_mode)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        check_fits(input_shape, self.amounts, self.padding_mode)
        axes = zip(input_shape[1:-1], self.amounts, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        sizes = (n if n is None else conv_output_size(n + sum(pair), k, s, 0, d) for n, pair, k, s, d in axes)
        return (input_shape[0], *sizes, self.filters)

    def cost(self, input_shape: tuple, output_shape: tuple) -> ConvCost:
        """The cost of one example; `tfcnn.cost` calls it."""
        groups = input_shape[-1] // self.kernel.shape[-2]
        places = math.prod(output_shape[1:-1])
        return conv_cost(self.kernel_size, input_shape[-1], self.filters, places, groups=groups, bias=self.use_bias)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "kernel_size", "strides", "padding", "padding_mode", "dilation_rate", "use_bias")
        config = super().get_config() | {name: getattr(self, name) for name in names}
        config["activation"] = keras.activations.serialize(self.activation)
        for weight in ("kernel", "bias"):
            for kind in (keras.initializers, keras.regularizers, keras.constraints):
                name = f"{weight}_{kind.__name__.rpartition('.')[2].removesuffix('s')}"
                config[name] = kind.serialize(getattr(self, name))
        return config


class _PaddedConv(Convolution):
    """The convolutions' common part: `Convolution` with groups."""

    def __init__(
        self,
        filters: int,
        kernel_size: PerAxis,
        strides: PerAxis = 1,
        padding: PaddingArgument = "none",
        *,
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, **kwargs)
        self.groups = as_int(groups, "groups")
        if self.filters % self.groups:
            raise ValueError(f"filters must be a multiple of groups={self.groups}, got {self.filters}")

    def build_kernels(self, input_shape: tuple) -> None:
        if input_shape[-1] % self.groups:
            raise ValueError(f"{self.name}: {input_shape[-1]} channels cannot be divided into {self.groups} groups")
        super().build_kernels((*input_shape[:-1], input_shape[-1] // self.groups))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"groups": self.groups}


@keras.saving.register_keras_serializable(package="tfcnn")
class PaddedConv1D(_PaddedConv):
    """Convolution of sequences with any padding, stride, dilation and groups; `PaddedConv2D` explains the arguments.

    Input shape:
        (batch, length, channels).

    Output shape:
        (batch, output length, filters), of the layer's compute dtype.

    Raises:
        ValueError: as of `PaddedConv2D`.

    Example:
        >>> import keras
        >>> PaddedConv1D(8, 3, padding="full", dilation_rate=2)(keras.ops.ones((1, 100, 2))).shape
        TensorShape([1, 104, 8])
    """

    dimensions = 1


@keras.saving.register_keras_serializable(package="tfcnn")
class PaddedConv2D(_PaddedConv):
    """Convolution of images with any padding, and with stride, dilation and groups in any combination.

    torch.nn.Conv2d(padding=..., padding_mode=...) with Keras' kernel layout. Keras' Conv2D pads with zeros by two
    rules, and refuses strides together with dilation.

    Groups are split and concatenated, which exports everywhere (Keras' `Conv2D(groups=...)` gives an invalid ONNX
    file) and trains 50 times faster than Keras' on a CPU.

    Args:
        filters: number of output maps.
        kernel_size: an integer, or one for each axis.
        groups: number of parts of the channels and filters; each filter sees the channels of its part.
        strides: an integer, or one for each axis.
        padding: pixels for every side, a (before, after) pair for each axis, or "none", "half", "full" (`Padding2D`).
            "half" keeps the size of odd kernels at stride 1; with strides it is symmetric (PyTorch), unlike Keras'
            "same", which is accepted as a synonym at stride 1 only. "valid" is a synonym of "none".
        padding_mode: "zero", "replicate", "reflect" or "circular" (`Padding2D`).
        dilation_rate: distance between the kernel's taps, an integer or one for each axis.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as of Keras' Conv2D.

    Input shape:
        (batch, height, width, channels).

    Output shape:
        (batch, output height, output width, filters), of the layer's compute dtype; sizes are those of
        `tfcnn.arithmetic.conv_output_size`.

    Raises:
        ValueError: an argument out of its range, channels that cannot be divided into the groups, or a map smaller
            than the kernel.

    Example:
        >>> import keras
        >>> layer = PaddedConv2D(8, 3, strides=2, dilation_rate=2, padding="half", padding_mode="reflect", groups=2)
        >>> layer(keras.ops.ones((1, 28, 28, 4))).shape
        TensorShape([1, 14, 14, 8])
    """

    dimensions = 2


@keras.saving.register_keras_serializable(package="tfcnn")
class PaddedConv3D(_PaddedConv):
    """Convolution of volumes with any padding, stride, dilation and groups; `PaddedConv2D` explains the arguments.

    Input shape:
        (batch, depth, height, width, channels).

    Output shape:
        (batch, output depth, output height, output width, filters), of the layer's compute dtype.

    Raises:
        ValueError: as of `PaddedConv2D`.

    Example:
        >>> import keras
        >>> PaddedConv3D(4, 3, padding=1, padding_mode="circular")(keras.ops.ones((1, 8, 8, 8, 2))).shape
        TensorShape([1, 8, 8, 8, 4])
    """

    dimensions = 3
