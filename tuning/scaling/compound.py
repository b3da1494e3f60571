"""Compound scaling: the search for the constants of depth, width and resolution, and the family that they span.

Tan & Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019, section 3.3.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tfcnn.arithmetic import scaling
from tfcnn.arithmetic.scaling import Constants
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import write_json
from tfcnn.training.data import load_data
from tuning.scaling.runs import Cost, check_study, image_shape, price, trained, with_seeds
from tuning.study import trials

PHIS = range(8)


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
