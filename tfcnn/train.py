"""The main job: `python -m tfcnn.train --arch mobilenet`.

Trains an architecture on a data set and leaves a run directory with its configuration, history, metrics, curves, best
model and SavedModel. TensorFlow is imported inside `run`, after everything that can be checked without it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pipelines
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.signals import Interrupted
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput
from tfcnn.files import write_json
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory, default_path
from tfcnn.training import recipes
from tfcnn.training.cluster import working
from tfcnn.training.data import check_same_data, load_data
from tfcnn.training.fit import build_model, evaluate_best, fit


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
    from tfcnn.export.savedmodel import export_savedmodel
    from tfcnn.training import report, time_budget
    from tfcnn.training.distribution import Devices
    from tfcnn.training.tensorboard import check_profile

    devices = Devices(config)
    data = devices.share(load_data(config))
    check_same_data(config, data)
    if config.time and not config.resume:
        config = time_budget.within_time(config, data, build_model, started)
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
        directory = RunDirectory.open(config.out)
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


def resumed(given: dict[str, Any]) -> Config:
    """The configuration of the run to continue. Raises BadInput if `given` flags say something else than it."""
    config, directory = Config(**given), RunDirectory.open(given.get("out"))
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
