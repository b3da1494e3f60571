"""The data of a run."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pipelines
from pipelines.augmentation.policy import Policy
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory

if TYPE_CHECKING:
    from pipelines.dataset import Data

# `tfcnn.train` imports this file before TensorFlow, so what needs NumPy, TensorFlow or Matplotlib is imported in the
# functions.


def load_data(config: Config) -> Data:
    """The data set that `config` names, standardised as the weights that the run starts from expect it."""
    from tfcnn.weights.expectations import expected_standardisation

    standardisation = expected_standardisation(config.arch, config.weights)
    return pipelines.load(
        config.dataset,
        task=registry.family_of(config.arch).task,
        image_size=config.image_size,
        image_scale=config.multipliers.resolution,
        batch_size=config.batch_size,
        seed=config.seed,
        augmentation=Policy(
            config.aa,
            hflip=config.hflip,
            color_jitter=config.color_jitter,
            erase=config.reprob,
            margin=config.crop_margin,
            mixup=config.mixup,
            cutmix=config.cutmix,
        ),
        mean=None if standardisation is None else standardisation.mean,
        std=None if standardisation is None else standardisation.std,
        data_dir=config.data_dir,
        data_memory=config.data_memory,
        on_bad_image=config.on_bad_image,
        max_bad=config.max_bad,
        mask_values=config.listed_mask_values,
        dataset_module=config.dataset_module,
        sound_length=config.sound_length,
    )


def check_same_data(config: Config, directory: RunDirectory, data: Data) -> None:
    """Raises BadInput if the run in `directory`, which `config` resumes, was started with other data."""
    if not config.resume:
        return
    before = directory.read_config()["data"]["fingerprint"]
    if data.fingerprint != before:
        raise BadInput(
            f"the data have changed since the run in '{config.out}' was started: fingerprint {before} then, "
            f"{data.fingerprint} now (--dataset); restore them, or start a new run with another --out"
        )


def describe_fault(config: Config, error: Exception) -> str:
    """What is wrong with the data, from reading them again; where that finds nothing, TensorFlow's own message."""
    try:
        load_data(config)
    except pipelines.BadData as bad:
        return str(bad)
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)


def picture_of_batch(data: Data, most: int = 32) -> bytes:
    """The first training batch of up to `most` examples, drawn as PNG."""
    from pipelines.show import draw_batch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batch.png"
        draw_batch(dataclasses.replace(data, batch_size=min(most, data.batch_size)), path)
        return path.read_bytes()
