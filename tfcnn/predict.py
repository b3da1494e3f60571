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
from tfcnn.results import FORMS, INFERENCES, VIEWS, Options, results_of
from tfcnn.results.folder import PREDICTIONS
from tfcnn.results.labels import best_classes
from tfcnn.results.views import describe_views
from tfcnn.run_directory import RunDirectory
from tfcnn.tasks import TASKS

RESPONSES = ("error", "skip")  # to a file that cannot be used, as --on-bad-image of tfcnn.train


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
        flag = "--" + name.replace("_", "-")
        raise BadInput(f"{flag} is for runs of {takers}; the run in '{run.path}' is for {task}: leave {flag} out")


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
    if arguments.batch_size is not None:
        options = options._replace(batch_size=parse_count("--batch-size", arguments.batch_size))
    if arguments.tta is not None:
        options = options._replace(tta=choose("test-time augmentation", arguments.tta, VIEWS, flag="--tta"))
    if arguments.cam:
        if options.out is None:
            raise BadInput("--cam writes a picture of each image: give --out DIR")
        options = options._replace(cam=True)
    return options


def make_parser() -> Parser:
    """The parser of the command."""
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
    parser.add_argument("--out", metavar="DIR", help="folder to write pictures and tables to")
    parser.add_argument(
        "--inference",
        metavar="{" + ",".join(INFERENCES) + "}",
        help="segmentation: the whole image at the network's size, or windows of that size at the image's scale "
        f"[{INFERENCES[0]}]",
    )
    parser.add_argument(
        "--on-bad-image",
        default=RESPONSES[0],
        metavar="{" + ",".join(RESPONSES) + "}",
        help=f"a file that cannot be used ends the command, or is left out and listed at the end [{RESPONSES[0]}]",
    )
    parser.add_argument(
        "--batch-size", metavar="N", help=f"classification: examples in a batch [{Options().batch_size}]"
    )
    parser.add_argument(
        "--tta",
        metavar="{" + ",".join(VIEWS) + "}",
        help="test-time augmentation: probabilities averaged over views; flip: image and mirror image, also for "
        f"segmentation; five-crop: corners and middle; ten-crop: these and their mirror images [{VIEWS[0]}]",
    )
    parser.add_argument(
        "--cam",
        action="store_true",
        default=None,
        help="classification: to --out also Grad-CAM of the most probable class over each image",
    )
    return parser


def main() -> None:
    arguments = make_parser().parse_args()
    options = read_options(arguments)
    response = choose("response", arguments.on_bad_image, RESPONSES, flag="--on-bad-image")
    run = RunDirectory.open(arguments.run).check_finished()
    for name in Options._fields:
        if getattr(arguments, name) is not None:
            check_flag(run, name)
    facts = run.read_config()["data"]
    trained = tfcnn.trained.load(run)
    problems: list[str] = []
    if response == "skip":
        examples, problems = trained.inputs.open_usable(arguments.images)
    else:
        examples = trained.inputs.open(arguments.images)
    for line in results_of(facts["task"]).predict(trained, examples, options):
        print(line, flush=True)
    if options.out is not None:
        print(f"written   {options.out}", file=sys.stdout if options.format == FORMS[0] else sys.stderr)
    if note := describe_views(facts, options.tta):
        print(f"note: {note}", file=sys.stderr)
    if problems:
        count = "1 file that cannot be used is" if len(problems) == 1 else f"{len(problems)} files are"
        print(f"{count} left out:", *problems, sep="\n  ", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_main(main))
