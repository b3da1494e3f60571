"""U-Net's expansive path on the maps of a classification network: Iakubovskii, "Segmentation Models Pytorch", 2019.

As in that library each block of the decoder doubles the map by nearest neighbours, appends the encoder's map of this
size where there is one, and convolves twice by 3x3, with batch norm; a 3x3 convolution gives the logits. U-Nets on
ResNets have the library's number of parameters. Difference: where an encoder's maps do not double in size, because it
convolves or pools without a border or the image's side is odd, the decoder's map is cut or its edge repeated, as much
before as after, so that positions stay where they are in the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

from tfcnn.layers import Padding2D
from tfcnn.models.backbones import DECODER
from tfcnn.models.features import maps_by_size

CHANNELS = (256, 128, 64, 32, 16)  # of the decoder's blocks, from the deepest on
Size = tuple[int, int]


def encoder_maps(network: keras.Model, names: Sequence[str], levels: int) -> list[keras.KerasTensor]:
    """The maps of an encoder, one of each size, at most `levels`, the largest first.

    Raises:
        ValueError: `levels` is below 2, or the size of the images is not known.
    """
    if levels < 2:
        raise ValueError(f"levels must be 2 or more with an encoder, got {levels}")
    if None in network.input_shape[1:-1]:
        raise ValueError("the sizes of an encoder's maps follow from the images: give input_shape without None")
    return maps_by_size(network, names)[:levels]


def with_decoder(
    network: keras.Model,
    maps: Sequence[keras.KerasTensor],
    num_classes: int,
    *,
    channels: Sequence[int],
    unit: Callable[..., keras.KerasTensor],
    dropout: float,
    name: str,
) -> keras.Model:
    """The model from a network's input to float32 logits at each position, by way of `maps` of it, as `decode`."""
    _, height, width, _ = network.input_shape
    x = decode(maps, (height, width), channels=channels, unit=unit, dropout=dropout)
    outputs = layers.Conv2D(num_classes, 3, padding="same", dtype="float32", name="logits")(x)
    return keras.Model(network.input, outputs, name=name)


def decode(
    maps: Sequence[keras.KerasTensor],
    image_size: Size,
    *,
    channels: Sequence[int],
    unit: Callable[..., keras.KerasTensor],
    dropout: float = 0.0,
) -> keras.KerasTensor:
    """The expansive path, from the last map to one of the images' size. (h / 32, w / 32, c) -> (h, w, channels[-1])

    Args:
        maps: of the encoder, the largest first.
        image_size: (height, width).
        channels: of the blocks, from the deepest on; more blocks than channels repeat the last.
        unit: unit(x, filters, name=...) adds a convolution and the layers after it.
        dropout: rate before the first block.
    """
    *skips, x = maps
    skip_of = {size_of(skip): skip for skip in skips}
    sizes = sizes_between(size_of(x), [*map(size_of, reversed(skips)), image_size])
    for number, size in enumerate(sizes, start=1):
        x = layers.UpSampling2D(2, name=DECODER if number == 1 else None)(x)
        x = fit(x, size)
        if size in skip_of:
            x = layers.Concatenate()([x, skip_of[size]])
        if dropout and number == 1:
            x = layers.Dropout(dropout)(x)
        filters = channels[min(number, len(channels)) - 1]
        x = unit(x, filters)
        x = unit(x, filters, name=f"decoder{number}")
    return x


def size_of(x: keras.KerasTensor) -> Size:
    """(height, width) of a map."""
    _, height, width, _ = x.shape
    return height, width


def sizes_between(first: Size, sizes: Sequence[Size]) -> list[Size]:
    """The sizes that a decoder passes through: `sizes`, with halves of them where the next is more than three times.

    >>> sizes_between((7, 7), [(14, 14), (28, 28), (112, 112), (112, 112)])
    [(14, 14), (28, 28), (56, 56), (112, 112)]
    """
    path: list[Size] = []
    for size in sizes:
        steps = []
        step = size
        while step != first:
            steps.append(step)
            if all(pixels <= 3 * before for pixels, before in zip(step, first, strict=True)):
                break
            step = ((step[0] + 1) // 2, (step[1] + 1) // 2)
        path += reversed(steps)
        first = size
    return path


def fit(x: keras.KerasTensor, size: Size) -> keras.KerasTensor:
    """A map cut, or with its edge repeated, to a size: as much before as after, the odd pixel after."""
    missing = [wanted - pixels for wanted, pixels in zip(size, size_of(x), strict=True)]
    if any(pixels < 0 for pixels in missing):
        x = layers.Cropping2D([halves(max(-pixels, 0)) for pixels in missing])(x)
    if any(pixels > 0 for pixels in missing):
        x = Padding2D([halves(max(pixels, 0)) for pixels in missing], mode="replicate")(x)
    return x


def halves(pixels: int) -> tuple[int, int]:
    """
    >>> halves(5)
    (2, 3)
    """
    return pixels // 2, pixels - pixels // 2
