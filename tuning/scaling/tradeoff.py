"""Accuracy against MACs by width and image size, as for MobileNet (Howard et al., 2017, figure 4)."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from pathlib import Path
from typing import NamedTuple

from tfcnn.config import Config
from tfcnn.files import write_json, writing
from tfcnn.models import registry
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

WIDTHS = (0.25, 0.5, 0.75, 1.0)  # MobileNet's, Table 6
SHARES = (128 / 224, 160 / 224, 192 / 224, 1.0)  # MobileNet's image sizes, Table 7, as shares of the largest
COLORS = ("#1b3a6b", "#e07b1a", "#3a8a5f", "#8a3a7a")
MARKERS = "osD^"
LONGEST_TITLE = 80  # characters


class Point(NamedTuple):
    """A network of the trade-off and the accuracies of its seeds."""

    width: float
    size: int
    cost: NetworkCost
    accuracies: list[float]


def tradeoff(config: Config, study: Path, seeds: int, widths: list[float], sizes: list[int] | None) -> list[Point]:
    """Accuracy against MACs by width and image size. Prints the table; writes scale.json and tradeoff.png."""
    data = load_data(config)
    side, _, channels = check_images(data)
    least = registry.family_of(config.arch).min_size
    sizes = sizes or sorted({max(least, round(side * share)) for share in SHARES})
    for size in sizes:
        registry.check_size(config.arch, size)
    grid = list(itertools.product(widths, sizes))
    networks = [dataclasses.replace(config, width=width, image_size=size) for width, size in grid]
    pairs = zip(networks, grid, strict=True)
    costs = [cost_of(network, size, channels, data.num_classes) for network, (_, size) in pairs]
    shared = dataclasses.replace(config, width=1.0, image_size=None)
    check_study(study, shared)
    facts = {"config": shared_fields(shared)}
    print(f"{len(grid)} networks, {format_seeds(seeds)} each, {config.epochs} epochs", flush=True)
    write_json(study / "scale.json", facts)
    runs = []
    for network, (width, size) in zip(networks, grid, strict=True):
        runs += repeat_with_seeds(network, seeds, study, f"width{width:g}-size{size}")
    values = train_all(runs)
    points = [
        Point(width, size, cost, values[i * seeds : (i + 1) * seeds])
        for i, ((width, size), cost) in enumerate(zip(grid, costs, strict=True))
    ]
    write_json(study / "scale.json", facts | {"points": [p._asdict() | {"cost": p.cost._asdict()} for p in points]})
    draw_tradeoff(points, study / "tradeoff.png", title=f"{config.arch} on {data.name}: width and image size")
    print(f"\n{tradeoff_table(points)}\n\ndrawn in {study / 'tradeoff.png'}")
    return points


def tradeoff_table(points: list[Point]) -> str:
    """The networks by width and size."""
    body = [
        (
            f"{p.width:g}",
            str(p.size),
            f"{p.cost.params:,}",
            f"{p.cost.macs:,}",
            f"{statistics.fmean(p.accuracies):.2%}",
            " ".join(f"{value:.2%}" for value in p.accuracies),
        )
        for p in points
    ]
    return as_text(("width", "image", "parameters", "MACs", "accuracy", "seeds"), body, words=())


def draw_tradeoff(points: list[Point], path: Path, title: str) -> None:
    """A line for each width: validation accuracy over the MACs of an image, the range of the seeds as bars."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, PercentFormatter

    from pipelines.text import plain, save

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    looks = itertools.cycle(zip(COLORS, MARKERS, strict=True))
    for width, (color, marker) in zip(sorted({p.width for p in points}), looks, strict=False):
        line = sorted((p for p in points if p.width == width), key=lambda p: p.cost.macs)
        means = [statistics.fmean(p.accuracies) for p in line]
        below = [mean - min(p.accuracies) for mean, p in zip(means, line, strict=True)]
        above = [max(p.accuracies) - mean for mean, p in zip(means, line, strict=True)]
        axes.errorbar(
            [p.cost.macs for p in line],
            means,
            [below, above],
            color=color,
            marker=marker,
            capsize=3,
            linewidth=1.6,
            label=f"width {width:g}",
        )
        for p, mean in zip(line, means, strict=True):
            axes.annotate(
                f"{p.size}",
                (p.cost.macs, mean),
                xytext=(5, -11),
                textcoords="offset points",
                fontsize=8,
                color=color,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("MACs of an image (log); the numbers are its side in pixels")
    axes.set_ylabel("validation accuracy")
    axes.set_title(plain(title, LONGEST_TITLE))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", frameon=False)
    with writing(path) as draft:
        save(figure, draft, dpi=150, format="png")
