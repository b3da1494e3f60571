"""The maps of a network at several scales: what detectors and segmentation networks stand on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras

from tfcnn.errors import BadInput
from tfcnn.receptive_field import receptive_field


class Feature(NamedTuple):
    """One map: the layer that makes it, its channels, and how many pixels of the input lie between its positions."""

    name: str
    channels: int
    stride: tuple[int, ...]


def features(model: keras.Model, names: Sequence[str], out_indices: Sequence[int] | None = None) -> keras.Model:
    """A model of the same layers and weights that returns the maps called `names`, or those of `out_indices`.

    Names that the model lacks are left out before counting; an index below 0 counts from the end.

    Raises:
        BadInput: the model has none of them, or an index is out of range.
    """
    known = {layer.name for layer in model.layers}
    found = [name for name in names if name in known]
    if not found:
        raise BadInput(f"{model.name} has no maps to return (features_only)")
    for index in out_indices or ():
        if not -len(found) <= index < len(found):
            raise BadInput(f"{model.name} has maps 0 to {len(found) - 1} ({', '.join(found)}), got out_indices={index}")
    if out_indices is not None:
        found = [found[index] for index in out_indices]
    maps = [model.get_layer(name).output for name in found]
    return keras.Model(model.input, maps, name=model.name)


def feature_info(model: keras.Model) -> list[Feature]:
    """Name, channels and strides of each map that a `features_only` model returns, as timm's `feature_info`.

    Example:
        >>> import tfcnn
        >>> tfcnn.feature_info(tfcnn.build("resnet18", features_only=True, out_indices=[4]))
        [Feature(name='stage5', channels=512, stride=(32, 32))]
    """
    return [
        Feature(name, output.shape[-1], receptive_field(model, name, windows_only=True).stride)
        for name, output in zip(model.output_names, model.outputs, strict=True)
    ]
