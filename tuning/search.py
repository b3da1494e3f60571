"""`python -m tuning.search --arch mobilenet --dataset digits --trials 20`: hyperparameters of any architecture.

keras-tuner's spaces, Optuna's samplers. This process proposes and remembers; its workers train. Each trial is a run of
`tfcnn.train` with a run directory in the study's folder, so that the best of them is already trained, evaluated and
exported. A study that exists is continued.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn import train
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput, TrainingFailed, choose
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.tables import printable
from tfcnn.tasks import TASKS
from tfcnn.training import recipes
from tfcnn.training.data import load_data
from tuning import spaces
from tuning.budgets import COSTS, Budgets, parse_amount
from tuning.study.folder import Study
from tuning.study.trials import Objective, TrialRecord, best_first, format_scores, format_values
from tuning.workers.pool import NOT_SHARED, WorkerPool

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

    from tuning.oracle import OptunaOracle

SAMPLERS = ("random", "grid", "tpe", "gp", "nsga2", "cmaes")
PRUNERS = ("none", "median", "asha", "hyperband")
MOST_WORKERS = 1024
RETRIES = 1  # of a trial whose process was killed
SHOWN = 5  # of the best trials


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """What a search does, other than the configuration of its trials.

    Attributes:
        trials: how many in all.
        space: "path/to/file.py:function"; None: the space of the architecture's family.
        sampler: one of SAMPLERS.
        pruner: one of PRUNERS.
        objectives: names of validation metrics and of COSTS; empty: the metric of the task.
        limits: the most of each of COSTS.
        workers: processes that train at the same time.
        fixed: fields of Config, and arguments of the architecture's builder, that the space must leave alone.
        trainer: "path/to/file.py:function", a tuning.workers.worker.Trainer for tests; None: trains for real.
    """

    trials: int
    space: str | None = None
    sampler: str = "tpe"
    pruner: str = "none"
    objectives: Sequence[str] = ()
    limits: dict[str, float] = dataclasses.field(default_factory=dict)
    workers: int = 1
    fixed: frozenset[str] = frozenset()
    trainer: str | None = None


def search(study: Study, config: Config, settings: SearchSettings) -> list[TrialRecord]:
    """Train configurations drawn from a space, or those that an existing study still lacks.

    Args:
        study: made if it does not exist.
        config: what the trials share; its seed is the study's.
        settings: of the search.

    Returns:
        list: the completed trials, best first; of several objectives the Pareto front.

    Raises:
        BadInput: before anything is written.
        Interrupted: by Ctrl-C or SIGTERM; the study can be continued.
        TrainingFailed: no trial was completed.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # the first process would take all of a GPU's memory
    import_tensorflow()
    from tuning.sampling import check_sampler

    study.check_free()
    data = load_data(config)
    objectives = parse_objectives(settings.objectives, data.task)
    check_sampler(settings.sampler, settings.pruner, len(objectives))
    timed = any(objective.name == "latency" for objective in objectives)
    budgets = Budgets(settings.limits, data.image_shape, data.num_classes, timed)
    configure = make_configure(config, settings, data.image_shape)
    if not study.exists():
        probe = _make_oracle(study, config, settings, objectives, configure, budgets, in_memory=True)
        if probe.create_trial("probe").status == "STOPPED":
            raise BadInput(budgets.explain_refusal())
    spec = _spec(config, settings, objectives)
    study.check_spec(spec)
    study.make()
    with study.locked():
        with study.readable():
            oracle = _make_oracle(study, config, settings, objectives, configure, budgets)
            oracle.study.set_user_attr("spec", spec)
        pool = WorkerPool(
            study,
            oracle,
            configure,
            budgets,
            trials=settings.trials,
            workers=settings.workers,
            trainer=settings.trainer,
        )
        pool.run()
    best = best_first(study.trials(), objectives)
    if not best:
        raise TrainingFailed(
            f"no trial of '{study.path}' was completed; to see why each failed: python -m tuning.report {study.path}"
        )
    return best


def parse_objectives(names: Sequence[str], task: str) -> list[Objective]:
    """The objectives by name; by default the metric of the task. Raises BadInput."""
    headline = f"val_{TASKS[task].headline.name}"
    names = names or [headline]
    for name in names:
        choose("objective", name, (headline, "val_loss", *COSTS), flag="--objective")
    if len(set(names)) < len(names):
        raise BadInput(f"an objective is named twice: {','.join(names)} (--objective)")
    return [Objective(name, "max" if name == headline else "min") for name in names]


def make_configure(
    config: Config, settings: SearchSettings, image_shape: tuple[int, ...]
) -> Callable[[HyperParameters], Config]:
    """The function from HyperParameters to the configuration of a trial.

    It raises BadInput where the space sets what `settings.fixed` names; it replaces what a recipe sets.
    """
    if settings.space:
        space = spaces.load(settings.space)
    elif config.weights is not None:
        space = spaces.of_loaded(config.arch)
    else:
        sizes: list[int] = []
        if len(image_shape) == 3 and "image_size" not in settings.fixed:
            sizes = spaces.sizes_of(config.arch, image_shape[0])
        space = spaces.of(config.arch, sizes)

    def configure(hp: HyperParameters) -> Config:
        fields = spaces.fields_of(space(hp))
        taken = [flag_of(name) for name in sorted(settings.fixed.intersection(fields) - {"arch_args"})]
        taken += [f"--arch-args {key}" for key in sorted(settings.fixed.intersection(fields["arch_args"]))]
        if taken:
            flags = " and ".join(taken)
            raise BadInput(f"the space searches {flags}: leave it out, or give another space (--space)")
        fields["arch_args"] = config.arch_args | fields["arch_args"]
        return dataclasses.replace(config, **fields)

    return configure


