"""`python -m tuning.scale --arch mobilenet --width 0.25`: how to make a network larger.

EfficientNet's procedure (Tan & Le, 2019, section 3.3) for any architecture: train the networks of all constants of
depth, width and resolution that about double the work, choose the most accurate, and print the family they span.
`--published` compares EfficientNet's family with the formula; `--tradeoff` draws accuracy against MACs for widths and
image sizes, as for MobileNet (Howard et al., 2017, figure 4). A study that exists is continued.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Any

from tfcnn import train
from tfcnn.arithmetic import scaling
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.training import recipes
from tuning.scaling.compound import compound
from tuning.scaling.published import published_table
from tuning.scaling.runs import NOT_SHARED
from tuning.scaling.tradeoff import WIDTHS, tradeoff


def parse_values(flag: str, texts: list[str], field: str) -> list[Any]:
    """The values of a flag that takes several of a field of Config. Raises BadInput."""
    values: list[Any] = []
    for text in dict.fromkeys(texts):
        fields: dict[str, Any] = {field: text}
        try:
            values.append(getattr(Config(**fields), field))
        except BadInput as error:
            raise BadInput(str(error).replace(flag_of(field), flag)) from error
    return values


def parse_fraction(flag: str, text: str) -> float:
    """The value of a flag that takes a number above 0 and at most 1. Raises BadInput."""
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 < value <= 1:
            return value
    raise BadInput(f"{flag} must be a number above 0 and at most 1, got '{text}'")


def make_parser() -> Parser:
    """The parser of the command's flags; those of Config leave no trace unless they are given."""
    parser = Parser(prog="python -m tuning.scale", usage="%(prog)s [flags]", description=__doc__)
    parser.add_argument(
        "--published", action="store_true", help="EfficientNet's family and the formula; trains nothing"
    )
    parser.add_argument("--tradeoff", action="store_true", help="accuracy against MACs by width and image size")
    parser.add_argument("--widths", metavar="W", nargs="+", help="of --tradeoff [0.25 0.5 0.75 1]")
    parser.add_argument("--sizes", metavar="S", nargs="+", help="of --tradeoff [4/7, 5/7, 6/7 and all of the data's]")
    parser.add_argument("--seeds", metavar="K", default="1", help="runs of each network [1]")
    parser.add_argument("--step", metavar="S", default="0.1", help="of the grid of alpha, beta and gamma [0.1]")
    parser.add_argument(
        "--tolerance", metavar="T", default=str(scaling.TOLERANCE), help="of alpha beta^2 gamma^2, from 2 [%(default)s]"
    )
    parser.add_argument("--study", metavar="DIR", help="folder, continued if it exists [runs/scale-ARCH-DATASET]")
    add_flags(parser, [field.name for field in dataclasses.fields(Config) if field.name not in NOT_SHARED])
    return parser


def check_axes(arguments: argparse.Namespace, flags: dict[str, Any]) -> None:
    """Raises BadInput if a flag for one width or size comes with --tradeoff, or one for several without it."""
    if arguments.tradeoff:
        for field, flag in (("width", "--widths"), ("image_size", "--sizes")):
            if field in flags:
                raise BadInput(f"--tradeoff takes several: give {flag} for {flag_of(field)}")
    elif arguments.widths or arguments.sizes:
        raise BadInput("--widths and --sizes go with --tradeoff: give it, or --width and --image-size")


def main() -> None:
    arguments = make_parser().parse_args()
    if arguments.published:
        import_tensorflow()
        print(published_table())
        return
    names = {field.name for field in dataclasses.fields(Config)}
    flags = {name: value for name, value in vars(arguments).items() if name in names}
    seeds = parse_count("--seeds", arguments.seeds)
    step = parse_fraction("--step", arguments.step)
    tolerance = parse_fraction("--tolerance", arguments.tolerance)
    widths = parse_values("--widths", arguments.widths, "width") if arguments.widths else list(WIDTHS)
    sizes = parse_values("--sizes", arguments.sizes, "image_size") if arguments.sizes else None
    check_axes(arguments, flags)
    try:
        scaling.compound_grid(step, tolerance)
    except ValueError as error:
        raise BadInput(f"{error} (--step)") from error
    config = recipes.resolve(recipes.quick(flags))
    kind = "tradeoff" if arguments.tradeoff else "scale"
    study = Path(arguments.study or f"runs/{kind}-{config.arch}-{Path(config.dataset).stem}")
    if registry.family_of(config.arch).task != "classification":
        raise BadInput(f"{config.arch} is for {registry.family_of(config.arch).task}: give a network that classifies")
    for size in sizes or ():
        if not isinstance(size, int):
            raise BadInput(f"--sizes takes the sides of square images, got '{size}'")
        registry.check_size(config.arch, size)
    train.check(dataclasses.replace(config, out=str(study / "run-new")))
    import_tensorflow()
    if arguments.tradeoff:
        tradeoff(config, study, seeds, widths, sizes)
    else:
        compound(config, study, seeds, step, tolerance)


if __name__ == "__main__":
    sys.exit(run_main(main))
