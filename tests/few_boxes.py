"""`few_boxes`: the first scenes of `boxes/easy`, so few that selective search takes a second or two."""

from typing import ClassVar

from pipelines.embedded.boxes import Boxes
from pipelines.embedded.scenes import DIFFICULTIES


class FewBoxes(Boxes):
    """A data set of 24 training images."""

    BUILDER_CONFIGS: ClassVar = [config for config in DIFFICULTIES if config.name == "easy"]
    SIZES: ClassVar = {"train": 24, "validation": 8, "test": 8}
