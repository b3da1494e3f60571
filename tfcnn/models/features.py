"""The maps of a network at several scales, as detectors and segmentation networks use them."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfcnn.errors import BadInput


def features(model: keras.Model, names: Sequence[str], out_indices: Sequence[int] | None = None) -> keras.Model:
    """A model of the same layers and weights that returns the maps called `names`, or those of `out_indices`.

    Names that the model lacks are left out before counting; an index below 0 counts from the end.

    Raises:
        BadInput: the model has none of them, or an index is out of range.
    """
    layer_names = {layer.name for layer in model.layers}
    present = [name for name in names if name in layer_names]
    if not present:
        raise BadInput(f"{model.name} has no maps to return (features_only)")
    for index in out_indices or ():
        if not -len(present) <= index < len(present):
            raise BadInput(
                f"{model.name} has maps 0 to {len(present) - 1} ({', '.join(present)}), got out_indices={index}"
            )
    if out_indices is not None:
        present = [present[index] for index in out_indices]
    maps = [model.get_layer(name).output for name in present]
    return keras.Model(model.input, maps, name=model.name)


def maps_by_size(model: keras.Model, names: Sequence[str]) -> list[keras.KerasTensor]:
    """The maps of a network called `names`, in their order: of those of one size the last."""
    layer_names = {layer.name for layer in model.layers}
    maps = [model.get_layer(name).output for name in names if name in layer_names]
    return list({tuple(x.shape[1:-1]): x for x in maps}.values())


def strided_features(model: keras.Model, names: Sequence[str], stride: int) -> tuple[keras.KerasTensor, int]:
    """The last map called one of `names` whose positions are at most `stride` pixels apart, and how far apart they are.

    Args:
        model: a network for images of one size.
        names: of maps, in their order.
        stride: in pixels.

    Raises:
        ValueError: no map is as fine, or the size of the images is not known.
    """
    side = model.input_shape[1]
    if side is None:
        raise ValueError("the maps' strides follow from the size of the images: give input_shape without None")
    layer_names = {layer.name for layer in model.layers}
    strides = {}
    for name in names:
        if name in layer_names:
            strides[name] = round(side / model.get_layer(name).output.shape[1])
    fine = [name for name, map_stride in strides.items() if map_stride <= stride]
    if not fine:
        raise ValueError(f"the maps of {model.name} have strides {', '.join(map(str, strides.values()))}, got {stride}")
    return model.get_layer(fine[-1]).output, strides[fine[-1]]
