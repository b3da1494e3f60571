"""What a task has by name: its losses, its headline metric, the label that masks ignore. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

# By task, the default first; tfcnn.losses builds them.
LOSS_NAMES = {
    "classification": ("cross_entropy", "bce", "hinge", "focal"),
    "segmentation": ("cross_entropy", "dice", "dice_ce", "focal"),
    "reconstruction": ("mse", "mae", "huber"),
}


class Headline(NamedTuple):
    """How a task's metric is called in history.csv, how people call it, and how it is written."""

    name: str
    label: str
    form: str


HEADLINES = {
    "classification": Headline("accuracy", "accuracy", "{:.2%}"),
    "segmentation": Headline("mean_iou", "mean IoU", "{:.2%}"),
    "reconstruction": Headline("psnr", "PSNR", "{:.2f} dB"),
}
IGNORED = 255  # the label of positions that count for nothing, as in PASCAL VOC's and Cityscapes' masks
