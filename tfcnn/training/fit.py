"""One run: the network built, trained from its newest checkpoint, and its best epoch evaluated."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import psutil
import tensorflow as tf

from tfcnn import cost, factory
from tfcnn.cli.signals import DeferredSignals
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import writing
from tfcnn.models.registry import backbone_of
from tfcnn.run_directory import SPEED, RunDirectory
from tfcnn.tasks import TASKS
from tfcnn.training import fused_kernels, recipes
from tfcnn.training.auxiliary import with_auxiliary
from tfcnn.training.batch_statistics import BatchStatistics
from tfcnn.training.callbacks import Keeper, Plateau, uncompiled
from tfcnn.training.checkpoint import Checkpoints
from tfcnn.training.class_weights import balanced_weights
from tfcnn.training.compile import check_drop_path, compile_model, freeze
from tfcnn.training.data import describe_fault, picture_of_batch, standardisation_of
from tfcnn.training.distribution import Devices
from tfcnn.training.grad_checkpoint import checkpoint_gradients
from tfcnn.training.history import best_epoch, out_of_patience
from tfcnn.training.hooks import hooks_of
from tfcnn.training.loop import Loop, build_metrics
from tfcnn.training.precision import use_dtype_policy
from tfcnn.training.progress import Progress
from tfcnn.training.schedules import schedule_of
from tfcnn.training.symptoms import Symptoms
from tfcnn.training.targets import match_of
from tfcnn.training.tensorboard import Profile, TensorBoard
from tfcnn.training.weight_average import WeightAverage
from tfcnn.weights import loading

if TYPE_CHECKING:
    from tfcnn.training.data import Data


USUAL_SCALE = 2.0  # of filters and blocks
USUAL_SIDE = 1024
USUAL_NUMBER = 8  # in --arch-args


def build_model(config: Config, data: Data) -> tuple[keras.Model, dict[str, Any]]:
    """The compiled network, and the facts for config.json: every decision that was taken, automatic ones included."""
    check_drop_path(config)
    arguments = _builder_arguments(config, data)
    check_memory(config, arguments)
    keras.utils.set_random_seed(config.seed)
    with use_dtype_policy(config) as dtype_policy:
        model = factory.build(config.arch, **arguments)
    loaded = None
    if config.weights is not None and not _has_checkpoint(config):
        loaded = loading.load(model, config.arch, config.weights, arguments, rgb=True)
    new_layers = _count_new_layers(config, loaded)
    frozen = freeze(model, backbone_of(config.arch, config.overrides), config.freeze)
    fused = fused_kernels.accelerate(model, config.distribution == "none") if config.kernels == "fused" else {}
    counts = _class_counts(config, data)
    weights = balanced_weights(counts) if counts and config.class_weights == "balanced" else None
    model = with_auxiliary(model, config)
    plan = checkpoint_gradients(model) if config.grad_checkpoint else None
    peak = compile_model(model, config, data.steps_per_epoch, data.task, data.std, weights, new_layers)
    table = cost.cost_table(uncompiled(model))
    match = match_of(model, data)
    standardisation = standardisation_of(config)
    if standardisation is not None:  # averaged where the data have another number of channels
        standardisation = standardisation._replace(mean=tuple(data.mean), std=tuple(data.std))
    return model, {
        "config": config.to_dict() | {"resume": False},
        "standardisation": None if standardisation is None else str(standardisation),
        "arguments": arguments,
        "targets": None if match is None else match.words,
        "weights": {"loaded": loaded and str(loaded), "new_layers": new_layers, "frozen_layers": frozen},
        "recipe": {
            "precision": dtype_policy,
            "learning_rate": peak,
            "fine_tuning": recipes.fine_tunes(config),
            "head_epochs": recipes.head_epochs(config),
            "steps_per_epoch": data.steps_per_epoch,
            "fused_kernels": fused,
            "grad_checkpoint": plan and plan.summary,
            "jit": bool(model.jit_compile),
            "onednn": fused_kernels.onednn(),
        },
        "cost": {"parameters": table.params, "macs": table.macs},
        "classes": {"counts": counts, "weights": weights},
        "data": data.facts(),
    }


def _class_counts(config: Config, data: Data) -> list[int] | None:
    """The training examples of each class, or its pixels; None: the task has none, or counting would take long."""
    if config.class_weights == "none" and data.labels("train") is None:
        return None
    return data.counts("train").tolist()


def _builder_arguments(config: Config, data: Data) -> dict[str, Any]:
    """The arguments of the network's builder; a resumed run has the form and stem that it was started with."""
    if config.resume and config.out is not None:
        saved = RunDirectory(config.out).read_config()["arguments"]
        started = {name: saved[name] for name in ("form", "stem") if name in saved}
        config = dataclasses.replace(config, arch_args=started | config.arch_args)
        return factory.arguments_of(config, data.image_shape, data.num_classes)
    return factory.arguments_of(config, data.image_shape, data.num_classes, config.weights)


