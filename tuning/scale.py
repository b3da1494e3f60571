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
import math
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tfcnn import train
from tfcnn.arithmetic import scaling
from tfcnn.arithmetic.scaling import Constants
from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import write_json
from tfcnn.flags import add_flags
from tfcnn.models import registry
from tfcnn.training import recipes
from tfcnn.training.data import load_data
from tuning import trials
from tuning.runs import OWN, Cost, check_study, image_shape, price, trained, with_seeds
from tuning.tradeoff import WIDTHS, tradeoff

QUICK = {"epochs": 4, "warmup_epochs": 0.5}  # of a run, unless flags say otherwise
OPTIONS = ("published", "tradeoff", "widths", "sizes", "seeds", "step", "tolerance", "study")  # and flags of their own
PHIS = range(8)
# Trainable parameters: keras.applications and torchvision's documentation; 10^9 MACs: Tan & Le, Table 2, "#FLOPs".
PUBLISHED = {
    "efficientnet_b0": (5288548, 0.39),
    "efficientnet_b1": (7794184, 0.70),
    "efficientnet_b2": (9109994, 1.0),
    "efficientnet_b3": (12233232, 1.8),
    "efficientnet_b4": (19341616, 4.2),
    "efficientnet_b5": (30389784, 9.9),
    "efficientnet_b6": (43040704, 19),
    "efficientnet_b7": (66347960, 37),
}


class Candidate(NamedTuple):
    """Constants and their network at phi 1."""

    constants: Constants
    cost: Cost
    same: int  # constants of the grid that give this network, these included


def candidates(config: Config, grid: Iterable[Constants], side: int, channels: int, classes: int) -> list[Candidate]:
    """The different networks of a grid: filters and blocks are whole, so that several constants build one and the same.

    It goes by those of them whose nominal work is nearest to 2.
    """
    found: dict[Cost, list[Constants]] = {}
    for constants in grid:
        scaled = dataclasses.replace(config, phi=1, compound=str(constants))
        found.setdefault(price(scaled, side, channels, classes), []).append(constants)
    return [
        Candidate(min(those, key=lambda constants: abs(constants.work - 2)), cost, len(those))
        for cost, those in found.items()
    ]


def best_of(accuracies: dict[Candidate, list[float]]) -> Candidate | None:
    """The candidate of the highest mean accuracy, of equal ones the cheapest; None if each has a run that failed."""
    whole = {each: values for each, values in accuracies.items() if all(map(math.isfinite, values))}
    if not whole:
        return None
    return max(whole, key=lambda each: (statistics.fmean(whole[each]), -each.cost.macs))


def compound(config: Config, study: Path, seeds: int, step: float, tolerance: float) -> Constants:
    """The search for the constants. Prints the tables; writes scale.json. Raises BadInput, TrainingFailed."""
    facts, data = check_study(study, config), load_data(config)
    side, _, channels = image_shape(data)
    base = price(config, side, channels, data.num_classes)
    grid = scaling.compound_grid(step, tolerance)
    if not grid:
        raise BadInput(f"no constants in steps of {step:g} have a work of 2 within {tolerance:g}: lower --step")
    networks = candidates(config, grid, side, channels, data.num_classes)
    print(
        f"{len(grid)} constants whose work is 2 within {tolerance:g}, {len(networks)} different networks, "
        f"{seeds} seed{'s' if seeds > 1 else ''} each, {config.epochs} epochs",
        flush=True,
    )
    runs = [
        run
        for each in networks
        for run in with_seeds(
            dataclasses.replace(config, phi=1, compound=str(each.constants)), seeds, study, f"compound-{each.constants}"
        )
    ]
    write_json(study / "scale.json", facts)
    values = trained(runs)
    accuracies = {each: values[i * seeds : (i + 1) * seeds] for i, each in enumerate(networks)}
    print(f"\n{grid_table(accuracies, base)}")
    best = best_of(accuracies)
    if best is None:
        raise TrainingFailed(f"a run of every network of '{study}' failed")
    rows = [
        {"compound": str(each.constants), "work": each.constants.work, **each.cost._asdict(), "val_accuracy": found}
        for each, found in accuracies.items()
    ]
    write_json(study / "scale.json", facts | {"base": base._asdict(), "rows": rows, "chosen": str(best.constants)})
    print(f"\nchosen: {best.constants}\n\n{family_table(config, best.constants, side, channels, data.num_classes)}")
    print(f"\n{command_of(config, best.constants)}")
    return best.constants


