"""`python -m tuning.scale --arch mobilenet --width 0.25`: how to make a network larger.

EfficientNet's procedure (Tan & Le, 2019, section 3.3) for any architecture: among the constants of depth, width and
resolution that about double the work, those whose networks are the most accurate, trained with some seeds; then the
family that they span. `--published` sets EfficientNet's own family beside the formula, `--tradeoff` draws accuracy
against MACs for widths and image sizes, as for MobileNet (Howard et al., 2017, figure 4). A study that exists is
continued.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path

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
from tuning.scaling.published import published
from tuning.scaling.runs import OWN
from tuning.scaling.tradeoff import WIDTHS, tradeoff

QUICK = {"epochs": 4, "warmup_epochs": 0.5}  # of a run, unless flags say otherwise
OPTIONS = ("published", "tradeoff", "widths", "sizes", "seeds", "step", "tolerance", "study")  # and flags of their own


def numbers(flag: str, texts: list[str], field: str) -> list:
    """The values of a flag that takes several of a field of Config. Raises BadInput."""
    try:
        return [getattr(Config(**{field: text}), field) for text in dict.fromkeys(texts)]
    except BadInput as error:
        raise BadInput(str(error).replace(flag_of(field), flag)) from error


def positive(flag: str, text: str) -> float:
    """The value of a flag that takes a number above 0 and at most 1. Raises BadInput."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) <= 1:
            return value
    raise BadInput(f"{flag} must be a number above 0 and at most 1, got '{text}'")


def main() -> None:
    parser = Parser(prog="python -m tuning.scale", description=__doc__)
    parser.add_argument("--published", action="store_true", help="EfficientNet's family and the formula; no training")
    parser.add_argument("--tradeoff", action="store_true", help="accuracy against MACs by width and image size")
    parser.add_argument("--widths", metavar="W", nargs="+", help="of --tradeoff [0.25 0.5 0.75 1]")
    parser.add_argument("--sizes", metavar="S", nargs="+", help="of --tradeoff [4/7, 5/7, 6/7 and all of the data's]")
    parser.add_argument("--seeds", metavar="K", default="1", help="runs of each network [1]")
    parser.add_argument("--step", metavar="S", default="0.1", help="of the grid of alpha, beta and gamma [0.1]")
    parser.add_argument(
        "--tolerance", metavar="T", default=str(scaling.TOLERANCE), help="of alpha beta^2 gamma^2, from 2 [%(default)s]"
    )
    parser.add_argument("--study", metavar="DIR", help="folder, continued if it exists [runs/scale-ARCH-DATASET]")
    add_flags(parser, [field.name for field in dataclasses.fields(Config) if field.name not in OWN])
    given = vars(parser.parse_args())
    own = {name: given.pop(name) for name in OPTIONS}
    if own["published"]:
        import_tensorflow()
        print(published())
        return
    seeds = parse_count("--seeds", own["seeds"])
    step, tolerance = (positive(f"--{name}", own[name]) for name in ("step", "tolerance"))
    widths = numbers("--widths", own["widths"] or WIDTHS, "width")
    sizes = own["sizes"] and numbers("--sizes", own["sizes"], "image_size")
    if own["tradeoff"] and (fixed := sorted({"width", "image_size"} & set(given))):
        raise BadInput(f"--tradeoff takes several: give {flag_of(fixed[-1]).replace('image-size', 'size')}s")
    if not own["tradeoff"] and (own["widths"] or own["sizes"]):
        raise BadInput("--widths and --sizes are of --tradeoff: give it, or --width and --image-size")
    config = recipes.resolve(given if "recipe" in given else QUICK | given)
    kind = "tradeoff" if own["tradeoff"] else "scale"
    study = Path(own["study"] or f"runs/{kind}-{config.arch}-{Path(config.dataset).stem}")
    if registry.family_of(config.arch).task != "classification":
        raise BadInput(f"{config.arch} is for {registry.family_of(config.arch).task}: give a network that classifies")
    for size in sizes or ():
        registry.check_size(config.arch, size)
    train.check(dataclasses.replace(config, out=str(study / "run-new")))
    import_tensorflow()
    if own["tradeoff"]:
        tradeoff(config, study, seeds, widths, sizes)
    else:
        compound(config, study, seeds, step, tolerance)


if __name__ == "__main__":
    sys.exit(run_main(main))
