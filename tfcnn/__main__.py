"""`python -m tfcnn`: the commands and the architectures."""

import sys

from tfcnn.cli.parser import Parser, run_main
from tfcnn.models import registry

COMMANDS = {
    "tfcnn.train": "train an architecture on a data set: the main job",
    "tfcnn.evaluate": "accuracy and confusion matrix of a run",
    "tfcnn.compare": "what differs between runs, and what came of it",
    "tfcnn.predict": "classify image files with a run",
    "tfcnn.export": "write a run's SavedModel",
    "tfcnn.arithmetic": "sizes of a convolution, the formula with its numbers, a drawing",
    "tfcnn.describe": "an architecture layer by layer, with its costs",
    "pipelines.show": "draw an augmented batch of a data set, count its classes",
    "tuning.search": "search an architecture's hyperparameters",
    "tuning.scale": "how to make a network larger: compound scaling, accuracy against MACs",
    "tuning.report": "what a search has found, as a page and as tables",
    "tuning.best": "the command that trains the winner of a search",
    "tuning.rerun": "train a trial of a search again and compare its scores",
}


def main() -> None:
    Parser(prog="python -m tfcnn", description="Lists the commands and the architectures.").parse_args()
    width = max(map(len, COMMANDS))
    print("commands (each has --help)")
    for name, what in COMMANDS.items():
        print(f"  python -m {name:{width}}  {what}")
    print("\narchitectures (--arch)")
    for family in registry.FAMILIES:
        print(f"  {family.task:{width}}  {' '.join(family.names)}")


if __name__ == "__main__":
    sys.exit(run_main(main))
