"""`python -m tuning.search --arch mobilenet --trials 5`: random search with keras-tuner.

Every trial is a run of `tfcnn.train` with its own run directory under the study's, so that the best of them is trained,
evaluated and exported already. A study that exists is continued.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfcnn import command, recipes, train
from tfcnn.config import Config, TrainingFailed, add_flags
from tfcnn.run_directory import RunDirectory
from tuning import spaces

SAMPLED = ("width", "lr", "weight_decay", "smoothing", "out", "resume", "tensorboard")


def search(config: Config, trials: int, study: str | Path, space: Callable = spaces.default) -> list[dict[str, Any]]:
    """Train `trials` configurations drawn from `space`, or what is left to do of a study that exists.

    Args:
        config: what the trials share; its seed also decides the draw.
        trials: how many in all.
        study: folder of the study; made if it does not exist.
        space: function from keras_tuner.HyperParameters to fields of Config.

    Returns:
        list: the finished trials, best validation accuracy first: {"run", "values", "val_accuracy", "test_accuracy"}.
    """
    command.import_tensorflow()
    import keras_tuner

    study = Path(study)

    class Trials(keras_tuner.Tuner):
        def run_trial(self, trial, **kwargs):
            path = study / f"run-{trial.trial_id}"
            sampled = dataclasses.replace(config, **space(trial.hyperparameters), out=str(path))
            print(f"\ntrial {int(trial.trial_id) + 1} of {trials}: {_values(trial.hyperparameters.values)}", flush=True)
            try:
                run = train.run(dataclasses.replace(sampled, resume=RunDirectory(path).config.exists()))
            except command.Interrupted as stop:
                raise stop.__cause__ from None  # keras-tuner would take an Exception for a trial that failed
            except TrainingFailed as error:
                raise keras_tuner.errors.FailedTrialError(str(error)) from error
            metrics = run.read_metrics()
            return {"val_accuracy": metrics["val_accuracy"], "test_accuracy": metrics["test_accuracy"]}

    # keras-tuner takes seed 0 for no seed.
    oracle = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective("val_accuracy", "max"), max_trials=trials, seed=config.seed + 1
    )
    tuner = Trials(oracle=oracle, directory=str(study.parent), project_name=study.name, overwrite=False)
    oracle.max_trials = trials  # a study that is continued remembers the number of its first call
    tuner.search(verbose=0)
    return [
        {
            "run": str(study / f"run-{trial.trial_id}"),
            "values": trial.hyperparameters.values,
            "val_accuracy": trial.metrics.get_best_value("val_accuracy"),
            "test_accuracy": trial.metrics.get_best_value("test_accuracy"),
        }
        for trial in oracle.get_best_trials(trials)
        if trial.status == "COMPLETED"
    ]


def _values(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items())


def main() -> None:
    parser = command.Parser(prog="python -m tuning.search", description="Random search of a network's hyperparameters.")
    parser.add_argument("--trials", metavar="N", default="5", help="configurations to train in all [5]")
    parser.add_argument(
        "--study", metavar="DIR", help="folder of the study, continued if it exists [runs/search-ARCH-DATASET]"
    )
    shared = [field.name for field in dataclasses.fields(Config) if field.name not in SAMPLED]
    add_flags(parser, shared)
    given = vars(parser.parse_args())
    trials, study = command.count("--trials", given.pop("trials")), given.pop("study")
    config = recipes.resolve(given)
    study = Path(study or f"runs/search-{config.arch}-{config.dataset.replace('/', '-')}")
    train.check(dataclasses.replace(config, out=str(study / "run-new")))
    best = search(config, trials, study)
    print("\nvalidation    test  configuration")
    for trial in best:
        print(
            f"{trial['val_accuracy']:10.2%}  {trial['test_accuracy']:6.2%}  {_values(trial['values'])}  {trial['run']}"
        )


if __name__ == "__main__":
    sys.exit(command.run(main))
