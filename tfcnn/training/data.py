"""The data of a run."""

from __future__ import annotations

import pipelines
from pipelines.augmentation.policy import Policy
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory


def load_data(config: Config):
    """The pipelines.dataset.Data that `config` names, standardised as the weights that it starts from expect."""
    from tfcnn.weights.expectations import standard

    standardised = standard(config.arch, config.weights)
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
        mean=standardised and standardised.mean,
        std=standardised and standardised.std,
        data_dir=config.data_dir,
        data_memory=config.data_memory,
        on_bad_image=config.on_bad_image,
        max_bad=config.max_bad,
    )


def check_same_data(config: Config, data) -> None:
    """Raises BadInput if a run to be continued was started with other data."""
    if config.resume:
        before = RunDirectory(config.out).read_config()["data"]["fingerprint"]
        if data.fingerprint != before:
            raise BadInput(
                f"the data have changed since the run in '{config.out}' was started: fingerprint {before} then, "
                f"{data.fingerprint} now (--dataset); bring them back, or train anew with another --out"
            )


def fault_of(config: Config, error: Exception) -> str:
    """What is wrong with the data, by another look at them; what TensorFlow says if that sees nothing."""
    try:
        load_data(config)
    except pipelines.BadData as found:
        return str(found)
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
