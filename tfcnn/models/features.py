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
