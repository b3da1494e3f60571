"""U-Net: Ronneberger, Fischer & Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015.

Figure 1. form="paper" is the figure: convolutions without padding, so that 572 pixels become 388, and skip connections
cut to the middle. form="same", the plain network as it is widely used, pads with zeros and gives a map as large as the
image. Dropout is where the authors' published network has it, at the end of the contracting path: after the last
convolution of its two deepest levels. Differences from the paper: none in form="paper"; `levels`, `decoder` and
`batch_norm` are additions. Where 2^(levels - 1) does not divide the size, poolings of form="same" keep the last row and
column, and the up-convolution is cut to its skip connection.

The lectures' ways up from a coarse map, `decoder`, all with as many parameters:

    transposed    the paper's 2x2 transposed convolution of stride 2
    upsampling    bilinear interpolation, then a 2x2 convolution
    unpooling     a 2x2 convolution, then each value to where the pooling of the skip connection found its maximum

With `encoder` a classification network is the contracting path, and tfcnn.models.segmentation.encoder_unet has the
expansive path.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.errors import choose
from tfcnn.layers import CropLike, MaxUnpoolingLike2D
from tfcnn.models import registry
from tfcnn.models.backbones import backbone_arguments
from tfcnn.models.segmentation import encoder_unet

Unit = Callable[..., keras.KerasTensor]  # a convolution with the layers after it: unit(x, filters, name=...)

# By the number of a map's axes, batch and channels included.
CONV = {3: layers.Conv1D, 4: layers.Conv2D, 5: layers.Conv3D}
UP_CONV = {3: layers.Conv1DTranspose, 4: layers.Conv2DTranspose, 5: layers.Conv3DTranspose}
DECODERS = ("transposed", "upsampling", "unpooling")
POOL = {3: layers.MaxPooling1D, 4: layers.MaxPooling2D, 5: layers.MaxPooling3D}


def conv_relu(
    x: keras.KerasTensor,
    filters: int,
    *,
    form: str,
    batch_norm: bool,
    bn_momentum: float = 0.9,
    name: str | None = None,
) -> keras.KerasTensor:
    """A convolution of side 3, batch norm where wanted, ReLU. (h, w, c) -> (h, w, filters), or h - 2, w - 2"""
    padding = "valid" if form == "paper" else "same"
    x = CONV[len(x.shape)](filters, 3, padding=padding, use_bias=not batch_norm, kernel_initializer="he_normal")(x)
    if batch_norm:
        x = layers.BatchNormalization(momentum=bn_momentum)(x)
    return layers.ReLU(name=name)(x)


def trunk(
    x: keras.KerasTensor, *, filters: Sequence[Sequence[int]], unit: Unit, dropout: float = 0.0
) -> list[keras.KerasTensor]:
    """The contracting path. (h, w, c) -> the maps stage1, stage2, ..., with h, h / 2, ... pixels a side

    Args:
        filters: of the convolutions, level by level.
        unit: unit(x, filters, name=...) adds a convolution and the layers after it.
        dropout: rate after the two deepest levels.
    """
    stages: list[keras.KerasTensor] = []
    for level, row in enumerate(filters, start=1):
        if stages:
            x = POOL[len(x.shape)](2, padding="same")(x)  # "same": an odd size keeps its last pixel
        for i, f in enumerate(row, start=1):
            x = unit(x, f, name=f"stage{level}" if i == len(row) else None)
        if dropout and level > len(filters) - 2:
            x = layers.Dropout(dropout)(x)
        stages.append(x)
    return stages


def expand(
    stages: Sequence[keras.KerasTensor],
    *,
    filters: Sequence[Sequence[int]],
    up_filters: Sequence[int],
    unit: Unit,
    use_bias: bool = True,
    decoder: str = "transposed",
) -> keras.KerasTensor:
    """The expansive path: up-convolution, skip connection, convolutions, level by level up to the first.

    Args:
        stages: of the contracting path.
        filters, up_filters: of the convolutions and of the up-convolution of each level but the deepest.
        use_bias: of the up-convolutions.
        decoder: see the module's docstring; of images alone, but for "transposed".
    """
    *skips, x = stages
    blocks = reversed(list(zip(skips, filters, up_filters, strict=True)))
    for number, (skip, row, up) in enumerate(blocks, start=1):
        if decoder == "transposed":
            x = UP_CONV[len(x.shape)](up, 2, 2, use_bias=use_bias, kernel_initializer="he_normal")(x)
        else:
            x = interpolate(x, up) if decoder == "upsampling" else unpool(x, up, skip)
        x = layers.Concatenate()(meet(skip, x))
        for i, f in enumerate(row, start=1):
            x = unit(x, f, name=f"decoder{number}" if i == len(row) else None)
    return x


def interpolate(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """Bilinear interpolation and a convolution. (h, w, c) -> (2 h, 2 w, filters)"""
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    return layers.Conv2D(filters, 2, padding="same", kernel_initializer="he_normal")(x)


def unpool(x: keras.KerasTensor, filters: int, before: keras.KerasTensor) -> keras.KerasTensor:
    """A convolution to the channels of `before`, whose maxima say the places. (h, w, c) -> (2 h, 2 w, filters)"""
    x = layers.Conv2D(filters, 2, padding="same", kernel_initializer="he_normal")(x)
    return MaxUnpoolingLike2D(2, padding="same")([x, before])


def meet(skip: keras.KerasTensor, x: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Both maps at the size of the smaller one: the skip's middle, or x without the pixel that an odd size lacks."""
    sizes = [(a, b) for a, b in zip(skip.shape[1:-1], x.shape[1:-1], strict=True) if a != b or a is None]
    if any(a is None or a < b for a, b in sizes):
        return skip, CropLike(offset=0)([x, skip])
    return (CropLike()([skip, x]), x) if sizes else (skip, x)


