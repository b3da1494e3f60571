"""The classification network within a detector or U-Net: its builder's arguments, and its part of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfcnn.layers import RoIPooling2D
from tfcnn.models import registry

DECODER = "decoder1_up_sampling1"  # the first layer after a U-Net's encoder


def backbone_arguments(
    backbone: str,
    input_shape: Sequence[int | None],
    num_classes: int,
    *,
    width: float,
    depth: float,
    form: str | None,
    stem: str | None,
) -> dict[str, Any]:
    """The arguments of a backbone's builder; form and stem None: as it is built alone.

    Raises:
        BadInput: an argument that the backbone lacks, or images that are too small for it.
    """
    chosen: dict[str, Any] = {name: value for name, value in (("form", form), ("stem", stem)) if value is not None}
    return registry.arguments(backbone, input_shape, num_classes, width=width, depth=depth, **chosen)


def backbone_part(model: keras.Model) -> keras.Model:
    """The backbone's layers, from the images or warped regions to what the layers of the detector or the decoder read.

    A network without a backbone is returned as it is.
    """
    for layer in model.layers:
        if layer.name == DECODER:
            return keras.Model(model.inputs[0], layer.input, name=model.name)
        if isinstance(layer, RoIPooling2D):
            return keras.Model(model.inputs[0], layer.input[0], name=model.name)
        if isinstance(layer, keras.Model):
            return keras.Model(layer.inputs[0], layer.get_layer("logits").input, name=layer.name)
    return model
