"""One run: the network built, trained from its newest checkpoint, and its best epoch evaluated."""

from __future__ import annotations

import dataclasses
import io
import statistics
from collections.abc import Sequence
from typing import Any

from tfcnn import factory
from tfcnn.cli.signals import DeferredSignals
from tfcnn.config import Config
from tfcnn.errors import TrainingFailed
from tfcnn.run_directory import RunDirectory
from tfcnn.training.data import fault_of


def build_model(config: Config, data) -> tuple[Any, dict[str, Any]]:
    """The compiled network, and what config.json keeps: every decision that was taken, automatic ones included."""
    import keras

    from tfcnn import cost
    from tfcnn.training import fused_kernels
    from tfcnn.training.checkpoint import Checkpoints
    from tfcnn.training.compile import check_drop_path, compile_model, freeze
    from tfcnn.training.precision import policy
    from tfcnn.weights import loading

    check_drop_path(config)
    keras.utils.set_random_seed(config.seed)
    with policy(config) as dtype_policy:
        arguments = factory.arguments_of(config, data.image_shape, data.num_classes, config.weights)
        model = factory.build(config.arch, **arguments)
    loaded = None
    if config.weights is not None and not (config.resume and Checkpoints.found(RunDirectory(config.out).checkpoints)):
        loaded = str(loading.load(model, config.arch, config.weights, arguments, rgb=True))
    frozen = freeze(model, config.arch, config.freeze)
    fused = fused_kernels.accelerate(model, config.distribution == "none") if config.kernels == "fused" else {}
    peak = compile_model(model, config, data.steps_per_epoch, data.task, data.std)
    table = cost.cost_table(model)
    return model, {
        "config": config.to_dict() | {"resume": False},
        "arguments": arguments,
        "weights": {"loaded": loaded, "frozen_layers": frozen},
        "recipe": {
            "precision": dtype_policy,
            "learning_rate": peak,
            "steps_per_epoch": data.steps_per_epoch,
            "fused_kernels": fused,
            "jit": bool(model.jit_compile),
            "onednn": fused_kernels.onednn(),
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

    from tfcnn.tasks import HEADLINES
    from tfcnn.training import loop, schedules
    from tfcnn.training.callbacks import Keeper, Plateau
    from tfcnn.training.checkpoint import Checkpoints
    from tfcnn.training.distribution import Devices
    from tfcnn.training.history import out_of_patience
    from tfcnn.training.progress import Progress
    from tfcnn.training.weight_average import WeightAverage

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
        callbacks.append(Plateau(schedules.schedule_of(model).share, rows, config.patience_epochs))
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


def observers(data, config: Config, directory: RunDirectory) -> list:
    """The callbacks that write what --tensorboard and --profile ask for."""
    from tfcnn.training.tensorboard import Profile, TensorBoard

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
    from tfcnn.training.callbacks import uncompiled
    from tfcnn.training.history import best_epoch

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