def tile(bottom: int, levels: int, convs: int) -> tuple[int, int]:
    """(input, output): the sides of form="paper" around a deepest map of `bottom` pixels.

    >>> tile(28, levels=5, convs=2)  # Figure 1
    (572, 388)
    """
    lost = 2 * convs  # pixels that the convolutions of one level take
    first = bottom + lost
    last = bottom
    for _ in range(levels - 1):
        first = 2 * first + lost
        last = 2 * last - lost
    return first, last


def smallest_tile(levels: int, convs: int) -> int:
    """The smallest side that form="paper" takes; each further 2^(levels - 1) pixels are one more.

    >>> smallest_tile(levels=5, convs=2)
    188
    """
    sides = (tile(bottom, levels, convs) for bottom in itertools.count(1))
    return next(first for first, last in sides if last > 0)


def is_tile(size: int | None, levels: int, convs: int) -> bool:
    """Whether form="paper" takes images with this side. None, a side not known yet, passes."""
    low = smallest_tile(levels, convs)
    return size is None or (size >= low and (size - low) % 2 ** (levels - 1) == 0)


def check_tile(sizes: Sequence[int | None], levels: int, convs: int) -> None:
    """Raises ValueError, naming the nearest sides that fit, unless form="paper" takes all sizes."""
    for size in sizes:
        if size is not None and not is_tile(size, levels, convs):
            low = smallest_tile(levels, convs)
            step = 2 ** (levels - 1)
            below = low + max(size - low, 0) // step * step
            raise ValueError(
                f'form="paper" of {levels} levels takes sides of {low}, {low + step}, ...; nearest to {size} are '
                f'{below} and {below + step}; form="same" takes any'
            )


def check_levels(levels: int, sizes: Sequence[int | None]) -> None:
    """Raises ValueError unless there is a level and each one has more positions than the next. None: a side unknown."""
    if levels < 1:
        raise ValueError(f"levels must be 1 or more, got {levels}")
    longest = max((size for size in sizes if size is not None), default=None)
    if longest is not None and levels > (longest - 1).bit_length() + 1:
        most = (longest - 1).bit_length() + 1
        raise ValueError(f"levels must be at most {most} for {longest} pixels, which then end in one, got {levels}")


