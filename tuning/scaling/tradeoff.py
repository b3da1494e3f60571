"""Accuracy against MACs by width and image size, as for MobileNet (Howard et al., 2017, figure 4)."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import NamedTuple

from tfcnn.config import Config
from tfcnn.files import write_json
from tfcnn.models import registry
from tfcnn.training.data import load_data
from tuning.scaling.runs import Cost, check_study, image_shape, price, trained, with_seeds

WIDTHS = (0.25, 0.5, 0.75, 1.0)  # MobileNet's, Table 6,
SHARES = (128 / 224, 160 / 224, 192 / 224, 1.0)  # and its image sizes, Table 7


class Point(NamedTuple):
    """A network of the trade-off and the accuracies of its seeds."""

    width: float
    size: int
    cost: Cost
    accuracies: list[float]


def tradeoff(config: Config, study: Path, seeds: int, widths: list[float], sizes: list[int] | None) -> list[Point]:
    """Accuracy against MACs by width and image size. Prints the table; writes scale.json and tradeoff.png."""
    data = load_data(config)
    side, _, channels = image_shape(data)
    least = registry.family_of(config.arch).min_size
    sizes = sizes or sorted({max(least, round(side * share)) for share in SHARES})
    for size in sizes:
        registry.check_size(config.arch, size)
    grid = [dataclasses.replace(config, width=width, image_size=size) for width in widths for size in sizes]
    costs = [price(each, each.image_size, channels, data.num_classes) for each in grid]
    facts = check_study(study, dataclasses.replace(config, width=1.0, image_size=None))
    print(f"{len(grid)} networks, {seeds} seed{'s' if seeds > 1 else ''} each, {config.epochs} epochs", flush=True)
    write_json(study / "scale.json", facts)
    runs = [
        run for each in grid for run in with_seeds(each, seeds, study, f"width{each.width:g}-size{each.image_size}")
    ]
    values = trained(runs)
    points = [
        Point(each.width, each.image_size, cost, values[i * seeds : (i + 1) * seeds])
        for i, (each, cost) in enumerate(zip(grid, costs, strict=True))
    ]
    write_json(study / "scale.json", facts | {"points": [p._asdict() | {"cost": p.cost._asdict()} for p in points]})
    draw_tradeoff(points, study / "tradeoff.png", title=f"{config.arch} on {data.name}: width and image size")
    print(f"\n{tradeoff_table(points)}\n\ndrawn in {study / 'tradeoff.png'}")
    return points


def tradeoff_table(points: list[Point]) -> str:
    """The networks by width and size."""
    from tfcnn.tables import as_text

    body = [
        (
            *(f"{p.width:g}", str(p.size), f"{p.cost.params:,}", f"{p.cost.macs:,}"),
            *(f"{statistics.fmean(p.accuracies):.2%}", " ".join(f"{value:.2%}" for value in p.accuracies)),
        )
        for p in points
    ]
    return as_text(("width", "image", "parameters", "MACs", "accuracy", "seeds"), body, words=())


def draw_tradeoff(points: list[Point], path: Path, title: str) -> None:
    """A line for each width: validation accuracy over the MACs of an image, the seeds' range as bars."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, PercentFormatter

    from tfcnn.files import writing

    looks = [(color, mark) for color, mark in zip(("#1b3a6b", "#e07b1a", "#3a8a5f", "#8a3a7a"), "osD^", strict=True)]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for i, width in enumerate(sorted({p.width for p in points})):
        line = sorted((p for p in points if p.width == width), key=lambda p: p.cost.macs)
        means = [statistics.fmean(p.accuracies) for p in line]
        below = [mean - min(p.accuracies) for mean, p in zip(means, line, strict=True)]
        above = [max(p.accuracies) - mean for mean, p in zip(means, line, strict=True)]
        color, mark = looks[i % len(looks)]
        style = {"color": color, "marker": mark, "capsize": 3, "linewidth": 1.6}
        axes.errorbar([p.cost.macs for p in line], means, [below, above], **style, label=f"width {width:g}")
        for p, mean in zip(line, means, strict=True):
            place = {"xytext": (5, -11), "textcoords": "offset points", "fontsize": 8, "color": color}
            axes.annotate(f"{p.size}", (p.cost.macs, mean), **place)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("MACs of an image (log); the numbers are its side in pixels")
    axes.set_ylabel("validation accuracy")
    axes.set_title(title)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", frameon=False)
    with writing(path) as draft:
        figure.savefig(draft, dpi=150, format="png")
