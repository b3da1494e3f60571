"""The data of a run."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipelines
from pipelines.augmentation.policy import Policy
from tfcnn.config import Config
from tfcnn.errors import BadInput, quote_names
from tfcnn.flag_values import randaugment_of, range_of
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory
from tfcnn.training.hooks import hooks_of

if TYPE_CHECKING:
    from pipelines.dataset import Data
    from tfcnn.weights.expectations import Standardisation

FITS = {None: None, "center": "crop", "border": "pad", "squash": "squash"}  # of pipelines, by --crop-mode

# `tfcnn.train` imports this file before TensorFlow, so what needs NumPy, TensorFlow or Matplotlib is imported in the
# functions.


def load_data(config: Config) -> Data:
    """The data set that `config` names, standardised as the weights that the run starts from expect it.

    Raises:
        BadInput: it has other than --num-classes classes.
        BadData: it cannot be used.
    """
    standardisation = standardisation_of(config)
    data = pipelines.load(
        config.dataset,
        task=registry.family_of(config.arch).task,
        image_size=config.input_sides(),
        image_scale=config.multipliers.resolution,
        batch_size=config.batch_size,
        seed=config.seed,
        augmentation=Policy(
            config.aa.partition("-")[0],
            hflip=config.hflip,
            vflip=config.vflip,
            scale=range_of(config.scale, 1),
            ratio=range_of(config.ratio, 10),
            randaugment=randaugment_of(config.aa),
            color_jitter=config.color_jitter,
            erase=config.reprob,
            margin=config.crop_margin,
            mixup=config.mixup,
            cutmix=config.cutmix,
        ),
        fit=FITS[config.crop_mode],
        mean=None if standardisation is None else standardisation.mean,
        std=None if standardisation is None else standardisation.std,
        data_dir=config.data_dir,
        data_memory=config.data_memory,
        on_bad_image=config.on_bad_image,
        max_bad=config.max_bad,
        channels=config.channels,
        mask_values=config.listed_mask_values,
        dataset_module=config.dataset_module,
        sound_length=config.sound_length,
        class_sampling=config.class_sampling,
    )
    if config.num_classes is not None and config.num_classes != data.num_classes:
        raise BadInput(
            f"'{config.dataset}' has {data.num_classes} classes, not {config.num_classes}: leave --num-classes out, "
            f"or see --dataset"
        )
    return hooks_of(data.task).batches(data, config)


def standardisation_of(config: Config) -> Standardisation | None:
    """What --mean and --std say, or a resumed run's config.json, or what the weights expect; None: the data decide.

    Raises:
        BadInput: no such file of weights, or one that cannot be read.
    """
    from tfcnn.weights.expectations import Standardisation, chosen_standardisation

    if config.resume and config.out is not None:
        facts = RunDirectory(config.out).read_config()["data"]
        return Standardisation(tuple(facts["mean"]), tuple(facts["std"]), source="as the run was started")
    return chosen_standardisation(config)


def check_same_data(config: Config, directory: RunDirectory, data: Data) -> None:
    """Raises BadInput if the run in `directory`, which `config` resumes, was started with other data."""
    if not config.resume:
        return
    change = describe_change(directory.read_config()["data"], data)
    if change:
        raise BadInput(
            f"the data have changed since the run in '{config.out}' was started: {change} (--dataset); "
            f"restore them, or start a new run with another --out"
        )


def describe_change(before: dict[str, Any], data: Data) -> str:
    """In which respect `data` differ from those with the facts `before`, by fingerprint; "" if they are the same."""
    fingerprint = before["fingerprint"]
    if data.fingerprint == fingerprint:
        return ""
    if data.fingerprint_of_positions == fingerprint:
        return (
            "the files are the same, but this version cuts validation and test images by content, "
            "and the version that started the run cut them by position"
        )
    added = [name for name in data.class_names if name not in before["class_names"]]
    gone = [name for name in before["class_names"] if name not in data.class_names]
    changes = [f"fingerprint {fingerprint} then, {data.fingerprint} now"]
    if added:
        changes.append(f"new classes: {quote_names(added)}")
    if gone:
        changes.append(f"classes gone: {quote_names(gone)}")
    examples = sum(before["sizes"].values())
    if examples != sum(data.sizes.values()):
        changes.append(f"{examples:,} examples then, {sum(data.sizes.values()):,} now")
    return "; ".join(changes)


def describe_duplicates(facts: dict[str, Any]) -> str:
    """The examples of the same content in two splits or under two classes, in words; "" if there are none.

    >>> describe_duplicates({"duplicates": {"test in train": 30}, "sizes": {"test": 30}, "task": "classification"})
    '30 of 30 test examples are also among the training examples (same bytes)'
    """
    counts = facts.get("duplicates", {})  # runs of earlier versions have none
    parts = []
    for split, other in (("test", "train"), ("validation", "train"), ("test", "validation")):
        count = counts.get(f"{split} in {other}")
        if count:
            size = facts["sizes"][split]
            verb = "is" if count == 1 else "are"
            among = "training" if other == "train" else other
            parts.append(f"{count:,} of {size:,} {split} examples {verb} also among the {among} examples")
    if count := counts.get("two targets"):
        targets = "masks" if facts["task"] == "segmentation" else "classes"
        parts.append(f"{count:,} {'example occurs' if count == 1 else 'examples occur'} under two {targets}")
    return "; ".join(parts) + " (same bytes)" if parts else ""


def describe_fault(config: Config, error: Exception) -> str:
    """What is wrong with the data, from reading them again; where that finds nothing, TensorFlow's own message."""
    try:
        load_data(config)
    except pipelines.BadData as bad:
        return bad.message
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)


def picture_of_batch(data: Data, most: int = 32) -> bytes:
    """The first training batch of up to `most` examples, drawn as PNG."""
    from pipelines.show import draw_batch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batch.png"
        draw_batch(dataclasses.replace(data, batch_size=min(most, data.batch_size)), path)
        return path.read_bytes()
