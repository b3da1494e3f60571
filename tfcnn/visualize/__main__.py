"""`python -m tfcnn.visualize RUN --images FILE...`: look inside a network, a picture for each --what."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfcnn import imagenet
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.errors import BadInput, choose
from tfcnn.files import PNG, Kind, check_target, writing
from tfcnn.flags import add_flags
from tfcnn.run_directory import RunDirectory

if TYPE_CHECKING:
    from tfcnn.visualize.looks import View
    from tfcnn.visualize.subject import Subject

CONFIG_FLAGS = ("arch", "width", "depth", "arch_args", "weights", "mean", "std", "image_size")
WHAT = {
    "model": "the stages as blocks, with their data, parameters and MACs",
    "field": "what a position of each layer sees of the first image",
    "filters": "the kernels of the first convolution",
    "activations": "the strongest maps of the first image",
    "batch_norm": "maps of the first image before and after a batch norm, --layer [the first]",
    "patches": "the patches that excite maps most, with the deconvnet's reconstruction of each",
    "maximisation": "images that excite maps most, found by ascent",
    "attribution": "the pixels that the class depends on, by seven methods",
    "invariance": "how much maps change where the images are shifted, turned and scaled",
    "randomisation": "how the methods answer where the network has forgotten what it learned",
}
WITHOUT_IMAGES = ("model", "filters", "maximisation")
DEFAULT = ("filters", "attribution")
FOLDER = Kind("a folder", lambda path: path.is_dir())

# What imports Keras is imported in functions: the command line is checked without the wait for TensorFlow.


def make_parser() -> Parser:
    """The parser of the command."""
    listed = "; ".join(f"{name}: {words}" for name, words in WHAT.items())
    parser = Parser(
        prog="python -m tfcnn.visualize",
        description="What a network has learned: of a run, or of --arch with ImageNet weights.",
    )
    parser.add_argument("run", metavar="RUN", nargs="?", help="run directory of tfcnn.train")
    parser.add_argument("--images", metavar="FILE", nargs="+", default=[], help="image files")
    parser.add_argument(
        "--what", metavar="WHAT", nargs="+", default=list(DEFAULT), help=f"{listed} [{' '.join(DEFAULT)}]"
    )
    parser.add_argument(
        "--layer", metavar="NAME", nargs="+", default=[], help="layers [the last map of each resolution]"
    )
    parser.add_argument(
        "--channels", metavar="N", nargs="+", default=[], help="maps of the layers, from 0 [the strongest]"
    )
    parser.add_argument("--class", metavar="NAME", dest="label", help="class to explain [each image's most probable]")
    parser.add_argument("--out", metavar="DIR", default="looks", help="folder of the pictures, WHAT.png [looks]")
    add_flags(parser, CONFIG_FLAGS)
    return parser


def parse_channels(texts: Sequence[str]) -> list[int]:
    """Whole numbers from 0 up. Raises BadInput."""
    for text in texts:
        if not (text.isascii() and text.isdecimal() and len(text) < 7):
            raise BadInput(f"--channels must be whole numbers from 0 to 999999, got '{text}'")
    return [int(text) for text in texts]


def check(arguments: argparse.Namespace) -> dict[str, Path]:
    """The file of each picture. Raises BadInput."""
    for what in arguments.what:
        choose("look", what, WHAT, flag="--what")
    needing = [what for what in arguments.what if what not in WITHOUT_IMAGES]
    if needing and not arguments.images:
        raise BadInput(f"--what {' '.join(needing)} needs images: give --images FILE...")
    folder = check_target(arguments.out, FOLDER)
    if folder.is_dir():
        return {what: check_target(folder / f"{what}.png", PNG) for what in arguments.what}
    return {what: folder / f"{what}.png" for what in arguments.what}


def read_view(subject: Subject, arguments: argparse.Namespace, channels: list[int]) -> View:
    """The images with what to look at. Raises BadInput."""
    import numpy as np

    from tfcnn.visualize.looks import View

    images = subject.read(arguments.images) if arguments.images else np.zeros((0, *subject.inputs.shape), np.float32)
    label = None
    if arguments.label is not None:
        label = subject.class_names.index(choose("class", arguments.label, subject.class_names, flag="--class"))
    names = [Path(path).name for path in arguments.images]
    return View(images, names, arguments.layer, channels, label)


def main() -> None:
    arguments = make_parser().parse_args()
    paths = check(arguments)
    channels = parse_channels(arguments.channels)
    flags = {name: value for name, value in vars(arguments).items() if name in CONFIG_FLAGS}
    if (arguments.run is None) == ("arch" not in flags):
        raise BadInput("give a run directory, RUN, or a network with weights, --arch A --weights W")
    if arguments.run is not None and flags:
        raise BadInput(f"--{min(flags).replace('_', '-')} is for --arch: a run has its own")
    config = Config(**flags | {"weights": flags.get("weights", "imagenet")})
    if arguments.run is None:
        imagenet.check(config)
    else:
        run = RunDirectory.open(arguments.run).check_finished()
    import_tensorflow()
    from tfcnn.visualize import looks
    from tfcnn.visualize import subject as subjects

    subject = subjects.of_weights(config) if arguments.run is None else subjects.of_run(run)
    view = read_view(subject, arguments, channels)
    looks.check(subject, view, arguments.what)
    for what, path in paths.items():
        try:
            with writing(path) as draft:
                looks.LOOKS[what](subject, view, draft)
        except ValueError as error:
            raise BadInput(str(error)) from error
        print(f"{what:13} {path}", flush=True)


if __name__ == "__main__":
    sys.exit(run_main(main))
