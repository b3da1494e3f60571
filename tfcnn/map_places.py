"""Which pixels of its input the map of a network shows, where it is smaller than the input.

A network of unpadded convolutions predicts the middle of the image. A network of stride 8 predicts every eighth pixel,
the one in the middle of each stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfcnn.errors import BadInput

if TYPE_CHECKING:
    import keras


class Match(NamedTuple):
    """Which places of its input a network predicts."""

    places: tuple[tuple[int, ...], ...]  # for each axis
    words: str

    @property
    def steps(self) -> tuple[int, ...]:
        """Input places between two of the map's, for each axis; 1 where the map has one alone."""
        return tuple(axis[1] - axis[0] if len(axis) > 1 else 1 for axis in self.places)


def match_map(model: keras.Model, sides: Sequence[int]) -> Match | None:
    """The places of an input of these sides that a network with a map of logits predicts; None: all.

    Raises:
        BadInput: the network's map is no part of the input.
    """
    from tfcnn.receptive_field import receptive_field

    sides = tuple(sides)
    maps = tuple(model.output_shape[1:-1])
    if maps == sides:
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
