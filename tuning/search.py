"""`python -m tuning.search --arch mobilenet --dataset digits --trials 20`: hyperparameters of any architecture.

keras-tuner's spaces, Optuna's samplers. This process proposes and remembers; its workers train, each trial a run of
`tfcnn.train` with its own run directory under the study's, so that the best of them is trained, evaluated and exported
already. A study that exists is continued.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfcnn import train
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput, TrainingFailed, choose
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.training import recipes
from tfcnn.training.data import load_data
from tuning import budgets, spaces
from tuning.budgets import COSTS, Budgets
from tuning.study.folder import Study
from tuning.study.trials import Found, best_first, values_of, written
from tuning.workers.pool import NOT_SHARED, Crew

SAMPLERS = ("random", "grid", "tpe", "gp", "nsga2", "cmaes")
PRUNERS = ("none", "median", "asha", "hyperband")
QUICK = {"epochs": 4, "warmup_epochs": 0.5}  # of a trial, unless flags say otherwise
RETRIES = 1  # of a trial whose process was killed


def search(
    study: Study,
    config: Config,
    trials: int,
    *,
    space: str | None = None,
    sampler: str = "tpe",
    pruner: str = "none",
    objectives: list[str] | None = None,
    limits: dict[str, float] | None = None,
    workers: int = 1,
    given: frozenset[str] = frozenset(),
    trainer: str | None = None,
) -> list[Found]:
    """Train `trials` configurations drawn from a space, or what is left to do of a study that exists.

    Args:
        study: made if it does not exist.
        config: what the trials share; its seed is the study's.
        trials: how many in all.
        space: "path/to/file.py:function"; default: the space of the architecture's family.
        sampler, pruner: of SAMPLERS, PRUNERS.
        objectives: names of validation metrics and of COSTS; default: the metric of the task.
        limits: the most of each of COSTS.
        workers: processes that train at the same time.
        given: fields of Config that the space must leave alone.
        trainer: "path/to/file.py:function" in the place of tuning.workers.worker.train, for tests.

    Returns:
        list: the completed trials, best first; of several objectives the Pareto front.

    Raises:
        BadInput: before anything is written.
        Interrupted: by Ctrl-C or SIGTERM; the study can be continued.
        TrainingFailed: no trial was completed.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # the first process would take all of a GPU's memory
    import_tensorflow()
    import keras_tuner

    from tuning.oracle import OptunaOracle
    from tuning.sampling import check_sampler

    study.check_free()
    data = load_data(config)
    named = named_objectives(objectives, data.task)
    check_sampler(sampler, pruner, len(named))
    priced = Budgets(limits or {}, data.image_shape, data.num_classes, any(name == "latency" for name, _ in named))
    ask = configured(config, space, data.image_shape, given)
    shared = {key: value for key, value in config.to_dict().items() if key not in NOT_SHARED}
    spec = {"config": shared, "space": spaces.fingerprint(space) if space else f"{config.arch}'s"}
    spec |= {"sampler": sampler, "pruner": pruner, "objectives": [name for name, _ in named], "budgets": limits or {}}
    spec = json.loads(json.dumps(spec))
    settings = {
        "objective": [keras_tuner.Objective(*each) for each in named]
        if len(named) > 1
        else keras_tuner.Objective(*named[0]),
        "sampler": sampler,
        "pruner": pruner,
        "max_trials": trials,
        "seed": config.seed,
        "space": ask,
        "accept": priced.accept,
        "name": study.name,
        "max_retries_per_trial": RETRIES,
    }
    if not study.exists() and OptunaOracle(**settings).create_trial("probe").status == "STOPPED":
        raise BadInput(priced.tightest())
    study.check_spec(spec)
    study.make()
    with study.locked():
        with study.readable():
            oracle = OptunaOracle(storage=study.storage(), mine=study.mine, labels={"owner": study.owner}, **settings)
            oracle.study.set_user_attr("spec", spec)
        crew = Crew(study, oracle, ask, priced, named, trials, workers, trainer)
        crew.run()
    best = best_first(study.trials(), named)
    if not best:
        raise TrainingFailed(
            f"no trial of '{study.path}' was completed; what each died of: python -m tuning.report {study.path}"
        )
    return best


