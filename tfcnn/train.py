"""The main job: `python -m tfcnn.train --arch mobilenet`.

Trains an architecture on a data set and leaves a run directory with its configuration, history, metrics, curves, best
model and SavedModel. TensorFlow is imported inside `run`, after everything that can be checked without it.
"""

from __future__ import annotations

import dataclasses
import io
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pipelines
from tfcnn import factory, recipes
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.signals import DeferredSignals, Interrupted
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import write_json
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory, default_path
from tfcnn.worker import working


def run(config: Config, callbacks: Sequence = ()) -> RunDirectory:
    """Train as `config` says.

    Args:
        config: the run.
        callbacks: of Keras, called before what the epoch has brought is kept; what they raise ends the run.

    Returns:
        RunDirectory: the files of the run; its `read_metrics()` has the test accuracy.

    Raises:
        BadInput, pipelines.BadData: before anything is written.
        TrainingFailed: the loss is not finite; the disk is full; the data are broken under way.
        Interrupted: by Ctrl-C or SIGTERM; the run can be resumed.
    """
    started = time.monotonic()
    with working(config, check(config)) as directory:
        return trained(config, directory, started, callbacks)


def trained(config: Config, directory: RunDirectory, started: float, callbacks: Sequence) -> RunDirectory:
    """`run`, once all that needs no TensorFlow is known to be right."""
    import_tensorflow()
    from tfcnn import budget, report
    from tfcnn.distribution import Devices
    from tfcnn.export.savedmodel import export_savedmodel
    from tfcnn.tensorboard import check_profile

    devices = Devices(config)
    data = devices.share(load_data(config))
    check_same_data(config, data)
    if config.time and not config.resume:
        config = budget.within_time(config, data, build_model, started)
    check_profile(config.profiled_steps, config.epochs * data.steps_per_epoch)
    with devices.scope():
        model, facts = build_model(config, data)
        model.optimizer.build(model.trainable_variables)  # its variables, too, are made in the scope
    report.introduce(config, facts, devices.replicas)
    directory = made(config, directory)
    with directory.locked():
        directory.remove_drafts()
        if not config.resume:
            write_json(directory.config, facts)
            directory.write_bad_files(data.bad)
        try:
            rows = fit(model, data, config, directory, callbacks, devices)
            if not devices.worker.chief:
                print(f"\nworker {devices.worker.index + 1} of {devices.worker.count} is done; the first has the run")
                return RunDirectory(config.out)
            metrics = evaluate_best(model, data, rows, directory)
            export_savedmodel(model, directory.saved_model, facts["data"])
            report.finish(metrics, facts, rows, directory, seconds=time.monotonic() - started)
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"interrupted; continue with: python -m tfcnn.train --resume --out {config.out or directory.path}", stop
            ) from stop
    return directory


def check(config: Config) -> RunDirectory:
    """The run directory, once all that needs no TensorFlow is known to be right. Raises BadInput or BadData."""
    registry.family_of(config.arch)
    if config.image_size is not None:
        registry.check_size(config.arch, config.image_size)
    pipelines.check_name(config.dataset)
    if config.weights not in (None, "imagenet") and not config.resume and not Path(config.weights).is_file():
        raise BadInput(f"no file '{config.weights}': give imagenet, or the path of a file with weights (--weights)")
    if config.resume:
        directory = RunDirectory.opened(config.out)
        directory.check_free()
        return directory
    directory = RunDirectory(config.out or default_path(config.arch, config.dataset))
    directory.check_new()
    return directory


def made(config: Config, directory: RunDirectory) -> RunDirectory:
    """The directory, made if the run is new; under another name if that of a run without --out was taken meanwhile."""
    while not config.resume:
        try:
            directory.make()
            break
        except (BadInput, FileExistsError):
            if config.out:
                directory.check_new()
                raise
            directory = RunDirectory(default_path(config.arch, config.dataset))
    return directory


