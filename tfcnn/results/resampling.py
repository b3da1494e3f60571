"""The map of a segmentation network brought back to the size of its image, whole or put together from tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tfcnn.map_places import match_map
from tfcnn.results import Facts

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

WINDOWS = 8  # that the network gets at once


class Places(NamedTuple):
    """Where the map of a network lies in its input image.

    Attributes:
        height, width: of the input.
        fit: "crop", "pad" or "squash": how an image gets that size.
        first, step: for each axis the input's pixel of the map's first, and the distance to the next.
    """

    height: int
    width: int
    fit: str
    first: tuple[int, ...]
    step: tuple[int, ...]

    def undo(self, maps: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps (batch, rows, columns, channels) at the size (2,) of their images, and where they tell something."""
        from pipelines.fitting import undo_fit

        return undo_fit(maps, size, self.height, self.width, self.fit, self.first, self.step)

    def classes(
        self, probabilities: np.ndarray, size: tuple[int, int], mirrored: np.ndarray | None = None
    ) -> np.ndarray:
        """The most probable class of each pixel of an image, uint8 `size`; 255 where the network tells nothing.

        Args:
            probabilities: float32 (rows, columns, classes), the network's map.
            size: height and width of the image.
            mirrored: the map of the mirror image, of the same shape; both are averaged.
        """
        import numpy as np

        from tfcnn.tasks import IGNORE_LABEL

        largest = np.full(size, -np.inf, np.float32)
        mask = np.zeros(size, np.uint8)
        for number in range(probabilities.shape[-1]):  # one at a time: all classes of a large image fill the memory
            one_class = slice(number, number + 1)
            maps, is_inside = self.undo(probabilities[None, ..., one_class], size)
            values = maps.numpy()[0, ..., 0]
            if mirrored is not None:
                values += self.undo(mirrored[None, ..., one_class], size)[0].numpy()[0, :, ::-1, 0]
            better = values > largest
            largest[better] = values[better]
            mask[better] = number
        mask[~is_inside.numpy()] = IGNORE_LABEL
        return mask


def places_of(model: keras.Model, facts: Facts) -> Places:
    """The places of a network's map, from the facts of its training data."""
    height, width, _ = facts["image_shape"]
    match = match_map(model, (height, width))
    if match is None:
        return Places(height, width, facts["fit"], (0, 0), (1, 1))
    return Places(height, width, facts["fit"], tuple(axis[0] for axis in match.places), match.steps)


def predict_tiled(model: keras.Model, image: np.ndarray, places: Places, border: np.ndarray) -> np.ndarray:
    """Class probabilities of an image at its own scale, from windows of the network's input size.

    The maps of the windows overlap by a half, and their probabilities are averaged. Where a map is the middle of its
    window, the image is mirrored at its borders: Ronneberger, Fischer & Brox, "U-Net" (2015), figure 2. An image
    smaller than a window is padded. Takes 4 bytes of memory a pixel and class.

    Args:
        model: gives logits.
        image: float32 (height, width, channels), standardised.
        places: of the network's map in its window.
        border: float32 (channels,), the pixel that pads a small image.

    Returns:
        float32 (height, width, classes).
    """
    import numpy as np
    from keras import ops

    window = (places.height, places.width)
    _, inside = places.undo(np.zeros((1, *model.output_shape[1:-1], 1), np.float32), window)
    rows = np.flatnonzero(inside.numpy().any(1))
    columns = np.flatnonzero(inside.numpy().any(0))
    covered = (len(rows), len(columns))  # by the map of one window
    margins = [(int(axis[0]), side - 1 - int(axis[-1])) for axis, side in zip((rows, columns), window, strict=True)]
    height, width = image.shape[:2]
    missing = [(0, max(side - length, 0)) for side, length in zip(covered, (height, width), strict=True)]
    padded = np.stack(
        [np.pad(image[..., c], missing, constant_values=border[c]) for c in range(image.shape[-1])], axis=-1
    )
    padded = np.pad(padded, [*margins, (0, 0)], mode="reflect")
    sides = [length + more for length, (_, more) in zip((height, width), missing, strict=True)]
    starts = [(y, x) for y in _starts(sides[0], covered[0]) for x in _starts(sides[1], covered[1])]
    total = np.zeros((*sides, model.output_shape[-1]), np.float32)
    count = np.zeros((*sides, 1), np.float32)
    for first in range(0, len(starts), WINDOWS):
        part = starts[first : first + WINDOWS]
        inputs = np.stack([padded[y : y + window[0], x : x + window[1]] for y, x in part])
        maps = ops.convert_to_numpy(ops.softmax(model(inputs, training=False)))
        values = places.undo(maps, window)[0].numpy()[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        for (y, x), value in zip(part, values, strict=True):
            total[y : y + covered[0], x : x + covered[1]] += value
            count[y : y + covered[0], x : x + covered[1]] += 1
    return (total / count)[:height, :width]


def _starts(side: int, length: int) -> list[int]:
    """Where stretches of a length begin that cover a side and overlap by a half; the last may overlap by more.

    >>> _starts(100, 40)
    [0, 20, 40, 60]
    >>> _starts(50, 40)
    [0, 10]
    """
    return [*range(0, side - length, max(length // 2, 1)), side - length]
