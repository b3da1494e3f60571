"""ResNets as ensembles of paths: `python -m benchmarks.residual_paths [--seeds N]`.

A narrow ResNet-110 and a plain VGG-16, trained on `digits` by the default recipe: test error without single blocks,
without several, and with blocks that change places; for the ResNet the gradient that paths of each length carry. The
values are appended to benchmarks/residual_paths.csv, which becomes docs/residual_paths.md; a network and seed with
values there is not trained again.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from benchmarks.training_runs import ROOT, append_row, has_row, read_examples, read_rows, trained_run
from tfcnn.cli.startup import import_tensorflow
from tfcnn.run_directory import RunDirectory
from tfcnn.tables import as_markdown

if TYPE_CHECKING:
    from tfcnn.visualize.residual_paths import Parts

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "residual_paths.md"
PICTURE = ROOT / "docs" / "gallery" / "residual_paths.png"
NETWORKS = {"resnet110": "0.5", "vgg16_bn": "0.125"}  # and their widths
SEVERAL = (1, 2, 4, 6, 8, 10, 15, 20)  # blocks left out together
SWAPS = (1, 2, 4, 8, 16, 32, 64)
DRAWS = 10  # of blocks, of orders, and of paths of each length
IMAGES = 64  # whose gradients are measured
SHARE = 0.9  # of the gradient that the effective paths carry
COLOURS = {"resnet110": "#2b6777", "vgg16_bn": "#cc5522"}


class Value(NamedTuple):
    """A measurement: of what, at which place, length or count, and its value."""

    measure: str
    at: float
    value: float


def measure(arch: str, run: RunDirectory) -> Iterator[Value]:
    """All values of a trained network."""
    from tfcnn import graph
    from tfcnn.model_files import in_float32
    from tfcnn.visualize.residual_paths import (
        Parts,
        gradient_by_length,
        permute,
        plain_layers,
        residual_blocks,
        swap_at_random,
    )

    images, labels = read_examples(run, "test")
    network = graph.read(in_float32(run.load_model()))
    residual = arch.startswith("resnet")
    parts = Parts(network, residual_blocks(network) if residual else plain_layers(network))
    count = len(parts.units)
    yield Value("whole", 0, error(parts, images, labels))
    for number in range(count):
        yield Value("without", number, error(parts, images, labels, [number]))
    rng = np.random.default_rng(0)
    for several in SEVERAL:
        if several < count:
            draws = [rng.choice(count, several, replace=False).tolist() for _ in range(DRAWS)]
            errors = [error(parts, images, labels, left_out) for left_out in draws]
            yield Value("without several", several, float(np.mean(errors)))
    if not residual:
        return
    for swaps in SWAPS:
        for _ in range(DRAWS):
            order = swap_at_random(parts.units, swaps, rng)
            permute(parts.units, order)
            yield Value("order", kendalltau(order, range(count)).statistic, error(parts, images, labels))
            permute(parts.units, np.argsort(order).tolist())
    magnitudes = gradient_by_length(parts, images[:IMAGES], labels[:IMAGES], samples=DRAWS)
    for length, magnitude in enumerate(magnitudes):
        yield Value("gradient of a path", length, float(magnitude))


def error(parts: Parts, images: np.ndarray, labels: np.ndarray, left_out: Sequence[int] = ()) -> float:
    """The share of images that the network without some units gets wrong."""
    return float((parts.outputs(images, left_out).argmax(-1) != labels).mean())


def values_of(rows: Sequence[dict[str, str]], arch: str, kind: str) -> dict[float, list[float]]:
    """For each place the values of all seeds."""
    values = defaultdict(list)
    for row in rows:
        if (row["network"], row["measure"]) == (arch, kind):
            values[float(row["at"])].append(float(row["value"]))
    return dict(values)


def shares_by_length(rows: Sequence[dict[str, str]]) -> np.ndarray:
    """The share of the gradient that all paths of each length carry together, (seeds, lengths)."""
    by_length = values_of(rows, "resnet110", "gradient of a path")
    magnitudes = np.array([by_length[length] for length in sorted(by_length)]).T
    blocks = magnitudes.shape[1] - 1
    totals = magnitudes * [float(math.comb(blocks, length)) for length in range(blocks + 1)]
    return totals / totals.sum(1, keepdims=True)


def effective_lengths(shares: np.ndarray) -> tuple[int, int]:
    """The shortest interval of lengths whose paths carry SHARE of the gradient."""
    sums = np.concatenate([[0], np.cumsum(shares)])
    intervals = [
        (first, int(np.searchsorted(sums, sums[first] + SHARE)) - 1)
        for first in range(len(shares))
        if sums[first] + SHARE <= sums[-1]
    ]
    return min(intervals, key=lambda interval: interval[1] - interval[0])


def draw(rows: Sequence[dict[str, str]]) -> None:
    """Draw the four figures of the paper that the page repeats."""
    figure = Figure(figsize=(10, 7.2), layout="constrained")
    (single, several), (order, gradient) = figure.subplots(2, 2)
    for arch in NETWORKS:
        draw_line(single, values_of(rows, arch, "without"), arch)
        draw_line(several, values_of(rows, arch, "without several"), arch)
    single.set(title="One block left out", xlabel="number of the block or layer")
    several.set(title="Several left out", xlabel="blocks or layers left out")
    for tau, errors in values_of(rows, "resnet110", "order").items():
        order.plot([tau] * len(errors), errors, "o", color=COLOURS["resnet110"], alpha=0.3, markersize=4)
    order.set(title="Blocks change places", xlabel="Kendall's rank correlation with the trained order")
    order.invert_xaxis()
    for axes in (single, several, order):
        axes.set(ylabel="test error", ylim=(0, 1))
    single.legend(frameon=False)
    shares = shares_by_length(rows)
    gradient.bar(range(shares.shape[1]), shares.mean(0), color=COLOURS["resnet110"])
    gradient.set(title="Gradient by the length of paths", xlabel="blocks of the path", ylabel="share of the gradient")
    figure.savefig(PICTURE, dpi=90)


def draw_line(axes: Axes, values: dict[float, list[float]], arch: str) -> None:
    """The mean over the seeds, and their range as a band."""
    places = sorted(values)
    axes.plot(places, [np.mean(values[at]) for at in places], color=COLOURS[arch], label=arch)
    lowest, highest = ([end(values[at]) for at in places] for end in (min, max))
    axes.fill_between(places, lowest, highest, color=COLOURS[arch], alpha=0.25, linewidth=0)


def in_percent(values: Sequence[float]) -> str:
    """Mean and range."""
    return f"{100 * np.mean(values):.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"


def write_page(rows: Sequence[dict[str, str]]) -> None:
    """Write docs/residual_paths.md and its picture."""
    lines = []
    for arch in NETWORKS:
        whole = values_of(rows, arch, "whole")[0]
        single = np.array(list(values_of(rows, arch, "without").values()))
        several = values_of(rows, arch, "without several")
        lines.append([arch, in_percent(whole), in_percent(np.median(single, 0)), in_percent(single.max(0))])
        lines[-1].append(in_percent(several[4]))
    shares = shares_by_length(rows)
    intervals = [effective_lengths(share) for share in shares]
    lengths = ", ".join(f"{first} to {last}" for first, last in intervals)
    head = ["network", "whole", "one left out, median", "one left out, worst", "four left out"]
    blocks = shares.shape[1] - 1
    PAGE.write_text(
        f"""# Residual networks as ensembles

