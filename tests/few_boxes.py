"""`few_boxes`: the first scenes of `boxes/easy`, so few that selective search takes a second or two."""

from pipelines.embedded.boxes import Boxes
from pipelines.embedded.scenes import DIFFICULTIES


class FewBoxes(Boxes):
    """A data set of 24 training images."""

    BUILDER_CONFIGS = [config for config in DIFFICULTIES if config.name == "easy"]
    SIZES = {"train": 24, "validation": 8, "test": 8}
