"""The losses of a task by name, its headline metric, the label that masks ignore. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

# By task, the default first; tfcnn.losses builds them.
LOSS_NAMES: dict[str, tuple[str, ...]] = {
    "classification": ("cross_entropy", "bce", "hinge", "focal"),
    "segmentation": ("cross_entropy", "dice", "dice_ce", "focal"),
    "reconstruction": ("mse", "mae", "huber"),
}


class Headline(NamedTuple):
    """The metric that stands for a task: its name in history.csv, its name in prose, the format of its values."""

    name: str
    label: str
    form: str


HEADLINES = {
    "classification": Headline("accuracy", "accuracy", "{:.2%}"),
    "segmentation": Headline("mean_iou", "mean IoU", "{:.2%}"),
    "reconstruction": Headline("psnr", "PSNR", "{:.2f} dB"),
}
IGNORE_LABEL = 255  # positions with this label do not count, as in PASCAL VOC's and Cityscapes' masks
