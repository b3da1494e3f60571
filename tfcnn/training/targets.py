"""Masks for networks whose map is smaller than the image, as their papers train them: the pixels that they predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcnn.map_places import Match, match_map

if TYPE_CHECKING:
    import keras

    from tfcnn.training.data import Data


def match_of(model: keras.Model, data: Data) -> Match | None:
    """The pixels of the masks that the network predicts; None: all, or the task has no masks.

    Raises:
        BadInput: the network's map is no part of the mask.
    """
    if data.task != "segmentation":
        return None
    return match_map(model, data.image_shape[:-1])


def match_masks(data: Data, model: keras.Model) -> Data:
    """The data with the masks that the network predicts. Raises BadInput."""
    match = match_of(model, data)
    return data if match is None else data.with_mask_places(match.places)