def _count_new_layers(config: Config, loaded: loading.Loaded | None) -> int:
    """How many of the last layers learn first in fine-tuning: those that the weights left fresh, or the last layer.

    Of a run that is resumed from a checkpoint config.json tells.
    """
    if loaded is not None:
        return max(len(loaded.fresh), 1)
    if config.out is not None and _has_checkpoint(config) and recipes.head_epochs(config):
        return RunDirectory(config.out).read_config()["weights"]["new_layers"]
    return 1


def check_memory(config: Config, arguments: dict[str, Any]) -> None:
    """Raises BadInput where the weights and their gradients, or one example, exceed the memory of this machine.

    Networks of usual sizes are not looked at.
    """
    scales = [config.overrides["width"], config.overrides["depth"]]  # --arch-args may set a text
    scale = max((value for value in scales if isinstance(value, int | float)), default=USUAL_SCALE)
    side = max(filter(None, arguments["input_shape"][:-1]), default=0)
    numbers = [value for value in keras.tree.flatten(config.arch_args) if isinstance(value, int | float)]
    if scale <= USUAL_SCALE and side <= USUAL_SIDE and max(numbers, default=0) <= USUAL_NUMBER:
        return
    with cost.weightless():
        costs = cost.cost_table(factory.build(config.arch, **arguments))
    memory = costs.memory()
    needed = max(memory.parameters + memory.gradients, memory.inference)
    available = psutil.virtual_memory().total
    if needed > available:
        shape = "x".join(map(str, arguments["input_shape"]))
        raise BadInput(
            f"{config.arch} of {costs.params:,} parameters for inputs of {shape} takes "
            f"at least {needed / 2**30:,.0f} GiB, and this machine has {available / 2**30:,.0f} GiB of memory: "
            f"lower --width, --depth, --phi, --image-size or what --arch-args sets"
        )


def _has_checkpoint(config: Config) -> bool:
    """Whether the run is resumed from a checkpoint, which then gives it its weights."""
    return config.resume and config.out is not None and bool(Checkpoints.numbers(RunDirectory(config.out).checkpoints))


def fit(
    model: keras.Model,
    data: Data,
    config: Config,
    directory: RunDirectory,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    devices: Devices | None = None,
) -> list[dict[str, float]]:
    """Train to the end, from the newest checkpoint if there is one, and return the history.

    Args:
        model: compiled.
        data: as `devices` share them.
        config: the run.
        directory: of the run; it exists.
        callbacks: called before the results of an epoch are kept.
        devices: default: TensorFlow's default device.

    Raises:
        TrainingFailed: the loss or a weight is not finite, the disk is full, the data cannot be read any more, or
            another worker has stopped.
        KeyboardInterrupt: by Ctrl-C or SIGTERM, after a checkpoint.
    """
    devices = devices or Devices(Config())
    with devices.scope():
        average = WeightAverage(model, config.model_ema) if config.model_ema else None
    devices.run_on_each(lambda: build_metrics(model, data))
    checkpoints = Checkpoints(model, directory.checkpoints, average.averages if average else ())
    shipped = average.in_place if average else contextlib.nullcontext
    whole = _has_whole_best(model, directory)  # before the checkpoint restores the weights
    epoch, step, rows = checkpoints.restore()
    if not checkpoints.good and directory.history.exists():
        return _rows_without_checkpoint(directory, config, whole)
    directory.restore_history(rows)
    if not checkpoints.good:
        checkpoints.save(0, 0, [])  # tells at once of a disk that is too small; a step that fails is repeated from it
    elif not whole and best_epoch(rows) is not None:
        _rebuild_best(model, checkpoints, rows, directory, shipped)
    if epoch == config.epochs or (step == 0 and out_of_patience(rows, config.early_stop)):
        return rows
    watchers = [*_watchers(model, data, config, directory, rows, average), *callbacks]
    with DeferredSignals() as signals:
        keeper = Keeper(
            directory,
            checkpoints,
            rows,
            config.early_stop,
            every=config.checkpoint_every,
            shipped=shipped,
            signals=signals,
        )
        try:
            train_step = devices.prepare(model, [data.fingerprint, _shared_flags(config), epoch, step, rows])
            Loop(model, data, config, keeper, train_step).train(epoch, step, watchers)
        except tf.errors.OpError as error:
            failure = _failure_of(error, config)
            if failure is None:
                raise
            raise failure from error
    return rows


