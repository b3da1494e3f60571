"""Networks of one architecture in several sizes, each trained with some seeds: what `tuning.scale` compares."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

from tfcnn import factory, train
from tfcnn.cli.signals import Interrupted
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import read_json
from tfcnn.run_directory import RunDirectory

# Fields of Config that are set here, or not for a study.
OWN = ("phi", "compound", "out", "resume", "time", "tensorboard", "profile", "distribution")


class Cost(NamedTuple):
    """Of the network that a configuration builds; `side` is its image's, in pixels."""

    params: int
    macs: int
    side: int
    trainable: int


def price(config: Config, side: int, channels: int, classes: int) -> Cost:
    """What a configuration costs on images of `side` pixels before --phi scales them. Allocates no weights."""
    from tfcnn import cost

    side = config.scaled_side(side)
    arguments = factory.arguments_of(config, (side, side, channels), classes)
    with cost.weightless():
        table = cost.cost_table(factory.build(config.arch, **arguments))
    return Cost(table.params, table.macs, side, table.trainable)


def trained(configs: list[Config]) -> list[float]:
    """Validation accuracy of each run, in its own directory; one that is finished there is not trained again.

    A run that fails has nan. Prints a line for each. Raises Interrupted.
    """
    found, took = [], []
    for number, config in enumerate(configs, start=1):
        run, began = RunDirectory(config.out), time.monotonic()
        if not run.metrics.exists():
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    train.run(dataclasses.replace(config, resume=run.config.exists()))
            except Interrupted as stop:
                raise Interrupted("interrupted; the same command continues the study", stop.__cause__) from stop
            except TrainingFailed as error:
                print(f"run {number} of {len(configs)}: {run.path.name} failed: {error}", flush=True)
                found.append(math.nan)
                continue
            took.append(time.monotonic() - began)
        found.append(run.read_metrics()["val_accuracy"])
        left = statistics.fmean(took) * (len(configs) - number) if took else 0
        print(f"run {number} of {len(configs)}: {run.path.name} {found[-1]:.2%}, {left:,.0f} s left", flush=True)
    return found


def with_seeds(config: Config, seeds: int, study: Path, name: str) -> list[Config]:
    """The runs of one network: seeds from the configuration's on, each in a directory of the study."""
    return [
        dataclasses.replace(config, seed=seed, out=str(study / f"{name}-seed{seed}"))
        for seed in range(config.seed, config.seed + seeds)
    ]


def check_study(study: Path, config: Config) -> dict[str, Any]:
    """What scale.json must hold of the configuration. Raises BadInput if the study there was made with another."""
    shared = {name: value for name, value in config.to_dict().items() if name not in (*OWN, "recipe")}
    if (study / "scale.json").exists():
        before = read_json(study / "scale.json").get("config", {})
        for name, value in shared.items():
            if name in before and before[name] != value:
                raise BadInput(
                    f"the study in '{study}' was made with {flag_of(name)} {before[name]}, not {value}: "
                    f"give that, or another --study"
                )
    elif study.exists() and (not study.is_dir() or any(study.iterdir())):
        raise BadInput(f"'{study}' is no study of tuning.scale: give another --study")
    return {"config": shared}


def image_shape(data) -> tuple[int, ...]:
    """(height, width, channels) of the data. Raises BadInput if they are no images."""
    if len(data.image_shape) != 3:
        raise BadInput(f"'{data.name}' has no images, whose size could be scaled (--dataset)")
    return data.image_shape