def named_objectives(names: list[str] | None, task: str) -> list[tuple[str, str]]:
    """(name, "max" or "min") of each objective; by default the metric of the task. Raises BadInput."""
    from tfcnn.tasks import HEADLINES

    allowed = (f"val_{HEADLINES[task].name}", "val_loss", *COSTS)
    names = names or list(allowed[:1])
    for name in names:
        choose("objective", name, allowed, flag="--objective")
    if len(set(names)) < len(names):
        raise BadInput(f"an objective is named twice: {','.join(names)} (--objective)")
    return [(name, "max" if name == allowed[0] else "min") for name in names]


def configured(config: Config, space: str | None, shape, given: frozenset[str]) -> Callable[[Any], Config]:
    """The function from HyperParameters to the configuration of a trial."""
    sizes = spaces.sizes_of(config.arch, shape[0]) if len(shape) == 3 and "image_size" not in given else ()
    asked = spaces.load(space) if space else spaces.of(config.arch, sizes)

    def ask(hp) -> Config:
        fields = spaces.fields_of(asked(hp))
        taken = [flag_of(name) for name in sorted(given.intersection(fields) - {"arch_args"})]
        taken += [f"--arch-args {key}" for key in config.arch_args if key in fields["arch_args"]]
        if taken:
            flags = " and ".join(taken)
            raise BadInput(f"the space searches {flags}: leave it out, or give a space of your own (--space)")
        fields["arch_args"] = config.arch_args | fields["arch_args"]
        return dataclasses.replace(config, **fields)

    return ask


def main() -> None:
    parser = Parser(prog="python -m tuning.search", description=__doc__.split("\n\n")[0])
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
        "--space", metavar="FILE:FUNCTION", help="a space of your own, path/to/file.py:function [that of the family]"
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
        help="what is sought: the metric of the task, val_loss, "
        + ", ".join(COSTS)
        + "; of several the Pareto front [the metric of the task]",
    )
    for cost in COSTS:
        shown = "5ms" if cost == "latency" else {"parameters": "1M", "macs": "30M", "memory": "200M"}[cost]
        what = {"memory": "bytes of activations held at one time", "latency": "time of one image on this device"}.get(
            cost, cost
        )
        names = [f"--budget-{cost}", *(["--budget-params"] if cost == "parameters" else [])]
        parser.add_argument(*names, dest=f"budget_{cost}", metavar=shown, help=f"the most {what} of a trial")
    add_flags(parser, [field.name for field in dataclasses.fields(Config) if field.name not in NOT_SHARED])
    given = vars(parser.parse_args())
    own = {
        name: given.pop(name)
        for name in ("trials", "study", "storage", "workers", "space", "sampler", "pruner", "objective")
    }
    asked = {cost: given.pop(f"budget_{cost}") for cost in COSTS}
    limits = {cost: budgets.amount(f"--budget-{cost}", text) for cost, text in asked.items() if text is not None}
    trials, workers = parse_count("--trials", own["trials"]), parse_count("--workers", own["workers"])
    objectives = [name.strip() for name in own["objective"].split(",")] if own["objective"] else None
    sampler = choose(
        "sampler",
        own["sampler"] or ("nsga2" if objectives and len(objectives) > 1 else "tpe"),
        SAMPLERS,
        flag="--sampler",
    )
    choose("pruner", own["pruner"], PRUNERS, flag="--pruner")
    if own["space"]:
        spaces.load(own["space"])
    config = recipes.resolve(given if "recipe" in given else quick(given))
    registry.family_of(config.arch)
    study = Study(
        own["study"] or f"runs/search-{config.arch}-{Path(config.dataset).stem or config.dataset}", own["storage"]
    )
    if not study.exists():
        train.check(dataclasses.replace(config, out=str(study.run(0).path)))
    best = search(
        study,
        config,
        trials,
        space=own["space"],
        sampler=sampler,
        pruner=own["pruner"],
        objectives=objectives,
        limits=limits,
        workers=workers,
        given=frozenset(given),
    )
    print(f"\n{'the Pareto front' if objectives and len(objectives) > 1 else 'the best'}:")
    names = study.spec()["objectives"]
    for trial in best[:5] if len(names) == 1 else best:
        scores = ", ".join(written(name, score) for name, score in zip(names, trial.scores, strict=True))
        print(f"{scores}  {values_of(trial.values)}  {study.run(trial.number).path}")
    print(f"\npython -m tuning.report {study.path}\npython -m tuning.best {study.path}")


def quick(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, with the epochs of a trial where it says nothing."""
    return given if "epochs" in given or "warmup_epochs" in given else QUICK | given


if __name__ == "__main__":
    sys.exit(run_main(main))
