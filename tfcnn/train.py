"""The main job: `python -m tfcnn.train --arch mobilenet`.

Trains an architecture on a data set and leaves a run directory with its configuration, history, metrics, curves, best
model and SavedModel.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pipelines
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.signals import Interrupted
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config, flag_of
from tfcnn.config_files import describe_config, read_config
from tfcnn.errors import BadInput, check_packages
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.run_directory import RunDirectory, default_path
from tfcnn.seeds import parse_seeds, train_runs, words_of
from tfcnn.training import recipes
from tfcnn.training.cluster import worker_directory
from tfcnn.training.data import check_same_data, load_data
from tfcnn.training.hooks import hooks_of
from tfcnn.training.log import RunLog
from tfcnn.training.stages import Stages, age_of_process
from tfcnn.weights.formats import check_weights

if TYPE_CHECKING:
    import keras

    from tfcnn.training.data import Data
    from tfcnn.training.distribution import Devices
    from tfcnn.training.rate_finder import Sweep

# TensorFlow takes seconds to start: what imports it is imported in functions, after every check that does without it.


def run(
    config: Config, callbacks: Sequence[Any] = (), *, dry_run: bool = False, stages: Stages | None = None
) -> RunDirectory:
    """Train as `config` says.

    Args:
        config: the run. With `weights` it is fine-tuned, whether `recipes.resolve` built it or not.
        callbacks: of Keras, called before the results of an epoch are kept; an exception in one ends the run.
        dry_run: whether to print what would be trained, and write nothing.
        stages: a clock that says how long each part takes.

    Returns:
        RunDirectory: the files of the run; its `read_metrics()` has the test accuracy.

    Raises:
        BadInput, pipelines.BadData: before anything is written.
        TrainingFailed: the loss is not finite; the disk is full (DiskFull); the data break during training.
        Interrupted: by Ctrl-C or SIGTERM; the run can be resumed.
    """
    started = time.monotonic()
    stages = stages or Stages(verbose=False)
    config = recipes.complete(config)
    chosen = check(config)
    with worker_directory(config, chosen) as directory, RunLog() as log:
        import_tensorflow()
        from tfcnn.training import report
        from tfcnn.training.callbacks import FirstStep
        from tfcnn.training.fit import fit
        from tfcnn.training.trackers.tracking import tracked

        stages.end("start and imports")
        config, devices, data, model, facts, sweep = _prepare(config, directory, stages, started)
        report.introduce(config, facts, devices.replicas)
        if dry_run:
            return chosen
        directory = make_directory(config, directory)
        trackers = config.trackers if devices.worker.chief else ()
        with (
            directory.removed_unless_begun(),
            directory.locked(),
            resumable(config, directory),
            tracked(trackers, facts, directory, config.resume) as tracking,
        ):
            if not config.resume:
                directory.write_config(facts)
            log.begin(directory.log)
            report.draw_rates(sweep, directory)
            directory.write_bad_files(data.bad)
            hooks_of(data.task).prepare(data, directory)
            stages.begin()
            rows = fit(model, data, config, directory, [*callbacks, tracking, FirstStep(stages.end)], devices)
            stages.end("the other steps and validations")
            if not devices.worker.chief:
                report.leave_to_chief(devices.worker)
                return chosen
            hooks_of(data.task).complete(model, data, config, directory)
            metrics = _write_results(model, data, facts, rows, directory, stages)
            report.finish(metrics, facts, rows, directory, seconds=time.monotonic() - started)
            tracking.finish()
    return directory


class _Prepared(NamedTuple):
    """What a run is made of before its directory is."""

    config: Config  # with the epochs of --time and the rate of --lr auto
    devices: Devices
    data: Data
    model: keras.Model
    facts: dict[str, Any]
    sweep: Sweep | None  # of --lr auto


def _prepare(config: Config, directory: RunDirectory, stages: Stages, started: float) -> _Prepared:
    """Read the data and build the network. Writes nothing. Raises BadInput or BadData."""
    from tfcnn.training.distribution import Devices
    from tfcnn.training.fit import build_model
    from tfcnn.training.rate_finder import settle_rate
    from tfcnn.training.targets import match_masks
    from tfcnn.training.tensorboard import check_profile
    from tfcnn.training.time_budget import settle_epochs

    devices = Devices(config)
    data = devices.share(stages.time("data", load_data, config))
    check_same_data(config, directory, data)
    config, sweep = stages.time("learning rate", settle_rate, config, directory, data)
    config = settle_epochs(config, data, started)
    check_profile(config.profiled_steps, config.epochs * data.steps_per_epoch)
    with devices.scope():
        model, facts = stages.time("build", build_model, config, data)
        facts["recipe"]["range_test"] = sweep is not None
        model.optimizer.build(model.trainable_variables)  # its variables belong in the scope, too
    return _Prepared(config, devices, match_masks(data, model), model, facts, sweep)


def _write_results(
    model: keras.Model,
    data: Data,
    facts: dict[str, Any],
    rows: list[dict[str, float]],
    directory: RunDirectory,
    stages: Stages,
) -> dict[str, Any]:
    """Evaluate the best epoch, draw its examples, and export it. Returns the metrics."""
    from tfcnn.export.savedmodel import export_savedmodel
    from tfcnn.training import report
    from tfcnn.training.callbacks import uncompiled
    from tfcnn.training.fit import evaluate_best

    metrics = stages.time("evaluation", evaluate_best, model, data, rows, directory)
    best = uncompiled(model)  # of one device, without auxiliary classifiers
    stages.time("pictures", report.draw_sheet, best, data, facts, directory)
    stages.time("export", export_savedmodel, best, directory.saved_model, facts["data"])
    return metrics


def check_values(config: Config) -> None:
    """Check all that needs neither TensorFlow nor the run directory. Raises BadInput or BadData."""
    family = registry.family_of(config.arch)
    task = family.task
    if config.class_weights != "none" and task in ("reconstruction", "detection"):
        learns = "regions, not classes alone" if task == "detection" else "no classes"
        raise BadInput(f"{config.arch} learns {learns}: leave --class-weights {config.class_weights} out")
    if config.grad_checkpoint and task == "detection":
        raise BadInput(
            f"{config.arch} computes regions of a number that varies, which --grad-checkpoint cannot plan: leave it out"
        )
    sides = config.input_sides(family.axes)
    if sides is not None:
        registry.check_size(config.arch, sides)
    pipelines.check_name(config.dataset, config.dataset_module, config.data_dir)
    if config.weights is not None and not config.resume:
        check_weights(config.weights)
    for name in () if config.resume else config.trackers:
        check_packages(f"--log {name}", [name], extra=name)


def check(config: Config) -> RunDirectory:
    """Check all that needs no TensorFlow, and return the run directory. Raises BadInput or BadData."""
    check_values(config)
    if config.out == "":
        raise BadInput("--out '' names no folder: give the path of the run directory")
    if config.resume and config.out is not None:
        directory = RunDirectory.open(config.out)
        directory.check_free()
    else:
        directory = RunDirectory(config.out or default_path(config.arch, config.dataset))
        directory.check_new()
    return directory


def make_directory(config: Config, directory: RunDirectory) -> RunDirectory:
    """Make the directory of a new run; without --out it gets another name if this one was taken in the meantime."""
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


@contextlib.contextmanager
def resumable(config: Config, directory: RunDirectory) -> Iterator[None]:
    """Within this context Ctrl-C and SIGTERM raise Interrupted, which names the command that continues the run."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted; continue with: python -m tfcnn.train --resume --out {config.out or directory.path}", stop
        ) from stop


