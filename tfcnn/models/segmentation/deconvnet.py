"""DeconvNet: Noh, Hong & Han, "Learning deconvolution network for semantic segmentation", 2015.

Table 1: VGG-16 with fc6, fc7 as convolutions, mirrored by transposed convolutions and unpooling by the switches of the
max poolings, batch norm everywhere. At 224x224 pixels fc6 sees the whole last map of 7x7; smaller images have a smaller
one and get an fc6 of that size. Poolings of odd sizes keep the last row and column. Differences from the paper: none in
the network; `levels` is an addition, for small images. The paper trains it in two stages and joins the predictions of
50 object proposals.
"""

from __future__ import annotations

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.models.blocks import Style, bn, conv_bn
from tfcnn.models.classification import vgg
from tfcnn.models.segmentation.segnet import check_levels, trunk, unpool

FC6 = 7


def deconv_bn(
    x: keras.KerasTensor, filters: int, kernel: int | tuple[int, ...] = 3, padding: str = "same", *, style: Style
) -> keras.KerasTensor:
    """Transposed convolution, batch norm, ReLU. (h, w, c) -> (h, w, filters), or h + kernel - 1 with "valid\""""
    x = layers.Conv2DTranspose(filters, kernel, padding=padding, kernel_initializer="he_normal")(x)
    return bn(x, style=style)


def deconvnet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 21,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    levels: int = 5,
    bn_momentum: float = 0.9,
    name: str = "deconvnet",
) -> keras.Model:
    """DeconvNet.

    Args:
        input_shape: (height, width, channels), at least 32 pixels a side, or None for any from 7 * 2 ** levels on.
        num_classes: logits at each pixel.
        width: multiplier of the filters, those of fc6 and fc7 included.
        depth: multiplier of the convolutions in each block of both halves.
        levels: poolings, 1 to 5. The paper's 5 leave 3x3 positions of an image of 96 pixels, of which fc6 makes one.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, height, width, num_classes). The
        maps before each pooling are named stage1 ... stage5 (strides 1, 2, 4, 8, 16).

    Raises:
        ValueError: `levels` is none of these.
    """
    check_levels(levels)
    style = Style(bn_momentum=bn_momentum, bias=True)
    repeats = [scale_depth(n, depth) for n in vgg.D[:levels]]
    filters = [scale_width(f, width) for f in vgg.FILTERS[:levels]]
    units = scale_width(4096, width)

    inputs = keras.Input(input_shape)  # 224, 224, 3
    *stages, x = trunk(inputs, repeats=repeats, filters=filters, style=style)  # 224, 224, 64 ... 7, 7, 512
    kernel = tuple(min(size or FC6, FC6) for size in x.shape[1:-1])
    x = layers.Conv2D(units, kernel, kernel_initializer="he_normal", name="fc6")(x)  # 1, 1, 4096
    x = conv_bn(bn(x, style=style), units, 1, style=style)  # fc7
    x = deconv_bn(x, filters[-1], kernel, "valid", style=style)  # 7, 7, 512
    for before, n, f, f_above in reversed(list(zip(stages, repeats, filters, filters[:1] + filters, strict=False))):
        x = unpool(x, before)  # 14, 14, 512 ... 224, 224, 64
        for i in range(n):
            x = deconv_bn(x, f_above if i == n - 1 else f, style=style)
    outputs = layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x)  # 224, 224, 21
    return keras.Model(inputs, outputs, name=name)


VARIANTS = {"deconvnet": deconvnet}