def _spec(config: Config, settings: SearchSettings, objectives: list[Objective]) -> dict[str, Any]:
    """What a study remembers of its search, as JSON gives it back."""
    spec = {
        "config": {key: value for key, value in config.to_dict().items() if key not in NOT_SHARED},
        "space": spaces.fingerprint(settings.space) if settings.space else f"{config.arch}'s",
        "sampler": settings.sampler,
        "pruner": settings.pruner,
        "objectives": [objective.name for objective in objectives],
        "budgets": settings.limits,
    }
    return json.loads(json.dumps(spec))


def _make_oracle(
    study: Study,
    config: Config,
    settings: SearchSettings,
    objectives: list[Objective],
    configure: Callable[[HyperParameters], Config],
    budgets: Budgets,
    in_memory: bool = False,
) -> OptunaOracle:
    """The oracle of a study, on its storage or in memory."""
    import keras_tuner

    from tuning.oracle import OptunaOracle

    goals = [keras_tuner.Objective(*objective) for objective in objectives]
    return OptunaOracle(
        goals if len(goals) > 1 else goals[0],
        settings.sampler,
        settings.pruner,
        max_trials=None if in_memory else settings.trials,
        seed=config.seed,
        storage=None if in_memory else study.storage(),
        name=study.name,
        space=configure,
        accept=budgets.accept,
        is_dead=study.owns,
        labels={"owner": study.owner},
        max_retries_per_trial=RETRIES,
    )


def make_parser() -> Parser:
    """The parser of the command's flags; those of Config leave no trace unless they are given."""
    parser = Parser(
        prog="python -m tuning.search", usage="%(prog)s [flags]", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--trials", metavar="N", default="20", help="configurations to try in all [20]")
    parser.add_argument(
        "--study", metavar="DIR", help="folder of the study, continued if it exists [runs/search-ARCH-DATASET]"
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="database of trials that several machines share, as in sqlite:///study.db [a journal in the study]",
    )
    parser.add_argument("--workers", metavar="N", default="1", help="processes that train at the same time [1]")
    parser.add_argument(
        "--space", metavar="FILE:FUNCTION", help="another space, path/to/file.py:function [that of the family]"
    )
    parser.add_argument(
        "--sampler", metavar="{" + ",".join(SAMPLERS) + "}", help="what proposes [tpe; nsga2 for several objectives]"
    )
    parser.add_argument(
        "--pruner", metavar="{" + ",".join(PRUNERS) + "}", default="none", help="what ends hopeless trials [none]"
    )
    parser.add_argument(
        "--objective",
        metavar="NAME[,NAME...]",
        help=f"the metric of the task, val_loss, {', '.join(COSTS)}; of several the Pareto front [the metric of the "
        "task]",
    )
    for cost, example, meaning in (
        ("parameters", "1M", "parameters"),
        ("macs", "30M", "MACs of an image"),
        ("memory", "200M", "bytes of activations held at one time"),
        ("latency", "5ms", "time of one image on this device"),
    ):
        names = [f"--budget-{cost}", "--budget-params"] if cost == "parameters" else [f"--budget-{cost}"]
        parser.add_argument(*names, dest=f"budget_{cost}", metavar=example, help=f"the most {meaning} of a trial")
    add_flags(parser, [field.name for field in dataclasses.fields(Config) if field.name not in NOT_SHARED])
    return parser


def read_settings(arguments: argparse.Namespace, fixed: frozenset[str]) -> SearchSettings:
    """The settings that the command line gives. Raises BadInput."""
    budgets = {cost: getattr(arguments, f"budget_{cost}") for cost in COSTS}
    limits = {cost: parse_amount(f"--budget-{cost}", text) for cost, text in budgets.items() if text is not None}
    trials = parse_count("--trials", arguments.trials)
    workers = parse_count("--workers", arguments.workers)
    if workers > MOST_WORKERS:
        raise BadInput(f"--workers must be at most {MOST_WORKERS:,}, got '{arguments.workers}'")
    objectives = [name.strip() for name in arguments.objective.split(",")] if arguments.objective else []
    sampler = arguments.sampler or ("nsga2" if len(objectives) > 1 else "tpe")
    choose("sampler", sampler, SAMPLERS, flag="--sampler")
    choose("pruner", arguments.pruner, PRUNERS, flag="--pruner")
    if arguments.space:
        spaces.load(arguments.space)
    return SearchSettings(
        trials=trials,
        space=arguments.space,
        sampler=sampler,
        pruner=arguments.pruner,
        objectives=objectives,
        limits=limits,
        workers=workers,
        fixed=fixed,
    )


def main() -> None:
    arguments = make_parser().parse_args()
    names = {field.name for field in dataclasses.fields(Config)}
    flags = {name: value for name, value in vars(arguments).items() if name in names}
    settings = read_settings(arguments, frozenset(flags).union(flags.get("arch_args", {})))
    config = recipes.resolve(recipes.quick(flags))
    registry.family_of(config.arch)
    dataset = Path(config.dataset).stem or config.dataset
    study = Study(arguments.study or f"runs/search-{config.arch}-{dataset}", arguments.storage)
    if not study.exists():
        train.check(dataclasses.replace(config, out=str(study.run(0).path)))
    best = search(study, config, settings)
    objectives = study.objectives()
    several = len(objectives) > 1
    print(f"\n{'the Pareto front' if several else 'the best'}:")
    for trial in best if several else best[:SHOWN]:
        scores = ", ".join(format_scores(objectives, trial.scores))
        print(printable(f"{scores}  {format_values(trial.values)}  {study.run(trial.number).path}"))
    print(f"\npython -m tuning.report {study.path}\npython -m tuning.best {study.path}")


if __name__ == "__main__":
    sys.exit(run_main(main))