def restore_config(flags: dict[str, Any]) -> Config:
    """The configuration of the run that `flags` continue.

    Args:
        flags: fields of Config by name; "resume" and "out" among them.

    Raises:
        BadInput: no run in --out, a damaged config.json, or a flag that differs from the run's.
    """
    config = Config(**flags)
    directory = RunDirectory.open(flags["out"])
    facts = directory.read_config()
    facts["data"]["fingerprint"]  # check_same_data reads it
    size = facts["config"]["image_size"]
    if size is None and facts["config"].get("phi", 0) == 0 and len(facts["data"]["image_shape"]) == 3:
        size = facts["data"]["image_shape"][:2]  # the default size when the run was started
    saved = Config(**facts["config"] | {"out": config.out, "resume": True, "image_size": size})
    arguments = saved.arch_args | config.arch_args  # a recipe may have set the others
    for name in flags:
        if getattr(config, name) != getattr(saved, name) and not (name == "arch_args" and arguments == saved.arch_args):
            raise BadInput(
                f"the run in '{config.out}' was started with {flag_of(name)} {getattr(saved, name)}, "
                f"not {getattr(config, name)}; leave {flag_of(name)} out to continue it"
            )
    return saved


def join_flags(file: str | None, flags: dict[str, Any]) -> dict[str, Any]:
    """The flags of a file (--config), and those of the command line in their place. Raises BadInput."""
    if "time" in flags and "epochs" in flags:
        raise BadInput(f"--time {flags['time']} sets the number of epochs: leave --epochs or --time out")
    if file is None:
        return flags
    fields = read_config(file)
    if "time" in flags:
        fields.pop("epochs", None)
    if "epochs" in flags:
        fields.pop("time", None)
    if isinstance(fields.get("arch_args"), dict):
        flags = flags | {"arch_args": fields["arch_args"] | flags.get("arch_args", {})}
    return fields | flags


