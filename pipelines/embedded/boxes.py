"""`boxes`: the scenes of `shapes`, with a box and a class for each figure, for object detection.

Pictures of 96×96 pixels: discs, squares, triangles, stars, rings and crosses of random colour, size and angle overlap
on patterned backgrounds, under noise. A box is tight around the whole visible part of its figure. A figure that would
hide more of another than the difficulty allows (10, 50 or 70 % of it) is not drawn there, so that every figure in a
picture has a box. It is no substitute for photographs: six rigid shapes, flat light, no perspective, exact boxes.

Boxes around the connected pixels that stand out from the median colour (Otsu's threshold) meet 38 % of the test figures
at an IoU of 0.5 or more, whatever their class; on `easy` 66 %, on `hard` 21 %.

Drawn by this repository (pipelines/embedded/scenes.py) and under its licence. `boxes/easy`, `boxes/medium` (the
default) and `boxes/hard` differ in the numbers of `scenes.DIFFICULTIES`. Train 800, validation 100, test 200 scenes.
"""

from __future__ import annotations

from typing import Any

import tensorflow_datasets as tfds
from scipy.ndimage import find_objects

from pipelines.embedded import scenes
from pipelines.embedded.generation import DrawnBuilder


class Boxes(DrawnBuilder):
    """The scenes with their objects.

    image uint8 (96, 96, 3); objects, in drawing order: bbox float32 (figures, 4), which is ymin, xmin, ymax, xmax as
    shares of the side, and label int64 (figures,) in 0 ... 5.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = scenes.DIFFICULTIES
    SIZES = scenes.SIZES

    def features(self) -> dict[str, Any]:
        kind = tfds.features.ClassLabel(names=scenes.FIGURES)
        return {
            "image": tfds.features.Image(shape=(scenes.SIDE, scenes.SIDE, 3)),
            "objects": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature(), "label": kind}),
        }

    def draw(self, split: int, number: int) -> dict[str, Any]:
        scene = scenes.scene(self.builder_config, split, number)
        spans = [[side / scenes.SIDE for side in box] for box in bounds(scene)]
        objects = [
            {"bbox": tfds.features.BBox(*box), "label": figure.kind}
            for box, figure in zip(spans, scene.figures, strict=True)
        ]
        return {"image": scene.image, "objects": objects}


def bounds(scene: scenes.Scene) -> list[tuple[int, int, int, int]]:
    """(ymin, xmin, ymax, xmax) of each figure's visible part, in pixels, the far edges included."""
    return [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in find_objects(scene.instances)]
