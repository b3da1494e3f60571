"""What each task has: its losses by name, its headline metric, its results. Standard library only."""

from __future__ import annotations

from typing import NamedTuple


class Headline(NamedTuple):
    """The metric that stands for a task: its name in history.csv, its name in prose, the format of its values."""

    name: str
    label: str
    form: str


class Task(NamedTuple):
    """One task.

    Attributes:
        losses: by name, the default first; tfcnn.losses builds them.
        headline: the metric that stands for it.
        results: the module of tfcnn.results that says what comes of its networks.
        each_epoch: the metric that stands for it in history.csv, where the headline is known at the end only.
        hooks: the module of tfcnn.training that says what its training has besides the loop.
        priced: what tfcnn.cost counts operations for.
    """

    losses: tuple[str, ...]
    headline: Headline
    results: str
    each_epoch: Headline | None = None
    hooks: str = "tfcnn.training.hooks"
    priced: str = "an image"

    @property
    def watched(self) -> Headline:
        """The metric that stands for the task in history.csv; tfcnn.metrics builds it."""
        return self.each_epoch or self.headline


TASKS: dict[str, Task] = {
    "classification": Task(
        losses=("cross_entropy", "bce", "hinge", "focal"),
        headline=Headline("accuracy", "accuracy", "{:.2%}"),
        results="tfcnn.results.classification",
    ),
    "segmentation": Task(
        losses=("cross_entropy", "dice", "dice_ce", "focal"),
        headline=Headline("mean_iou", "mean IoU", "{:.2%}"),
        results="tfcnn.results.segmentation",
    ),
    "reconstruction": Task(
        losses=("mse", "mae", "huber"),
        headline=Headline("psnr", "PSNR", "{:.2f} dB"),
        results="tfcnn.results.reconstruction",
    ),
    "detection": Task(
        losses=("multi_task", "cross_entropy"),
        headline=Headline("map50", "mAP@.5", "{:.2%}"),
        results="tfcnn.results.detection",
        each_epoch=Headline("region_accuracy", "accuracy of regions", "{:.2%}"),
        hooks="tfcnn.training.detection",
        priced="an image with one region",
    ),
}
IGNORE_LABEL = 255  # positions with this label do not count, as in PASCAL VOC's and Cityscapes' masks
