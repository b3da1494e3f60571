"""The training of detectors: batches of regions, proposals before the first step, and R-CNN's SVMs after the last."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import keras

from tfcnn.detection.detector import detect_all, detector_of, has_margins
from tfcnn.detection.examples import read_examples
from tfcnn.detection.metrics import mean_average_precision
from tfcnn.errors import BadInput
from tfcnn.training import rcnn
from tfcnn.training.hooks import Hooks
from tfcnn.training.regions import RegionData

if TYPE_CHECKING:
    from tfcnn.config import Config
    from tfcnn.run_directory import RunDirectory
    from tfcnn.training.data import Data

MIRRORED = 0.5  # share of the training images
# Of an image in a batch. Fast R-CNN: 128 of two images in the paper, half of them here. R-CNN: 32 objects and 96 of the
# background in the paper's batch, here of eight images instead of all.
REGIONS = {"fast_rcnn": 64, "rcnn": 16}
# Of the validation split, the first that mAP after each epoch is of; an image of R-CNN costs some 15 times as much.
WATCHED_IMAGES = {"fast_rcnn": 64, "rcnn": 32}


def batches(data: Data, config: Config) -> RegionData:
    """The data with batches of images and regions. Raises BadInput for flags that would move the images."""
    if config.aa != "none" or dataclasses.replace(data.augmentation, hflip=0.0).changes_examples:
        raise BadInput(
            f"{config.arch} mirrors images and augments them no further, so that proposals stay true: leave --aa, "
            f"--vflip, --scale, --color-jitter, --reprob and --crop-margin out"
        )
    if config.distribution != "none":
        raise BadInput(f"{config.arch} trains on one device: leave --distribution {config.distribution} out")
    if config.tensorboard:
        raise BadInput(
            f"{config.arch} takes images and regions, which TensorBoard does not draw: leave --tensorboard out"
        )
    fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    mirrored = MIRRORED if config.hflip is None else config.hflip
    return RegionData(**fields, regions=REGIONS[config.arch], mirrored=mirrored)


def prepare(data: Data, directory: RunDirectory) -> None:
    """Compute the proposals of the training and validation images, or read them from the run directory."""
    data = cast(RegionData, data)
    data.proposals.keep_in(directory.path / "proposals.npz", data)
    for split in ("train", "validation"):
        data.proposals.of(data, split)


def complete(model: keras.Model, data: Data, config: Config, directory: RunDirectory) -> None:
    """Fit R-CNN's SVMs and its regression of boxes; nothing is left to learn of Fast R-CNN."""
    if config.arch == "rcnn":
        rcnn.complete(model, cast(RegionData, data), directory)


class MeanAveragePrecision(keras.callbacks.Callback):
    """Adds mAP@.5 of some validation images to the logs of each epoch, as val_map50.

    R-CNN is scored by the softmax that its fine-tuning trains, and without a regression, which it does not train: its
    SVMs come after the last epoch.

    Args:
        model: in training.
        data: of the run.
        count: of images, the first of the split.
        shipped: within shipped() the model has the weights that the epoch leaves.
    """

    def __init__(self, model: keras.Model, data: RegionData, count: int, shipped: Callable) -> None:
        super().__init__()
        is_rcnn = has_margins(model)
        self.detect = detector_of(model, regression=not is_rcnn, margins=False)
        self.data = data
        self.count = count
        self.shipped = shipped

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        total = self.data.sizes["validation"]
        print(f"val_map50  mAP@.5 of the first {self.count:,} of {total:,} validation images", flush=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        examples = itertools.islice(read_examples(self.data, "validation"), self.count)
        with self.shipped():
            detections = self.detect(examples)
        truths = self.data.proposals.truths(self.data, "validation")[: len(detections)]
        logs["val_map50"] = mean_average_precision(detections, truths, thresholds=(0.5,))["ap50"]


def watch(
    model: keras.Model, data: Data, rows: list[dict[str, float]], shipped: Callable
) -> list[keras.callbacks.Callback]:
    """The callback of mAP; none for a run that an earlier version began, whose history has no place for it."""
    if rows and "val_map50" not in rows[0]:
        return []
    data = cast(RegionData, data)
    count = min(WATCHED_IMAGES["rcnn" if has_margins(model) else "fast_rcnn"], data.sizes["validation"])
    return [MeanAveragePrecision(model, data, count, shipped)]


def scores(model: keras.Model, data: Data) -> dict[str, float]:
    """mAP@.5 and COCO's mAP of the validation and the test images."""
    results: dict[str, float] = {}
    for prefix, split in (("val", "validation"), ("test", "test")):
        values = score(model, cast(RegionData, data), split)
        results |= {f"{prefix}_map50": values["ap50"], f"{prefix}_map": values["map"]}
    return results


def score(model: keras.Model, data: RegionData, split: str) -> dict[str, Any]:
    """The mean average precision of a model's detections on a split."""
    detections = detect_all(model, read_examples(data, split))
    return mean_average_precision(detections, data.proposals.truths(data, split))


HOOKS = Hooks(batches, prepare, complete, watch, scores)
