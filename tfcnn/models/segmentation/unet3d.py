"""3D U-Net: Cicek, Abdulkadir, Lienkamp, Brox & Ronneberger, "3D U-Net: learning dense volumetric segmentation from
sparse annotation", 2016.

Figure 2: 132x132x116 voxels of 3 channels become 44x44x28. Filters double before each pooling, and up-convolutions keep
them. form="paper" is the figure, without padding; form="same" pads. form="paper" takes sides of 92, 100, 108, ...
voxels; volumes with other sides get form="same" by default.

The paper's 19,069,955 parameters are those of its convolutions, with up-convolutions that have no bias. Its batch norm
before each ReLU is `batch_norm=True`, which replaces the biases. Differences from the paper: batch norm is off by
default; the loss, which leaves out unlabelled voxels, is the caller's (`sample_weight`).

`convolution`: "3d", kernels of 3x3x3 (27 weights), or 2.5 dimensions: "orthogonal", 3x3 kernels on the three planes
through the voxel, 27 weights as well, which see no voxel that differs in all three coordinates; "separable", 3x3x1,
then 1x1x3, 12 weights.
"""

from __future__ import annotations

from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.layers import OrthogonalPlanesConv3D
from tfcnn.models.segmentation.unet import check_tile, expand, is_tile, trunk

# Figure 2: filters of the two convolutions of each level, on the way down. On the way up both have the second number.
FILTERS = ((32, 64), (64, 128), (128, 256), (256, 512))


def conv3d(
    x: keras.KerasTensor,
    filters: int,
    *,
    convolution: str,
    form: str,
    batch_norm: bool,
    bn_momentum: float,
    name: str | None = None,
) -> keras.KerasTensor:
    """A convolution that sees 3x3x3 voxels, batch norm where wanted, ReLU. (d, h, w, c) -> (d, h, w, filters)

    Without padding each side is 2 voxels shorter.
    """
    padding = "valid" if form == "paper" else "same"
    bias = not batch_norm
    if convolution == "orthogonal":
        conv = OrthogonalPlanesConv3D(filters, 3, padding=padding, use_bias=bias, kernel_initializer="he_normal")
    elif convolution == "separable":
        x = layers.Conv3D(filters, (3, 3, 1), padding=padding, use_bias=False, kernel_initializer="he_normal")(x)
        conv = layers.Conv3D(filters, (1, 1, 3), padding=padding, use_bias=bias, kernel_initializer="he_normal")
    else:
        conv = layers.Conv3D(filters, 3, padding=padding, use_bias=bias, kernel_initializer="he_normal")
    x = conv(x)
    if batch_norm:
        x = layers.BatchNormalization(momentum=bn_momentum)(x)
    return layers.ReLU(name=name)(x)


def unet3d(
    input_shape: tuple[int | None, ...] = (132, 132, 116, 3),
    num_classes: int = 3,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    form: str | None = None,
    convolution: str = "3d",
    batch_norm: bool = False,
    bn_momentum: float = 0.9,
    name: str = "unet3d",
) -> keras.Model:
    """3D U-Net.

    Args:
        input_shape: three spatial sizes and the channels, at least 8 voxels a side.
        num_classes: logits at each voxel.
        width: multiplier of all filters.
        depth: multiplier of the two convolutions in each level and direction.
        form: "paper" or "same"; default: the paper's where all sides fit it; see the module's docstring.
        convolution: "3d", "orthogonal" or "separable"; see the module's docstring.
        batch_norm: normalise after each convolution.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, *sizes, channels) -> float32 logits (batch, *sizes, num_classes), less 88 voxels a side in
        form="paper". The maps of the analysis path are named stage1 ... stage4 (strides 1, 2, 4, 8).

    Raises:
        ValueError: form="paper" does not take the size.
    """
    choose("convolution", convolution, ("3d", "orthogonal", "separable"))
    levels = len(FILTERS)
    convs = scale_depth(2, depth)
    if form is None:
        form = "paper" if all(is_tile(size, levels, convs) for size in input_shape[:-1]) else "same"
    if choose("form", form, ("paper", "same")) == "paper":
        check_tile(input_shape[:-1], levels, convs)
    rows = [(scale_width(few, width),) * (convs - 1) + (scale_width(many, width),) for few, many in FILTERS]
    unit = partial(conv3d, convolution=convolution, form=form, batch_norm=batch_norm, bn_momentum=bn_momentum)

    inputs = keras.Input(input_shape)  # 132, 132, 116, 3
    stages = trunk(inputs, filters=rows, unit=unit)  # 128, 128, 112, 64 ... 9, 9, 7, 512
    x = expand(
        stages,
        filters=[row[-1:] * convs for row in rows[:-1]],
        up_filters=[row[-1] for row in rows[1:]],
        unit=unit,
        use_bias=False,
    )  # 44, 44, 28, 64
    outputs = layers.Conv3D(num_classes, 1, dtype="float32", name="logits")(x)  # 44, 44, 28, 3
    return keras.Model(inputs, outputs, name=name)


VARIANTS = {"unet3d": unet3d}
