"""`python -m tfcnn`: the commands and the architectures; `python -m tfcnn train ...` is `python -m tfcnn.train ...`."""

import runpy
import sys

from tfcnn import neighbours
from tfcnn.cli.parser import Parser, run_main
from tfcnn.errors import choose
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


NAMES = {module.rpartition(".")[2]: module for module in COMMANDS}


def main() -> None:
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        choose("command", sys.argv[1], NAMES, flag="python -m tfcnn")
    parser = Parser(prog="python -m tfcnn", description="Lists the commands and the architectures.")
    parser.add_argument("--print-completion", metavar="SHELL", help="print completion for bash, zsh, tcsh or fish")
    shell = parser.parse_args().print_completion
    if shell is not None:
        from tfcnn import completion  # takes as long to import as all else here

        print(completion.completion_script(shell, COMMANDS))
        return
    width = max(map(len, COMMANDS))
    print("commands (each has --help; `tfcnn train` is short for `python -m tfcnn.train`)")
    for name, purpose in COMMANDS.items():
        print(f"  python -m {name:{width}}  {purpose}")
    print("\narchitectures (--arch)")
    for family in registry.FAMILIES:
        print(f"  {family.task:{width}}  {' '.join(family.names)}")


def run() -> int:
    """Run the command that the first word names, or list the commands; the exit code. The script `tfcnn` calls it."""
    module = NAMES.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if module is None:
        return run_main(main)
    if problem := neighbours.problem_of(module.partition(".")[0]):
        print(f"error: {problem}", file=sys.stderr)
        return 2
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)  # ends with the command's exit code
    return 0


if __name__ == "__main__":
    sys.exit(run())
