"""Networks of one architecture in several sizes, each trained with some seeds: what `tuning.scale` compares."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn import train
from tfcnn.cli.signals import Interrupted
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import read_json
from tfcnn.run_directory import RunDirectory
from tuning.budgets import table_of

if TYPE_CHECKING:
    from pipelines.dataset import Data

# Fields of Config that a study sets or does without.
NOT_SHARED = ("phi", "compound", "out", "resume", "time", "log", "tensorboard", "profile", "distribution")


class NetworkCost(NamedTuple):
    """Of the network that a configuration builds."""

    params: int
    macs: int
    side: int  # of its images, in pixels
    trainable: int


def cost_of(config: Config, side: int, channels: int, classes: int) -> NetworkCost:
    """What a configuration costs on images of `side` pixels, before --phi scales them. Allocates no weights."""
    side = config.scaled_side(side)
    table = table_of(config, (side, side, channels), classes)
    return NetworkCost(table.params, table.macs, side, table.trainable)


def train_all(configs: list[Config]) -> list[float]:
    """Validation accuracy of each run, nan if it fails. Finished runs are read, others trained or resumed.

    Prints a line for each. Raises Interrupted.
    """
    accuracies: list[float] = []
    seconds: list[float] = []
    for number, config in enumerate(configs, start=1):
        assert config.out is not None
        run = RunDirectory(config.out)
        began = time.monotonic()
        if not run.finished:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    train.run(dataclasses.replace(config, resume=run.config.exists()))
            except Interrupted as stop:
                stop.args = ("interrupted; the same command continues the study",)
                raise
            except TrainingFailed as error:
                print(f"run {number} of {len(configs)}: {run.path.name} failed: {error}", flush=True)
                accuracies.append(math.nan)
                continue
            seconds.append(time.monotonic() - began)
        accuracies.append(run.read_metrics()["val_accuracy"])
        left = statistics.fmean(seconds) * (len(configs) - number) if seconds else 0
        print(f"run {number} of {len(configs)}: {run.path.name} {accuracies[-1]:.2%}, {left:,.0f} s left", flush=True)
    return accuracies


def repeat_with_seeds(config: Config, seeds: int, study: Path, name: str) -> list[Config]:
    """The runs of one network: seeds from the configuration's up, each with a directory in the study."""
    return [
        dataclasses.replace(config, seed=seed, out=str(study / f"{name}-seed{seed}"))
        for seed in range(config.seed, config.seed + seeds)
    ]


def check_study(study: Path, config: Config) -> None:
    """Raises BadInput if the folder is of a study with another configuration, or of something else."""
    file = study / "scale.json"
    if file.exists():
        before = read_json(file).get("config", {})
        for name, value in shared_fields(config).items():
            if name in before and before[name] != value:
                raise BadInput(
                    f"the study in '{study}' was made with {flag_of(name)} {before[name]}, not {value}: "
                    f"give that, or another --study"
                )
    elif study.exists() and (not study.is_dir() or any(study.iterdir())):
        raise BadInput(f"'{study}' is no study of tuning.scale: give another --study")


def shared_fields(config: Config) -> dict[str, Any]:
    """The fields of Config that all runs of a study share, which scale.json keeps as "config"."""
    return {name: value for name, value in config.to_dict().items() if name not in (*NOT_SHARED, "recipe")}


def check_images(data: Data) -> tuple[int, int, int]:
    """(height, width, channels) of the data. Raises BadInput if it is not images."""
    if len(data.image_shape) != 3:
        raise BadInput(f"'{data.name}' has no images, whose size could be scaled (--dataset)")
    height, width, channels = data.image_shape
    if height != width:
        raise BadInput(f"scaling is of square images, got {height}x{width}: give one number (--image-size)")
    return height, width, channels


def format_seeds(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"
