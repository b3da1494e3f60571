"""`python -m tuning.rerun STUDY 17`: trains a trial again, in a folder that is thrown away, and compares the scores.

Exit code 0: they are equal to the last bit; 1: they are not. Latency is measured and not compared.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tfcnn.cli.parser import Parser, run_main
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tuning import spaces
from tuning.study.folder import Study, add_study
from tuning.study.trials import Found
from tuning.workers.worker import train

COMPARED = ("val_", "test_", "parameters", "macs")  # metrics of a run, by how their names begin


class Differs(Exception):
    """A trial that was trained again has other scores."""

    exit_code = 1


def rerun(trial: Found, objective: str, trainer: str | None = None) -> dict[str, tuple[float, float | None]]:
    """Train a trial again.

    Args:
        trial: completed or pruned.
        objective: of the study, whose value after each epoch is compared, too.
        trainer: "path/to/file.py:function" in the place of tuning.workers.worker.train.

    Returns:
        dict: by what is compared, what the study has and what came out now.
    """
    curve: dict[int, float | None] = {}

    def go_on(epoch, metrics):
        curve[epoch] = metrics.get(objective)
        return True

    with tempfile.TemporaryDirectory() as folder:
        config = Config(**trial.config, out=str(Path(folder) / "run"))
        metrics = (spaces.load(trainer, "trainer") if trainer else train)(config, go_on)
    before = {name: value for name, value in trial.metrics.items() if name.startswith(COMPARED)}
    found = {name: (value, metrics.get(name)) for name, value in before.items()}
    if objective.startswith("val_"):
        found |= {
            f"{objective} after epoch {n}": (value, curve.get(n)) for n, value in trial.curve.items() if n in curve
        }
    return found


def main() -> None:
    parser = Parser(prog="python -m tuning.rerun", description=__doc__.split("\n\n")[0])
    add_study(parser)
    parser.add_argument("number", metavar="N", help="number of the trial")
    given = parser.parse_args()
    study = Study.opened(given.study, given.storage)
    trials = {str(trial.number): trial for trial in study.trials()}
    if given.number not in trials:
        raise BadInput(f"'{study.path}' has no trial {given.number}; it has {_ranges(trials)} (N)")
    trial = trials[given.number]
    if trial.state not in ("COMPLETED", "PRUNED"):
        raise BadInput(f"trial {trial.number} has no score: {trial.reason or trial.state.lower()}")
    found = rerun(trial, study.objectives()[0][0])
    print()
    for name, (before, now) in found.items():
        print(f"{name:30}  {before!r:22}  {now!r:22}  {'equal' if before == now else 'not equal'}")
    if different := [name for name, (before, now) in found.items() if before != now]:
        raise Differs(f"trial {trial.number} came out with another {', '.join(different)}")


def _ranges(numbers) -> str:
    return f"{min(map(int, numbers))} to {max(map(int, numbers))}" if numbers else "none"


if __name__ == "__main__":
    sys.exit(run_main(main))