def load_data(config: Config):
    """The pipelines.data.Data that `config` names, standardised as the weights that it starts from expect."""
    from tfcnn.weights.expectations import standard

    standardised = standard(config.arch, config.weights)
    overrides = {"color_jitter": config.color_jitter, "erase": config.reprob}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    if config.crop_margin is not None:
        overrides |= {"margin": config.crop_margin, "scale": (1.0, 1.0)}
    return pipelines.load(
        config.dataset,
        task=registry.family_of(config.arch).task,
        image_size=config.image_size,
        image_scale=config.multipliers.resolution,
        batch_size=config.batch_size,
        seed=config.seed,
        augmentation=config.aa,
        hflip=config.hflip,
        overrides=overrides | {"mixup": config.mixup, "cutmix": config.cutmix},
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


def build_model(config: Config, data) -> tuple[Any, dict[str, Any]]:
    """The compiled network, and what config.json keeps: every decision that was taken, automatic ones included."""
    import keras

    from tfcnn import acceleration, cost, recipe
    from tfcnn.checkpoint import Checkpoints
    from tfcnn.weights import loading

    recipe.check_drop_path(config)
    keras.utils.set_random_seed(config.seed)
    with recipe.policy(config) as precision:
        arguments = factory.arguments_of(config, data.image_shape, data.num_classes, config.weights)
        model = factory.build(config.arch, **arguments)
    loaded = None
    if config.weights is not None and not (config.resume and Checkpoints.found(RunDirectory(config.out).checkpoints)):
        loaded = str(loading.load(model, config.arch, config.weights, arguments, rgb=True))
    frozen = recipe.freeze(model, config.arch, config.freeze)
    fused = acceleration.accelerate(model, config.distribution == "none") if config.kernels == "fused" else {}
    peak = recipe.compile_model(model, config, data.steps_per_epoch, data.task, data.std)
    table = cost.cost_table(model)
    return model, {
        "config": config.to_dict() | {"resume": False},
        "arguments": arguments,
        "weights": {"loaded": loaded, "frozen_layers": frozen},
        "recipe": {
            "precision": precision,
            "learning_rate": peak,
            "steps_per_epoch": data.steps_per_epoch,
            "fused_kernels": fused,
            "jit": bool(model.jit_compile),
            "onednn": acceleration.onednn(),
        },
        "cost": {"parameters": table.params, "macs": table.macs},
        "data": data.facts(),
    }


def fit(
    model, data, config: Config, directory: RunDirectory, others: Sequence = (), devices=None
) -> list[dict[str, float]]:
    """Train to the end, from the newest checkpoint where there is one, and return the history.

    On one device, or on those of a tfcnn.distribution.Devices.
    """
    import tensorflow as tf

    from tfcnn import loop, recipe
    from tfcnn.checkpoint import Checkpoints, Keeper, Plateau, out_of_patience
    from tfcnn.distribution import Devices
    from tfcnn.progress import Progress
    from tfcnn.tasks import HEADLINES
    from tfcnn.weight_average import WeightAverage

    devices = devices or Devices(Config())
    with devices.scope():
        average = WeightAverage(model, config.model_ema) if config.model_ema else None
    devices.each(lambda: loop.build_metrics(model, data))
    checkpoints = Checkpoints(model, directory.checkpoints, average.averages if average else ())
    epoch, step, rows = checkpoints.restore()
    directory.restore_history(rows)
    if not checkpoints.good:
        checkpoints.save(0, 0, [])  # a disk that is too small is told now; and where a step that fails is done again
    if epoch == config.epochs or (step == 0 and out_of_patience(rows, config.early_stop)):
        return rows
    callbacks = [Progress(config.epochs, data.steps_per_epoch, config.batch_size, HEADLINES[data.task].name)]
    if average:
        callbacks.append(average)
    if config.sched == "plateau":
        callbacks.append(Plateau(recipe.schedule_of(model).share, rows, config.patience_epochs))
    callbacks += [*observers(data, config, directory), *others]
    with DeferredSignals() as signals:
        shipped = {"shipped": average.in_place} if average else {}
        every = config.checkpoint_every
        callbacks.append(
            Keeper(directory, checkpoints, rows, config.early_stop, every=every, signals=signals, **shipped)
        )
        try:
            same = [data.fingerprint, config.to_dict() | {"resume": False}, epoch, step, rows]
            steps = {
                "steps_per_call": config.steps_per_call,
                "every": every,
                "train_step": devices.prepare(model, same),
            }
            loop.train(model, data, config.epochs, checkpoints, (epoch, step), callbacks, **steps)
        except tf.errors.OpError as error:
            if "Collective ops is aborted" in str(error):
                raise TrainingFailed(
                    f"another worker has stopped or cannot be reached; start all of them again with --resume --out "
                    f"{config.out}"
                ) from error
            if "IteratorGetNext" not in str(error):
                raise
            raise TrainingFailed(f"the data cannot be read any more: {fault_of(config, error)}") from error
    return rows


def fault_of(config: Config, error: Exception) -> str:
    """What is wrong with the data, by another look at them; what TensorFlow says if that sees nothing."""
    try:
        load_data(config)
    except pipelines.BadData as found:
        return str(found)
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)


