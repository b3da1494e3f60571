"""What the user is told of a run: what is about to be trained, and what came of it."""

from __future__ import annotations

import sys
from typing import Any

from tfcnn.config import Config
from tfcnn.files import write_json, writing
from tfcnn.run_directory import BAD_FILES, RunDirectory
from tfcnn.tasks import HEADLINES
from tfcnn.training.progress import duration
from tfcnn.training.provenance import provenance
from tfcnn.visualize.curves import draw_curves


def introduce(config: Config, facts: dict[str, Any], devices: int = 1) -> None:
    """Say what is about to be trained, and which decisions were taken automatically."""
    data, arguments, recipe = facts["data"], facts["arguments"], facts["recipe"]
    sizes = ", ".join(f"{count:,} {split}" for split, count in data["sizes"].items())
    shape = "x".join(map(str, data["image_shape"]))
    classes = f", {data['num_classes']} classes" if data["num_classes"] else ""
    print(f"data       {data['name']}: {sizes} examples of {shape}{classes}; {data['storage']}")
    if data["notes"]:
        print("converted  " + ", ".join(f"{count:,} {what}" for what, count in data["notes"].items()))
    if data["bad"]:
        print(f"left out   {data['bad']:,} files that cannot be used: see {BAD_FILES} in the run directory")
    print(
        f"network    {config.arch}: {facts['cost']['parameters']:,} parameters, "
        f"{facts['cost']['macs'] / 1e6:,.1f} million MACs an image"
    )
    if facts["weights"]["loaded"]:
        print(f"weights    {facts['weights']['loaded']}")
    if config.freeze != "none":
        print(f"frozen     {facts['weights']['frozen_layers']} layers (--freeze {config.freeze})")
    if arguments.get("stem") == "cifar" and "stem" not in config.arch_args:
        print("stem       cifar: keeps the resolution of these small images (--arch-args stem=imagenet for the other)")
    if config.distribution != "none":
        print(
            f"devices    {devices} ({config.distribution}), which share the {config.batch_size} images of a step: "
            f"{config.batch_size // devices} each"
        )
    name = "" if config.recipe == "default" else f"{config.recipe}: "
    chosen = config.precision == "auto" and recipe["precision"] != "float32"
    print(
        f"recipe     {name}{config.opt}, learning rate {recipe['learning_rate']:g}, {config.epochs} epochs of "
        f"{recipe['steps_per_epoch']} steps of {config.batch_size} images, {recipe['precision']}"
        f"{' (--precision float32 for full precision)' if chosen else ''}{', XLA' if recipe['jit'] else ''}"
    )
    counts = [(count, what) for what, count in recipe["fused_kernels"].items() if count]
    fused = ", ".join(f"{count} {what.removesuffix('s') if count == 1 else what}" for count, what in counts)
    kernels = [f"fused: {fused} (--kernels keras for Keras' own operations)"] if fused else []
    kernels += ["oneDNN (TF_ENABLE_ONEDNN_OPTS=0 for none)"] if recipe["onednn"] else []
    if kernels:
        print(f"kernels    {'; '.join(kernels)}")
    calls = {None: "as many as take a tenth of a second", 1: "one"}.get(config.steps_per_call, config.steps_per_call)
    print(f"steps      in one call of TensorFlow: {calls} (--steps-per-execution)")
    sys.stdout.flush()


def finish(metrics: dict[str, Any], facts: dict[str, Any], rows, directory: RunDirectory, seconds: float) -> None:
    """Write metrics and curves, and say how it went."""
    write_json(directory.metrics, metrics | facts["cost"] | provenance(seconds))
    title = f"{facts['config']['arch']} on {facts['data']['name']}"
    headline = HEADLINES[facts["data"]["task"]]
    validation, test = (metrics[f"{split}_{headline.name}"] for split in ("val", "test"))
    with writing(directory.curves) as path:
        draw_curves(rows, path, title=title, headline=headline, best=metrics["best_epoch"], test=test)
    print(
        f"\nbest epoch         {metrics['best_epoch']} of {metrics['epochs']}, "
        f"validation {headline.label} {headline.form.format(validation)}\n"
        f"{'test ' + headline.label:17}  {headline.form.format(test)} of {facts['data']['sizes']['test']:,} images\n"
        f"images per second  {metrics['images_per_second']:,.0f} in training; {duration(seconds)} in all\n"
        f"run directory      {directory.path}"
    )