def path_of(name: str, out: str | None) -> str:
    """The run directory of --name. Raises BadInput."""
    if out is not None:
        raise BadInput(f"--name {name} is the run directory runs/{name}: leave --name or --out out")
    if name in (".", "..") or Path(name).name != name:
        raise BadInput(f"--name must be a name without slashes, of a folder in runs/, got '{name}'; --out takes a path")
    return str(Path("runs") / name)


def train_seeds(file: str | None, flags: dict[str, Any], numbers: Sequence[int]) -> None:
    """Train a run of each seed: see `tfcnn.seeds`."""
    config = recipes.complete(recipes.resolve(join_flags(file, flags)))
    if config.distribution == "multiworker":
        raise BadInput("--seeds trains run after run on one machine: leave it or --distribution multiworker out")
    check_values(config)
    words = [f"--config={file}"] if file is not None else []
    train_runs(config, numbers, [*words, *words_of(flags)])


def make_parser() -> Parser:
    """The parser of the command's flags; those of Config leave no trace unless they are given."""
    parser = Parser(prog="python -m tfcnn.train", usage="%(prog)s [flags]", description=__doc__.split("\n\n")[1])
    group = add_flags(parser)["run"]
    group.add_argument("--name", help="name of the run directory in runs/: as --out runs/NAME")
    group.add_argument(
        "--seeds",
        metavar="SEED",
        nargs="+",
        help="train a run of each seed, in OUT-seed0, OUT-seed1 ..., and print their mean; the same command continues",
    )
    group.add_argument(
        "--config", metavar="FILE", help="flags in YAML, or a run's config.json; those of the command line come first"
    )
    group.add_argument("--print-config", action="store_true", help="print every flag's value for --config, and end")
    group.add_argument("--dry-run", action="store_true", help="print what would be trained, write no run, and end")
    group.add_argument("--verbose", action="store_true", help="print how long each part of the run takes")
    return parser


def main() -> None:
    flags = vars(make_parser().parse_args())
    file, printed, dry_run, verbose, name, seeds = (
        flags.pop(name) for name in ("config", "print_config", "dry_run", "verbose", "name", "seeds")
    )
    stages = Stages(verbose, age_of_process() if verbose else 0.0)
    if name is not None:
        flags["out"] = path_of(name, flags.get("out"))
    if seeds is not None:
        if printed or dry_run or verbose or "resume" in flags or "seed" in flags:
            raise BadInput(
                "--seeds trains several runs: leave --seed, --resume, --print-config, --dry-run and --verbose out"
            )
        train_seeds(file, flags, parse_seeds(seeds))
        return
    if not flags.get("resume"):
        config = recipes.resolve(join_flags(file, flags))
        if printed:
            print(describe_config(config))
        else:
            run(config, dry_run=dry_run, stages=stages)
        return
    if file is not None or printed or dry_run:
        raise BadInput("--resume continues a run as it is: leave --config, --print-config and --dry-run out")
    config = restore_config(flags)
    directory = RunDirectory(flags["out"])
    if directory.finished:
        with directory.locked():  # clears what a process that was killed has left
            faults = directory.faults()
        if not faults:
            print(f"the run in '{config.out}' is finished: see {directory.metrics}")
            return
        print(f"the run in '{config.out}' is finished, but {', '.join(faults)}")
    run(config, stages=stages)


if __name__ == "__main__":
    sys.exit(run_main(main))