def observers(data, config: Config, directory: RunDirectory) -> list:
    """The callbacks that write what --tensorboard and --profile ask for."""
    from tfcnn.tensorboard import Profile, TensorBoard

    folder, found = directory.path / "tensorboard", []
    if config.tensorboard:
        from pipelines.show import draw_batch

        picture = io.BytesIO()
        draw_batch(dataclasses.replace(data, batch_size=min(32, data.batch_size)), picture)
        found.append(TensorBoard(folder, data.steps_per_epoch, picture.getvalue()))
    if config.profiled_steps:
        found.append(Profile(folder, *config.profiled_steps, data.steps_per_epoch))
    return found


def evaluate_best(model, data, rows: list[dict[str, float]], directory: RunDirectory) -> dict[str, Any]:
    """Load the best epoch's weights into `model`; its loss and metrics, and the run's speed."""
    from tfcnn.checkpoint import best_epoch, uncompiled

    if (index := best_epoch(rows)) is None:
        raise TrainingFailed(f"no epoch has a finite validation loss, so that '{directory.path}' has no model")
    best = rows[index]
    rates = [row["images_per_second"] for row in rows if row["images_per_second"]]  # 0: resumed after its last step
    uncompiled(model).load_weights(directory.model)
    test = model.evaluate(data.evaluation("test"), return_dict=True, verbose=0)
    return {
        **{f"test_{name}": value for name, value in test.items()},
        **{name: value for name, value in best.items() if name.startswith("val_")},
        "best_epoch": best["epoch"],
        "epochs": len(rows),
        "images_per_second": statistics.median(rates or [0.0]),
    }


def resumed(given: dict[str, Any]) -> Config:
    """The configuration of the run to continue. Raises BadInput if `given` flags say something else than it."""
    config, directory = Config(**given), RunDirectory.opened(given.get("out"))
    try:
        facts = directory.read_config()
        saved, _ = facts["config"] | {"out": config.out, "resume": True}, facts["data"]["fingerprint"]
        kept = Config(**saved)
    except (KeyError, TypeError) as error:
        raise BadInput(f"'{directory.config}' is damaged: {error!r}; train anew with another --out") from error
    for name in given:
        if getattr(config, name) != getattr(kept, name):
            raise BadInput(
                f"the run in '{config.out}' was started with {flag_of(name)} {getattr(kept, name)}, "
                f"not {getattr(config, name)}; leave {flag_of(name)} out to continue it"
            )
    return kept


def main() -> None:
    parser = Parser(prog="python -m tfcnn.train", description=__doc__.split("\n\n")[1])
    add_flags(parser)
    given = vars(parser.parse_args())
    if {"time", "epochs"} <= set(given) and not given.get("resume"):
        raise BadInput(f"--time {given['time']} finds the number of epochs itself: leave --epochs or --time out")
    config = resumed(given) if given.get("resume") else recipes.resolve(given)
    if config.resume and (metrics := RunDirectory(config.out).metrics).exists():
        print(f"the run in '{config.out}' is finished: see {metrics}")
        return
    run(config)


if __name__ == "__main__":
    sys.exit(run_main(main))
