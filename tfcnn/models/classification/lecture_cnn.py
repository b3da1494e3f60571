"""The network written out in the lecture: `makeModel(nb_filters)` of Mikolajczyk & Ciliberto, "EE3-25: Deep Learning".

Slide "CNN architecture": three times convolution, ReLU, max pooling, with filters that double; average pooling; 128
hidden units; three classes of image patches. The slide leaves the patch size, kernel size, pool size and nb_filters
open: 32 pixels, 3x3, 2x2 and 32 here. Differences from the slide: logits, the softmax being the loss's; `depth` repeats
the convolutions.
"""

from __future__ import annotations

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_depth, scale_width
from tfcnn.models import blocks
from tfcnn.models.heads import classify, logits


def lecture_cnn(
    input_shape: tuple[int | None, ...] = (32, 32, 3),
    num_classes: int = 3,
    *,
    filters: int = 32,
    kernel_size: int = 3,
    pool_size: int = 2,
    pool: str = "max",
    units: int = 128,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.5,
    name: str = "lecture_cnn",
) -> keras.Model:
    """The lecture's network.

    Args:
        input_shape: (height, width, channels), at least pool_size ** 4 pixels a side.
        num_classes: number of logits; 0 for the last map, averaged over its positions.
        filters: of the first convolution, the slide's nb_filters; the second and third have two and four times as many.
        kernel_size, pool_size: of every convolution and pooling.
        pool: of the three stages, one of `blocks.POOLINGS`.
        units: of the hidden dense layer.
        width: multiplier of `filters` and `units`.
        depth: multiplier of the one convolution before each pooling.
        dropout: rate after the hidden dense layer.

    Returns:
        keras.Model: (batch, height, width, channels) -> float32 logits (batch, num_classes). The maps before the
        poolings are named stage1 ... stage3 (strides 1, 2, 4).
    """
    inputs = keras.Input(input_shape)
    x = inputs
    repeats = scale_depth(1, depth)
    for stage, f in enumerate((filters, 2 * filters, 4 * filters), start=1):
        for i in range(1, repeats + 1):
            x = layers.Conv2D(scale_width(f, width), kernel_size, padding="same")(x)
            x = layers.ReLU(name=f"stage{stage}" if i == repeats else None)(x)
        x = blocks.pool(x, pool, pool_size)
    x = layers.AveragePooling2D(pool_size)(x)
    if num_classes == 0:
        return classify(inputs, x, 0, name=name)
    x = layers.Flatten()(x)
    x = layers.Dense(scale_width(units, width), activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, logits(x, num_classes), name=name)


VARIANTS = {"lecture_cnn": lecture_cnn}