def unet(
    input_shape: tuple[int | None, ...] = (572, 572, 1),
    num_classes: int = 2,
    *,
    encoder: str | None = None,
    levels: int = 5,
    width: float = 1.0,
    depth: float = 1.0,
    form: str | None = None,
    stem: str | None = None,
    decoder: str | None = None,
    decoder_channels: Sequence[int] | None = None,
    batch_norm: bool | None = None,
    dropout: float | None = None,
    bn_momentum: float = 0.9,
    name: str = "unet",
) -> keras.Model:
    """U-Net.

    Args:
        input_shape: (height, width, channels), at least 16 pixels a side. The paper's is (572, 572, 1).
        num_classes: logits at each position; the paper's is 2. With 1 it is the logit of the foreground.
        encoder: the name of a classification network of images, in place of the contracting path.
        levels: resolutions; 5 is four poolings, the last level 1024 filters. Of an encoder, at most so many maps.
        width: multiplier of all filters.
        depth: multiplier of the two convolutions in each level and direction, or of the encoder's blocks.
        form: "same", the default, or "paper"; see the module's docstring. With an encoder, the encoder's form.
        stem: of the encoder, if it has one; default: as for the encoder alone.
        decoder: "transposed", the default, "upsampling" or "unpooling"; see the module's docstring. Without an encoder.
        decoder_channels: of the decoder's blocks, from the deepest on; default: 256, 128, 64, 32, 16. With an encoder.
        batch_norm: normalise after each convolution; default: of the decoder after an encoder alone.
        dropout: rate after the two deepest levels, default 0.5; with an encoder before the decoder, default 0.
        bn_momentum: share of the old value in the moving statistics.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, height, width, num_classes), less
        184 pixels a side in form="paper". The contracting path's maps are named stage1 ... (strides 1, 2, 4, 8, 16),
        an encoder's have the encoder's names, and those of the expansive path are decoder1, decoder2, ...

    Raises:
        ValueError: `levels` is below 1 or pools a map of one pixel, form="paper" does not take the size or the
            decoder, an argument is of the other kind of U-Net, or the encoder does not take the images.
    """
    if encoder is not None:
        if decoder is not None:
            raise ValueError(f'decoder="{decoder}" is for a U-Net without an encoder: leave one of the two out')
        encoder = registry.backbone_of("unet", {"encoder": encoder})
        arguments = backbone_arguments(encoder, input_shape, 0, width=width, depth=depth, form=form, stem=stem)
        network = registry.builder_of(encoder)(**arguments)
        return encoder_unet.with_decoder(
            network,
            encoder_unet.encoder_maps(network, registry.family_of(encoder).features, levels),
            num_classes,
            channels=[scale_width(filters, width) for filters in decoder_channels or encoder_unet.CHANNELS],
            unit=partial(conv_relu, form="same", batch_norm=batch_norm is not False, bn_momentum=bn_momentum),
            dropout=dropout or 0.0,
            name=name,
        )
    if stem is not None or decoder_channels is not None:
        raise ValueError("stem and decoder_channels are for a U-Net with an encoder: give encoder, or leave them out")
    form = choose("form", form or "same", ("same", "paper"))
    decoder = choose("decoder", decoder or "transposed", DECODERS)
    if decoder == "unpooling" and form == "paper":
        raise ValueError('decoder="unpooling" takes maps of the size of their skip connections: form="same"')
    check_levels(levels, input_shape[:-1])
    convs = scale_depth(2, depth)
    if form == "paper":
        check_tile(input_shape[:-1], levels, convs)
    filters = [scale_width(64 * 2**i, width) for i in range(levels)]
    rows = [(f,) * convs for f in filters]
    unit = partial(conv_relu, form=form, batch_norm=bool(batch_norm), bn_momentum=bn_momentum)

    inputs = keras.Input(input_shape)  # 572, 572, 1
    rate = 0.5 if dropout is None else dropout
    stages = trunk(inputs, filters=rows, unit=unit, dropout=rate)  # 568, 568, 64 ... 28, 28, 1024
    x = expand(stages, filters=rows[:-1], up_filters=filters[:-1], unit=unit, decoder=decoder)  # 388, 388, 64
    outputs = layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x)  # 388, 388, 2
    return keras.Model(inputs, outputs, name=name)


VARIANTS = {"unet": unet}