def _failure_of(error: tf.errors.OpError, config: Config) -> TrainingFailed | None:
    """What an error of TensorFlow says of a run whose worker or data failed; None of any other."""
    if "Collective ops is aborted" in str(error):
        return TrainingFailed(
            f"another worker has stopped or cannot be reached; start all of them again with --resume --out {config.out}"
        )
    if "IteratorGetNext" in str(error):
        return TrainingFailed(f"the data cannot be read any more: {describe_fault(config, error)}")
    return None


def _has_whole_best(model: keras.Model, directory: RunDirectory) -> bool:
    """Whether model.keras can be read to its end. Loads its weights into `model`, which a checkpoint then replaces."""
    if not directory.model_is_whole():
        return False
    try:
        uncompiled(model).load_weights(directory.model)
    except Exception:  # Keras, h5py and zipfile have one for each kind of damage
        return False
    return True


def _rebuild_best(
    model: keras.Model,
    checkpoints: Checkpoints,
    rows: list[dict[str, float]],
    directory: RunDirectory,
    shipped: Callable[[], contextlib.AbstractContextManager],
) -> None:
    """Write model.keras again from the checkpoint after the best epoch, then restore the newest checkpoint.

    Raises:
        TrainingFailed: there is no such checkpoint.
    """
    best = rows[best_epoch(rows) or 0]["epoch"]
    problem = f"'{directory.model}', the model of epoch {best}, the best so far, is damaged or missing"
    if not checkpoints.restore_best():
        raise TrainingFailed(f"{problem}, and so is the checkpoint of that epoch; start a new run with another --out")
    print(f"warning: {problem}; it is rebuilt from checkpoint {checkpoints.best}", file=sys.stderr)
    with writing(directory.model) as path, shipped():
        uncompiled(model).save(path)
    checkpoints.restore()


def _rows_without_checkpoint(directory: RunDirectory, config: Config, whole: bool) -> list[dict[str, float]]:
    """The history of a run that is trained to its end and has lost its checkpoints.

    Raises:
        TrainingFailed: there are epochs left to train, or the best model is lost, too.
    """
    rows = directory.read_history()
    if whole and (len(rows) == config.epochs or out_of_patience(rows, config.early_stop)):
        return rows
    lost = f"{config.epochs - len(rows)} epochs are left to train" if whole else f"'{directory.model}' is damaged"
    raise TrainingFailed(
        f"'{directory.checkpoints}' has no checkpoint, and {lost}: restore it from a copy, or start a new run with "
        f"another --out"
    )


def _shared_flags(config: Config) -> dict[str, Any]:
    """The flags that all workers of a run must have in common."""
    return config.to_dict() | {"resume": False}


def _watchers(
    model: keras.Model,
    data: Data,
    config: Config,
    directory: RunDirectory,
    rows: list[dict[str, float]],
    average: WeightAverage | None,
) -> list[keras.callbacks.Callback]:
    """The callbacks that flags ask for, in the order in which they are called."""
    steps = data.steps_per_epoch
    task = TASKS[data.task]
    shipped = average.in_place if average else contextlib.nullcontext
    callbacks = hooks_of(data.task).watch(model, data, rows, shipped)
    callbacks.append(Progress(config.epochs, steps, config.batch_size, task.watched.name, f"val_{task.headline.name}"))
    if average:
        callbacks.append(average)
    callbacks.append(BatchStatistics(data, average.replace if average else None))
    callbacks.append(Symptoms(data, config, rows, shipped))
    if config.sched == "plateau":
        callbacks.append(Plateau(schedule_of(model).share, rows, config.patience_epochs))
    if config.tensorboard:
        callbacks.append(TensorBoard(directory.path / "tensorboard", steps, partial(picture_of_batch, data)))
    if config.profiled_steps:
        first, last = config.profiled_steps
        callbacks.append(Profile(directory.path / "tensorboard", first, last, steps))
    return callbacks


def evaluate_best(
    model: keras.Model, data: Data, rows: list[dict[str, float]], directory: RunDirectory
) -> dict[str, Any]:
    """Load the best epoch's weights into `model`; its loss and metrics, and the run's speed.

    Raises:
        TrainingFailed: no epoch has a finite validation loss.
    """
    index = best_epoch(rows)
    if index is None:
        raise TrainingFailed(f"no epoch has a finite validation loss, so that '{directory.path}' has no model")
    best = rows[index]
    rates = [row[SPEED] for row in rows if row.get(SPEED)]  # earlier versions wrote 0 where nothing was measured
    uncompiled(model).load_weights(directory.model)
    test = model.evaluate(data.evaluation("test"), return_dict=True, verbose=0)
    return {
        **{f"test_{name}": value for name, value in test.items()},
        **{name: value for name, value in best.items() if name.startswith("val_")},
        **hooks_of(data.task).scores(model, data),
        "best_epoch": best["epoch"],
        "epochs": len(rows),
        SPEED: statistics.median(rates) if rates else None,
    }