def grid_table(accuracies: dict[Candidate, list[float]], base: Cost) -> str:
    """The candidates, the most accurate first; nominal and real work in multiples of the base network's."""
    from tfcnn.tables import as_text

    def mean(each):
        return statistics.fmean(accuracies[each])

    order = sorted(accuracies, key=lambda each: -mean(each) if math.isfinite(mean(each)) else math.inf)
    head = ("alpha", "beta", "gamma", "nominal", "real", "image", "parameters", "MACs", "accuracy", "seeds", "same as")
    body = [
        (
            *(f"{value:g}" for value in each.constants),
            f"{each.constants.work:.3f}",
            f"{each.cost.macs / base.macs:.3f}",
            str(each.cost.side),
            f"{each.cost.params:,}",
            f"{each.cost.macs:,}",
            f"{mean(each):.2%}",
            " ".join(f"{value:.2%}" for value in accuracies[each]),
            f"{each.same - 1} others" if each.same > 1 else "",
        )
        for each in order
    ]
    return as_text(head, body, words=())


def family_table(config: Config, constants: Constants, side: int, channels: int, classes: int) -> str:
    """Width, depth, image, parameters and MACs of phi 0 ... 7."""
    from tfcnn.tables import as_text

    body, base = [], None
    for phi in PHIS:
        scaled = dataclasses.replace(config, phi=phi, compound=str(constants))
        cost = price(scaled, side, channels, classes)
        base = base or cost
        width, depth = (scaled.overrides[name] for name in ("width", "depth"))
        body.append(
            (
                *(str(phi), f"{width:.3f}", f"{depth:.3f}", str(cost.side), f"{cost.params:,}", f"{cost.macs:,}"),
                f"{cost.macs / base.macs:.2f}",
                f"{constants.work**phi:.2f}",
            )
        )
    return as_text(("phi", "width", "depth", "image", "parameters", "MACs", "real", "nominal"), body, words=())


def command_of(config: Config, constants: Constants) -> str:
    """The command that trains the family's phi = 2."""
    return trials.command_of(dataclasses.replace(config, recipe="default", phi=2, compound=str(constants)))


def published() -> str:
    """EfficientNet's published family beside the formula of the paper, with our parameters and MACs.

    The columns "formula" are the phi that is nearest by image size: section 3.3 with 1.2, 1.1 and 1.15.
    """
    from tfcnn.models.classification import efficientnet
    from tfcnn.tables import as_text

    body = []
    for name, (params, billions) in PUBLISHED.items():
        row, _ = efficientnet.PUBLISHED[name]
        phi = math.log(row.resolution / 224) / math.log(scaling.EFFICIENTNET.gamma)
        formula = scaling.compound(phi)
        cost = price(Config(arch=name), int(row.resolution), 3, 1000)
        body.append(
            (
                *(name.removeprefix("efficientnet_"), f"{row.width:.1f}", f"{row.depth:.1f}", str(row.resolution)),
                *(f"{phi:.2f}", f"{formula.width:.2f}", f"{formula.depth:.2f}"),
                *(f"{cost.trainable:,}", f"{params:,}", f"{cost.macs / 1e9:.2f}", f"{billions:g}"),
            )
        )
    head = ("", "width", "depth", "image", "phi", "its width", "its depth")
    head += ("trainable", "published", "10^9 MACs", "published")
    return as_text(head, body, words=[0])


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
