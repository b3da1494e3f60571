"""The training of detectors: batches of regions, proposals before the first step, and R-CNN's SVMs after the last."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

from tfcnn.detection.detector import detect_all
from tfcnn.detection.examples import read_examples
from tfcnn.detection.metrics import mean_average_precision
from tfcnn.errors import BadInput
from tfcnn.training import rcnn
from tfcnn.training.hooks import Hooks
from tfcnn.training.regions import RegionData

if TYPE_CHECKING:
    import keras

    from tfcnn.config import Config
    from tfcnn.run_directory import RunDirectory
    from tfcnn.training.data import Data

MIRRORED = 0.5  # share of the training images
# Of an image in a batch. Fast R-CNN: 128 of two images in the paper, half of them here. R-CNN: 32 objects and 96 of the
# background in the paper's batch, here of eight images instead of all.
REGIONS = {"fast_rcnn": 64, "rcnn": 16}


def batches(data: Data, config: Config) -> RegionData:
    """The data with batches of images and regions. Raises BadInput for flags that would move the images."""
    if config.aa != "none" or data.augmentation.changes_examples:
        raise BadInput(
            f"{config.arch} mirrors images and augments them no further, so that proposals stay true: leave --aa, "
            f"--color-jitter, --reprob and --crop-margin out"
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


HOOKS = Hooks(batches, prepare, complete, scores)
