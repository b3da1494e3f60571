"""Masks for networks whose map is smaller than the image, as their papers train them.

A network of unpadded convolutions predicts the middle of the image: its target is the mask's middle. A network of
stride 8 predicts every eighth pixel: its target is the mask at the pixels in the middle of its strides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tfcnn.errors import BadInput

if TYPE_CHECKING:
    import keras

    from tfcnn.training.data import Data


class Match(NamedTuple):
    """Which pixels of the masks a network predicts."""

    places: tuple[tuple[int, ...], ...]  # for each axis
    words: str


def match_of(model: keras.Model, data: Data) -> Match | None:
    """The pixels of the masks that the network predicts; None: all, or the task has no masks.

    Raises:
        BadInput: the network's map is no part of the mask.
    """
    from tfcnn.receptive_field import receptive_field

    sides = tuple(data.image_shape[:-1])
    maps = tuple(model.output_shape[1:-1])
    if data.task != "segmentation" or maps == sides:
        return None
    size = "x".join(map(str, maps))
    strides = receptive_field(model, "logits", windows_only=True).stride
    if all(stride == 1 for stride in strides) and all(map_ <= side for map_, side in zip(maps, sides, strict=True)):
        starts = [(side - map_) // 2 for side, map_ in zip(sides, maps, strict=True)]
        places = tuple(tuple(range(start, start + map_)) for start, map_ in zip(starts, maps, strict=True))
        return Match(places, f"the middle {size} of the masks: what {model.name} predicts")
    whole = all(stride == int(stride) and stride >= 1 for stride in strides)
    if whole and all(map_ == -(-side // int(n)) for map_, side, n in zip(maps, sides, strides, strict=True)):
        steps = [int(stride) for stride in strides]
        places = tuple(
            tuple(min(step * i + step // 2, side - 1) for i in range(map_))
            for step, map_, side in zip(steps, maps, sides, strict=True)
        )
        return Match(places, f"{size} pixels of the masks, one in {steps[0]}: what {model.name} predicts")
    raise BadInput(
        f"{model.name} predicts {size} positions for masks of {'x'.join(map(str, sides))}: choose another --image-size "
        f"or another form of the network (--arch-args)"
    )


def match_masks(data: Data, model: keras.Model) -> Data:
    """The data with the masks that the network predicts. Raises BadInput."""
    match = match_of(model, data)
    return data if match is None else data.with_mask_places(match.places)
