"""`python -m tuning.best STUDY`: the command that trains the winner; `--train` trains it."""

from __future__ import annotations

import sys
from typing import Any

from tfcnn import train
from tfcnn.cli.parser import Parser, run_main
from tfcnn.errors import BadInput
from tfcnn.tables import printable
from tuning.study.folder import Study, add_study
from tuning.study.trials import TrialRecord, best_first, command_of, config_of


def find_winner(study: Study) -> TrialRecord:
    """The best trial, or the first of the Pareto front. Raises BadInput if none is completed."""
    best = best_first(study.trials(), study.objectives())
    if not best:
        raise BadInput(f"no trial of '{study.path}' was completed: see python -m tuning.report {study.path}")
    return best[0]


def main() -> None:
    parser = Parser(prog="python -m tuning.best", description=__doc__)
    add_study(parser)
    parser.add_argument("--train", action="store_true", help="train it with tfcnn.train")
    parser.add_argument("--out", help="run directory to create [runs/ARCH-DATASET-TIME]")
    parser.add_argument("--epochs", help="another number of epochs than the trial had")
    arguments = parser.parse_args()
    study = Study.opened(arguments.study, arguments.storage)
    fields: dict[str, Any] = {}
    if arguments.out:
        fields["out"] = arguments.out
    if arguments.epochs:
        fields["epochs"] = arguments.epochs
    config = config_of(find_winner(study), **fields)
    print(printable(command_of(config)), flush=True)
    if arguments.train:
        train.run(config)


if __name__ == "__main__":
    sys.exit(run_main(main))
