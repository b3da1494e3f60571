"""`python -m tfcnn.predict RUN IMAGE...`: class names and probabilities of image files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import tfcnn.trained
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.run_directory import RunDirectory


def predict(run: RunDirectory, paths: Sequence[str | Path], top: int = 3) -> list[list[tuple[str, float]]]:
    """Classify image files.

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
    results = []
    for probabilities in trained.predict(paths):
        best = probabilities.argsort()[::-1][:top]
        results.append([(trained.class_names[i], float(probabilities[i])) for i in best])
    return results


def main() -> None:
    parser = Parser(prog="python -m tfcnn.predict", description="Classify images with a trained run.")
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image file")
    parser.add_argument("--top", default="3", metavar="N", help="classes to show for an image [3]")
    arguments = parser.parse_args()
    top = parse_count("--top", arguments.top)
    run = RunDirectory.open(arguments.run).check_finished()
    paths = arguments.images
    width = max(map(len, paths))
    for path, classes in zip(paths, predict(run, paths, top), strict=True):
        print(f"{path:{width}}  " + "  ".join(f"{name} {probability:.1%}" for name, probability in classes))


if __name__ == "__main__":
    sys.exit(run_main(main))
