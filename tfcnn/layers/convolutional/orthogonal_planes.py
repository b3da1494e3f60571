"""2.5-D convolution: 2-D kernels on the three orthogonal planes through each voxel of a volume."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.costs import ConvCost, conv_cost
from tfcnn.arithmetic.integers import PerAxis
from tfcnn.layers.convolutional.convolution import Convolution, convolve
from tfcnn.layers.reshaping.padding import PaddingArgument

PLANES = ("axial", "coronal", "sagittal")  # plane i is cut at one place of axis i: depth, height, width
MERGES = ("sum", "concatenate")


@keras.saving.register_keras_serializable(package="tfcnn")
class OrthogonalPlanesConv3D(Convolution):
    """2.5-D convolution: around each voxel, a 2-D kernel on the axial, the coronal and the sagittal plane.

    The three planes cross at the voxel; their results are added or concatenated. It sees the voxel's surroundings in
    all directions for 3 k^2 weights where a 3-D kernel has k^3 (Roth et al., "A new 2.5D representation for lymph node
    detection using random sets of deep convolutional neural network observations", 2014, cut such planes as channels).
    Added, it is the 3-D convolution whose kernel is zero off the three planes.

    Args:
        filters: number of output maps of each plane.
        kernel_size: an integer, or one for depth, height and width: the axial kernel is height x width, the coronal
            one depth x width, the sagittal one depth x height.
        merge: "sum", or "concatenate" (axial, coronal, sagittal).
        strides, padding, padding_mode, dilation_rate: as of `PaddedConv2D`, for the box that holds the three planes.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as of Keras' Conv3D; the bias is added once, after merging.

    Input shape:
        (batch, depth, height, width, channels).

    Output shape:
        (batch, output depth, output height, output width, filters), or 3 * filters maps when concatenated, of the
        layer's compute dtype.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import keras
        >>> OrthogonalPlanesConv3D(4, 3, padding="half")(keras.ops.ones((1, 8, 8, 8, 2))).shape
        TensorShape([1, 8, 8, 8, 4])
    """

    dimensions = 3

    def __init__(
        self,
        filters: int,
        kernel_size: PerAxis,
        strides: PerAxis = 1,
        padding: PaddingArgument = "none",
        *,
        merge: str = "sum",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, **kwargs)
        if merge not in MERGES:
            raise ValueError(f"merge must be one of {', '.join(MERGES)}; got {merge!r}")
        self.merge = merge

    def build_kernels(self, input_shape: tuple) -> None:
        self.kernels = []
        for i, plane in enumerate(PLANES):
            initializer = self.another_initializer() if i else None
            shape = (*self._extent(i), input_shape[-1], self.filters)
            self.kernels.append(self.add_kernel(f"{plane}_kernel", shape, initializer))

    def _extent(self, axis: int) -> tuple[int, ...]:
        """The size of the kernel of the plane across `axis`."""
        return tuple(1 if i == axis else k for i, k in enumerate(self.kernel_size))

    def convolve(self, inputs: Any) -> Any:
        padded = self.pad(inputs)
        planes = []
        for axis, kernel in enumerate(self.kernels):
            before = (self.effective_size[axis] - 1) // 2  # from the box's edge to the voxel
            after = self.effective_size[axis] - 1 - before
            middle = [slice(None)] * len(padded.shape)
            middle[axis + 1] = slice(before, -after or None)
            planes.append(convolve(padded[tuple(middle)], kernel, self.strides, self.dilation_rate))
        if self.merge == "concatenate":
            return ops.concatenate(planes, axis=-1)
        return planes[0] + planes[1] + planes[2]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        *sizes, filters = super().compute_output_shape(input_shape)
        return (*sizes, len(PLANES) * filters if self.merge == "concatenate" else filters)

    def cost(self, input_shape: tuple, output_shape: tuple) -> ConvCost:
        """Three plane convolutions; for merge="sum" two sums, and a bias, for each output value."""
        places = math.prod(output_shape[1:-1])
        planes = [conv_cost(self._extent(i), input_shape[-1], self.filters, places, bias=False) for i in range(3)]
        total = ConvCost(*map(sum, zip(*planes, strict=True)))
        filters = output_shape[-1]
        biases = filters if self.use_bias else 0
        merging = (len(PLANES) - 1) * filters if self.merge == "sum" else 0
        return total._replace(
            parameters=total.parameters + biases,
            additions=total.additions + (merging + biases) * places,
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"merge": self.merge}