Written by `python -m benchmarks.residual_paths` from benchmarks/residual_paths.csv: a ResNet-110 of width 0.5 and a
VGG-16 with batch normalisation of width 0.125, trained on `digits` by the default recipe; seeds: {len(shares)}. After
Veit, Wilber & Belongie (2016); the functions are in [residual_paths.py](../tfcnn/visualize/residual_paths.py).

Test error in percent, mean and range over the seeds. Chance is 90.

{as_markdown(head, lines, words=[0])}

![Blocks left out, blocks in another order, gradient by length](gallery/residual_paths.png)

A ResNet of {blocks} blocks is the sum of 2^{blocks} paths, each through the branch of some blocks and the shortcuts of
the others. Lengths are binomial: half of the paths pass {blocks // 2} branches or fewer. The gradient is not: in the
paper's network of 110 layers nearly all of it comes from paths through 5 to 17 blocks, 10 to 34 layers. Here the
shortest interval with {SHARE:.0%} of it, for each seed, is {lengths} blocks.
"""
    )
    draw(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    import_tensorflow()
    for seed in range(arguments.seeds):
        for arch, width in NETWORKS.items():
            case = {"network": arch, "seed": str(seed)}
            if has_row(TABLE, case):
                continue
            flags = ["--arch", arch, "--dataset", "digits", "--width", width, "--seed", str(seed)]
            with trained_run(flags) as run:
                values = list(measure(arch, run))
            for value in values:
                row: dict[str, Any] = case | value._asdict()
                append_row(TABLE, row | {"at": f"{value.at:.4g}", "value": f"{value.value:.4g}"})
            print(f"{arch}, seed {seed}: done", flush=True)
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
