"""`python -m tuning.rerun STUDY 17`: trains a trial again, in a temporary folder, and compares the scores.

Exit code 0: they are equal to the last bit; 1: they are not. Latency, which is measured, is not compared.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tfcnn.cli.parser import Parser, run_main
from tfcnn.errors import BadInput
from tuning import spaces
from tuning.study.folder import Study, add_study
from tuning.study.trials import TrialRecord, config_of
from tuning.workers.worker import Trainer, train

COMPARED = ("val_", "test_", "parameters", "macs")  # metrics of a run, by how their names begin


class Differs(Exception):
    """A trial has other scores when it is trained again."""

    exit_code = 1


class Comparison(NamedTuple):
    """One value of a trial."""

    name: str
    before: float  # in the study
    now: float | None  # None: the run reports no such value


def rerun(trial: TrialRecord, objective: str, trainer: str | None = None) -> list[Comparison]:
    """Train a trial again.

    Args:
        trial: completed or pruned.
        objective: of the study; its value after each epoch is compared, too.
        trainer: "path/to/file.py:function"; default: tuning.workers.worker.train.
    """
    run: Trainer = spaces.load(trainer, "trainer") if trainer else train
    curve: dict[int, float | None] = {}

    def report(epoch: int, metrics: dict[str, float]) -> None:
        curve[epoch] = metrics.get(objective)

    with tempfile.TemporaryDirectory() as folder:
        metrics = run(config_of(trial, out=str(Path(folder) / "run")), report)
    comparisons = [
        Comparison(name, value, metrics.get(name)) for name, value in trial.metrics.items() if name.startswith(COMPARED)
    ]
    if objective.startswith("val_"):
        comparisons += [
            Comparison(f"{objective} after epoch {epoch}", value, curve[epoch])
            for epoch, value in trial.curve.items()
            if epoch in curve
        ]
    return comparisons


def main() -> None:
    parser = Parser(prog="python -m tuning.rerun", description=(__doc__ or "").split("\n\n")[0])
    add_study(parser)
    parser.add_argument("number", metavar="N", help="number of the trial")
    arguments = parser.parse_args()
    study = Study.opened(arguments.study, arguments.storage)
    trials = {str(trial.number): trial for trial in study.trials()}
    if arguments.number not in trials:
        numbers = [trial.number for trial in trials.values()]
        allowed = f"{min(numbers)} to {max(numbers)}" if numbers else "none"
        raise BadInput(f"'{study.path}' has no trial {arguments.number}; it has {allowed} (N)")
    trial = trials[arguments.number]
    if trial.state not in ("COMPLETED", "PRUNED"):
        raise BadInput(f"trial {trial.number} has no score: {trial.reason or trial.state.lower()}")
    comparisons = rerun(trial, study.objectives()[0].name)
    print()
    for name, before, now in comparisons:
        print(f"{name:30}  {before!r:22}  {now!r:22}  {'equal' if before == now else 'not equal'}")
    different = [name for name, before, now in comparisons if before != now]
    if different:
        raise Differs(f"trial {trial.number} came out with another {', '.join(different)}")


if __name__ == "__main__":
    sys.exit(run_main(main))
