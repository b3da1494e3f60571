"""`python -m tfcnn.predict RUN IMAGE...`: what a run's network says of files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import tfcnn.trained
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.errors import BadInput, choose
from tfcnn.files import check_target
from tfcnn.results import FORMS, INFERENCES, Options, results_of
from tfcnn.results.classification import best_classes
from tfcnn.results.folder import PREDICTIONS
from tfcnn.run_directory import RunDirectory
from tfcnn.tasks import TASKS


def predict(run: RunDirectory, paths: Sequence[str | Path], top: int = 3) -> list[list[tuple[str, float]]]:
    """Classify image files. For the other tasks: `tfcnn.load(RUN).predict(paths)`.

    Args:
        run: the run directory.
        paths: image files of any size, of the formats that a folder of training images may have; they are read and
            prepared as for the evaluation of the run.
        top: number of classes to return for an image, the most probable first.

    Returns:
        list: for each image a list of (class name, probability).

    Raises:
        BadInput: a run of another task, or one that is not finished.
        pipelines.BadData: a file that training refuses, or a run whose arrays have no known white.
    """
    trained = tfcnn.trained.load(run.check_task("classification"))
    return [best_classes(probabilities, trained.class_names, top) for probabilities in trained.predict(paths)]


def check_flag(run: RunDirectory, name: str) -> None:
    """Raises BadInput if the task of a run has no use for a flag of this command."""
    task = run.read_config()["data"]["task"]
    if name not in results_of(task).flags:
        takers = ", ".join(other for other in TASKS if name in results_of(other).flags)
        raise BadInput(f"--{name} is for runs of {takers}; the run in '{run.path}' is for {task}: leave --{name} out")


def read_options(arguments: argparse.Namespace) -> Options:
    """The flags of a command line. Raises BadInput."""
    options = Options()
    if arguments.top is not None:
        options = options._replace(top=parse_count("--top", arguments.top))
    if arguments.format is not None:
        options = options._replace(format=choose("format", arguments.format, FORMS, flag="--format"))
    if arguments.out is not None:
        options = options._replace(out=check_target(arguments.out, PREDICTIONS))
    if arguments.inference is not None:
        inference = choose("inference", arguments.inference, INFERENCES, flag="--inference")
        options = options._replace(inference=inference)
    return options


def main() -> None:
    parser = Parser(prog="python -m tfcnn.predict", description="What a trained run says of files.")
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="image file, or a folder of them; .wav of sounds; .nii or .nii.gz of volumes; .npz with x or images",
    )
    parser.add_argument("--top", metavar="N", help="classification: classes to show for an image [3]")
    parser.add_argument(
        "--format", metavar="{" + ",".join(FORMS) + "}", help="classification: of the table that is printed [text]"
    )
    parser.add_argument("--out", metavar="DIR", help="all but classification: folder to write pictures to")
    parser.add_argument(
        "--inference",
        metavar="{" + ",".join(INFERENCES) + "}",
        help="segmentation: the whole image at the network's size, or windows of that size at the image's scale "
        f"[{INFERENCES[0]}]",
    )
    arguments = parser.parse_args()
    options = read_options(arguments)
    run = RunDirectory.open(arguments.run).check_finished()
    for name in Options._fields:
        if getattr(arguments, name) is not None:
            check_flag(run, name)
    results = results_of(run.read_config()["data"]["task"])
    for line in results.predict(tfcnn.trained.load(run), arguments.images, options):
        print(line, flush=True)
    if options.out is not None:
        print(f"written   {options.out}")


if __name__ == "__main__":
    sys.exit(run_main(main))
