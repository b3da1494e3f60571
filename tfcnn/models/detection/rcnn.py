"""R-CNN: Girshick, Donahue, Darrell & Malik, "Rich feature hierarchies for accurate object detection", 2013.

Each region is cut out of the image with some context and warped to the size of a classification network (appendix A,
D), which computes its features (Figure 1; section 2.1). The network is fine-tuned as a classifier of regions (section
2.3); linear SVMs on its last features then take the place of that classifier, and a regression from its last map moves
the boxes (appendix C): `tfcnn.training.rcnn` fits both, and they become the weights of the layers `logits` and `boxes`.

The plain network is the paper's: AlexNet on 227 pixels with 16 of context. Differences from the paper: the backbone may
be any classification network; warping is a layer, so that the network takes the image and its regions.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tfcnn.layers import SplitBatch, WarpRegions2D
from tfcnn.models import registry
from tfcnn.models.backbones import backbone_arguments
from tfcnn.models.heads import detect

CONTEXT = 16 / 227  # of the side of a warped region, before and after it
LARGEST_MAP = 6  # positions a side of the map for the boxes: AlexNet's pool5


def rcnn(
    input_shape: tuple[int | None, ...] = (500, 500, 3),
    num_classes: int = 20,
    *,
    backbone: str = "alexnet",
    crop: int = 227,
    width: float = 1.0,
    depth: float = 1.0,
    form: str | None = None,
    stem: str | None = None,
    name: str = "rcnn",
) -> keras.Model:
    """R-CNN.

    Args:
        input_shape: (height, width, channels), or None for any size.
        num_classes: K, without the background.
        backbone: the name of a classification network.
        crop: pixels a side of a warped region, at least the backbone's smallest.
        width: multiplier of the backbone's filters.
        depth: multiplier of the backbone's blocks.
        form, stem: of the backbone, if it has them; default: as for the backbone alone.

    Returns:
        keras.Model: [images (batch, height, width, channels), regions (batch, r, 4) as x1, y1, x2, y2 in pixels] ->
        float32 (batch, r, K + 1 + 4 K): the logits of the classes and of the background, number K, or the margins of
        the SVMs and 0, then dx, dy, dw, dh of each class in the unit of `tfcnn.detection.targets.STD`.
    """
    images = keras.Input(input_shape)
    regions = keras.Input((None, 4), dtype="float32", name="regions")
    channels = input_shape[-1]
    crops = WarpRegions2D(crop, CONTEXT * crop)([images, regions])  # r, 227, 227, 3
    crops = keras.ops.reshape(crops, (-1, crop, crop, channels))
    arguments = backbone_arguments(
        backbone, (crop, crop, channels), num_classes + 1, width=width, depth=depth, form=form, stem=stem
    )
    network = _classifier_of_regions(backbone, arguments, num_classes)
    outputs = SplitBatch(dtype="float32")([network(crops), regions])
    return keras.Model([images, regions], outputs, name=name)


def _classifier_of_regions(backbone: str, arguments: dict[str, Any], num_classes: int) -> keras.Model:
    """Warped regions (crop, crop, channels) -> (K + 1 + 4 K,): from the last features, and from the last map."""
    network = registry.builder_of(backbone)(**arguments)
    last = network.layers[-1]
    if not isinstance(last, layers.Dense):
        raise ValueError(f"{backbone} ends in no dense layer, whose place the SVMs take: choose another backbone")
    present = {layer.name: layer for layer in network.layers}
    names = [name for name in registry.family_of(backbone).features if name in present]
    maps = present[names[-1]].output
    while maps.shape[1] > LARGEST_MAP:
        maps = layers.MaxPooling2D(2)(maps)
    x = detect(last.input, num_classes, boxes=layers.Flatten(dtype="float32", name="map")(maps))
    return keras.Model(network.input, x, name=backbone)


VARIANTS = {"rcnn": rcnn}
