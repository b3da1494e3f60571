"""Fast R-CNN: Girshick, "Fast R-CNN", 2015.

One pass of a classification network over the whole image; each region's part of its last map is pooled to a fixed size
(section 2.1), and dense layers say its class and how its box is displaced (Figure 1). The plain network is the paper's:
VGG-16 up to its last convolution, 7x7 pooling, fc6 and fc7 with 4096 units.

Differences from the paper: the backbone may be any classification network; the displacements of the background, which
the authors' code computes and never uses, are left out; the classes and the displacements are one output.
"""

from __future__ import annotations

import keras
from keras import layers

from tfcnn.arithmetic.scaling import scale_width
from tfcnn.layers import RoIPooling2D
from tfcnn.models import registry
from tfcnn.models.backbones import backbone_arguments
from tfcnn.models.features import strided_features
from tfcnn.models.heads import detect


def fast_rcnn(
    input_shape: tuple[int, ...] = (600, 600, 3),
    num_classes: int = 20,
    *,
    backbone: str = "vgg16",
    stride: int = 16,
    pool_size: int = 7,
    units: int = 4096,
    hidden: int = 2,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.5,
    form: str | None = None,
    stem: str | None = None,
    name: str = "fast_rcnn",
) -> keras.Model:
    """Fast R-CNN.

    Args:
        input_shape: (height, width, channels), at least the backbone's smallest.
        num_classes: K, without the background.
        backbone: the name of a classification network.
        stride: of the backbone's map that is pooled: the last whose positions are at most so many pixels apart.
        pool_size: positions a side of each region's pooled map.
        units: of each hidden dense layer.
        hidden: number of hidden dense layers.
        width: multiplier of the backbone's filters and of `units`.
        depth: multiplier of the backbone's blocks.
        dropout: rate after each hidden dense layer.
        form, stem: of the backbone, if it has them; default: as for the backbone alone.

    Returns:
        keras.Model: [images (batch, height, width, channels), regions (batch, r, 4) as x1, y1, x2, y2 in pixels] ->
        float32 (batch, r, K + 1 + 4 K): the logits of the classes and of the background, number K, then dx, dy, dw, dh
        of each class, in the unit of `tfcnn.detection.targets.STD`. The maps have the backbone's names.
    """
    arguments = backbone_arguments(backbone, input_shape, 0, width=width, depth=depth, form=form, stem=stem)
    network = registry.builder_of(backbone)(**arguments)
    maps, map_stride = strided_features(network, registry.family_of(backbone).features, stride)
    regions = keras.Input((None, 4), dtype="float32", name="regions")
    x = RoIPooling2D(pool_size, map_stride)([maps, regions])  # r, 7, 7, 512
    x = layers.Reshape((-1, pool_size * pool_size * maps.shape[-1]))(x)
    for _ in range(hidden):
        x = layers.Dense(scale_width(units, width), activation="relu", kernel_initializer="he_normal")(x)
        x = layers.Dropout(dropout)(x)
    return keras.Model([network.input, regions], detect(x, num_classes), name=name)


VARIANTS = {"fast_rcnn": fast_rcnn}
