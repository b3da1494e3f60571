"""Compound scaling: the search for the constants of depth, width and resolution, and the family they span.

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
from tfcnn.tables import as_text
from tfcnn.training.data import load_data
from tuning.scaling.runs import (
    NetworkCost,
    check_images,
    check_study,
    cost_of,
    format_seeds,
    repeat_with_seeds,
    shared_fields,
    train_all,
)
from tuning.study.trials import command_of

PHIS = range(8)


class Candidate(NamedTuple):
    """Constants and their network at phi 1."""

    constants: Constants
    cost: NetworkCost
    same: int  # constants of the grid that give this network, these included


def find_candidates(
    config: Config, grid: Iterable[Constants], side: int, channels: int, classes: int
) -> list[Candidate]:
    """The different networks of a grid.

    Filters and blocks are whole numbers, so several constants can give the same network: it stands for those whose
    nominal work is nearest to 2.
    """
    by_cost: dict[NetworkCost, list[Constants]] = {}
    for constants in grid:
        scaled = dataclasses.replace(config, phi=1, compound=str(constants))
        by_cost.setdefault(cost_of(scaled, side, channels, classes), []).append(constants)
    return [
        Candidate(min(equals, key=lambda constants: abs(constants.work - 2)), cost, len(equals))
        for cost, equals in by_cost.items()
    ]


def best_of(accuracies: dict[Candidate, list[float]]) -> Candidate | None:
    """The candidate of the highest mean accuracy, the cheapest of equal ones; None if each has a run that failed."""
    complete = [candidate for candidate, values in accuracies.items() if all(map(math.isfinite, values))]
    if not complete:
        return None
    return max(complete, key=lambda candidate: (statistics.fmean(accuracies[candidate]), -candidate.cost.macs))


def compound(config: Config, study: Path, seeds: int, step: float, tolerance: float) -> Constants:
    """Search for the constants. Prints the tables; writes scale.json. Raises BadInput, TrainingFailed."""
    check_study(study, config)
    data = load_data(config)
    side, _, channels = check_images(data)
    base = cost_of(config, side, channels, data.num_classes)
    grid = scaling.compound_grid(step, tolerance)
    if not grid:
        raise BadInput(f"no constants in steps of {step:g} have a work of 2 within {tolerance:g}: lower --step")
    candidates = find_candidates(config, grid, side, channels, data.num_classes)
    print(
        f"{len(grid)} constants whose work is 2 within {tolerance:g}, {len(candidates)} different networks, "
        f"{format_seeds(seeds)} each, {config.epochs} epochs",
        flush=True,
    )
    runs = []
    for candidate in candidates:
        scaled = dataclasses.replace(config, phi=1, compound=str(candidate.constants))
        runs += repeat_with_seeds(scaled, seeds, study, f"compound-{candidate.constants}")
    facts = {"config": shared_fields(config)}
    write_json(study / "scale.json", facts)
    values = train_all(runs)
    accuracies = {each: values[i * seeds : (i + 1) * seeds] for i, each in enumerate(candidates)}
    print(f"\n{grid_table(accuracies, base)}")
    best = best_of(accuracies)
    if best is None:
        raise TrainingFailed(f"a run of every network of '{study}' failed")
    rows = [
        {"compound": str(each.constants), "work": each.constants.work, **each.cost._asdict(), "val_accuracy": scores}
        for each, scores in accuracies.items()
    ]
    write_json(study / "scale.json", facts | {"base": base._asdict(), "rows": rows, "chosen": str(best.constants)})
    print(f"\nchosen: {best.constants}\n\n{family_table(config, best.constants, side, channels, data.num_classes)}")
    print(f"\n{command_of(dataclasses.replace(config, recipe='default', phi=2, compound=str(best.constants)))}")
    return best.constants


def grid_table(accuracies: dict[Candidate, list[float]], base: NetworkCost) -> str:
    """The candidates, the most accurate first; nominal and real work in multiples of the base network's."""

    def loss(candidate: Candidate) -> float:
        mean = statistics.fmean(accuracies[candidate])
        return -mean if math.isfinite(mean) else math.inf

    head = ("alpha", "beta", "gamma", "nominal", "real", "image", "parameters", "MACs", "accuracy", "seeds", "same as")
    body = [
        (
            f"{candidate.constants.alpha:g}",
            f"{candidate.constants.beta:g}",
            f"{candidate.constants.gamma:g}",
            f"{candidate.constants.work:.3f}",
            f"{candidate.cost.macs / base.macs:.3f}",
            str(candidate.cost.side),
            f"{candidate.cost.params:,}",
            f"{candidate.cost.macs:,}",
            f"{statistics.fmean(accuracies[candidate]):.2%}",
            " ".join(f"{value:.2%}" for value in accuracies[candidate]),
            f"{candidate.same - 1} others" if candidate.same > 1 else "",
        )
        for candidate in sorted(accuracies, key=loss)
    ]
    return as_text(head, body, words=())


def family_table(config: Config, constants: Constants, side: int, channels: int, classes: int) -> str:
    """Width, depth, image, parameters and MACs of phi 0 ... 7."""
    family = [dataclasses.replace(config, phi=phi, compound=str(constants)) for phi in PHIS]
    costs = [cost_of(scaled, side, channels, classes) for scaled in family]
    body = [
        (
            str(phi),
            f"{scaled.overrides['width']:.3f}",
            f"{scaled.overrides['depth']:.3f}",
            str(cost.side),
            f"{cost.params:,}",
            f"{cost.macs:,}",
            f"{cost.macs / costs[0].macs:.2f}",
            f"{constants.work**phi:.2f}",
        )
        for phi, scaled, cost in zip(PHIS, family, costs, strict=True)
    ]
    return as_text(("phi", "width", "depth", "image", "parameters", "MACs", "real", "nominal"), body, words=())
