"""How well classes can be told apart at each depth: `python -m benchmarks.separability [--seeds N]`.

Narrow networks trained on `digits` by the default recipe, and the same networks untrained: a linear probe and the
nearest neighbour on the map at the end of each stage. The values are appended to benchmarks/separability.csv, which
becomes docs/separability.md; a network and seed with values there is not trained again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.training_runs import ROOT, append_row, has_row, read_examples, read_rows, trained_run
from tfcnn.cli.startup import import_tensorflow
from tfcnn.tables import as_markdown

if TYPE_CHECKING:
    import keras

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "separability.md"
PICTURE = ROOT / "docs" / "gallery" / "separability.png"
NETWORKS = {"vgg11_bn": "0.125", "resnet20": "0.5", "mobilenet": "0.25"}  # and their widths
MEASURES = {"linear": "linear probe", "nearest": "nearest neighbour"}
COLOURS = {"trained": "#2b6777", "untrained": "#cc5522"}


def untrained(model: keras.Model, arch: str, width: str, seed: int, images: np.ndarray) -> keras.Model:
    """The network with fresh weights; the statistics of its batch norms are those of the images."""
    import keras

    import tfcnn

    keras.utils.set_random_seed(seed)
    fresh = tfcnn.build(arch, model.input_shape[1:], model.output_shape[-1], width=float(width), bn_momentum=0.0)
    fresh(images[:256], training=True)
    return fresh


def measure(model: keras.Model, examples: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
    """The accuracies at the last map of each resolution, and at the logits."""
    from tfcnn.visualize.points import map_names
    from tfcnn.visualize.separability import probe

    for row in probe(model, [*map_names(model), model.layers[-1].name], *examples):
        yield {"layer": row.layer, "linear": f"{row.linear:.4f}", "nearest": f"{row.nearest:.4f}"}


def accuracies(rows: Sequence[dict[str, str]], arch: str, weights: str, kind: str) -> dict[str, list[float]]:
    """For each layer the accuracies of all seeds."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if (row["network"], row["weights"]) == (arch, weights):
            values.setdefault(row["layer"], []).append(float(row[kind]))
    return values


def draw(rows: Sequence[dict[str, str]]) -> None:
    """Draw a curve over depth for each network."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(NETWORKS), sharey=True)
    for axes, arch in zip(panels, NETWORKS, strict=True):
        for weights in COLOURS:
            for kind in MEASURES:
                draw_curve(axes, accuracies(rows, arch, weights, kind), weights, kind)
        axes.set(title=arch)
        axes.tick_params(axis="x", rotation=45)
    panels[0].set(ylabel="test accuracy")
    panels[0].legend(frameon=False, loc="lower left")
    figure.savefig(PICTURE, dpi=90)


def draw_curve(axes: Axes, values: dict[str, list[float]], weights: str, kind: str) -> None:
    """The mean over the seeds, and their range as a band."""
    names = list(values)
    style = "-" if kind == "linear" else "--"
    label = f"{weights}, {MEASURES[kind]}"
    axes.plot(names, [np.mean(values[name]) for name in names], style, color=COLOURS[weights], label=label)
    lowest, highest = ([end(values[name]) for name in names] for end in (min, max))
    axes.fill_between(names, lowest, highest, color=COLOURS[weights], alpha=0.2, linewidth=0)


def write_page(rows: Sequence[dict[str, str]]) -> None:
    """Write docs/separability.md and its picture."""
    lines = []
    for arch in NETWORKS:
        for weights in COLOURS:
            by_kind = [accuracies(rows, arch, weights, kind) for kind in MEASURES]
            for layer in by_kind[0]:
                cells = [f"{100 * np.mean(v[layer]):.1f} ± {100 * np.std(v[layer], ddof=1):.1f}" for v in by_kind]
                lines.append([arch, weights, layer, *cells])
    head = ["network", "weights", "layer", *MEASURES.values()]
    PAGE.write_text(
        f"""# Progressive linear separability

Written by `python -m benchmarks.separability` from benchmarks/separability.csv: the accuracy of a linear probe and of
the nearest neighbour on the last map of each resolution and on the logits, in percent, mean and standard deviation
over the seeds. The networks are trained on `digits` by the default recipe; the probes see the same training images,
maps averaged over 4x4 cells ([separability.py](../tfcnn/visualize/separability.py), after Alain & Bengio, 2016, and
Oyallon, 2017).

With trained weights the accuracies stay or grow with depth; with fresh ones they fall, most where a network narrows to
few positions.

![Accuracy over depth](gallery/separability.png)

{as_markdown(head, lines, words=[0, 1, 2])}
"""
    )
    draw(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    import_tensorflow()
    from tfcnn.model_files import in_float32

    for seed in range(arguments.seeds):
        for arch, width in NETWORKS.items():
            case = {"network": arch, "seed": str(seed)}
            if has_row(TABLE, case):
                continue
            with trained_run(["--arch", arch, "--dataset", "digits", "--width", width, "--seed", str(seed)]) as run:
                model = in_float32(run.load_model())
                examples = [*read_examples(run, "train"), *read_examples(run, "test")]
            networks = {"trained": model, "untrained": untrained(model, arch, width, seed, examples[0])}
            for weights, network in networks.items():
                for row in list(measure(network, examples)):
                    append_row(TABLE, case | {"weights": weights} | row)
            print(f"{arch}, seed {seed}: done", flush=True)
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
