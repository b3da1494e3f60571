"""`python -m tfcnn`: the commands and the architectures."""

import sys

from tfcnn.cli.parser import Parser, run_main
from tfcnn.models import registry

COMMANDS = {
    "tfcnn.train": "train an architecture on a data set: the main job",
    "tfcnn.evaluate": "measure a run: the scores of its task, with pictures",
    "tfcnn.compare": "compare runs: the flags in which they differ, and their results",
    "tfcnn.predict": "classify, segment or reconstruct files with a run",
    "tfcnn.pretrained": "write a run of a network with ImageNet weights, without training",
    "tfcnn.export": "write a run's SavedModel, LiteRT and ONNX files",
    "tfcnn.compress": "prune a run's network and write it in few bytes",
    "tfcnn.serve": "answer requests over HTTP with the networks of runs",
    "tfcnn.arithmetic": "compute the sizes of a convolution, with the formula and a drawing",
    "tfcnn.describe": "list an architecture layer by layer, with its costs",
    "tfcnn.visualize": "look inside a network: filters, maps, what excites them, what a class depends on",
    "pipelines.show": "draw an augmented batch of a data set, count its classes",
    "tuning.search": "search an architecture's hyperparameters",
    "tuning.scale": "find how to make a network larger: compound scaling, accuracy against MACs",
    "tuning.report": "report on a search, as a page and as tables",
    "tuning.best": "print the command that trains the winner of a search",
    "tuning.rerun": "train a trial of a search again and compare its scores",
}


def main() -> None:
    Parser(prog="python -m tfcnn", description="Lists the commands and the architectures.").parse_args()
    width = max(map(len, COMMANDS))
    print("commands (each has --help)")
    for name, purpose in COMMANDS.items():
        print(f"  python -m {name:{width}}  {purpose}")
    print("\narchitectures (--arch)")
    for family in registry.FAMILIES:
        print(f"  {family.task:{width}}  {' '.join(family.names)}")


if __name__ == "__main__":
    sys.exit(run_main(main))
