"""What pooling and augmentation do for invariance: `python -m benchmarks.invariance [--seeds N]`.

The lecture's network with five kinds of pooling, trained on `digits` with the default augmentation and without: its
test accuracy on images that are shifted, turned and scaled, and how far the features before its classifier move. The
values are appended to benchmarks/invariance.csv, which becomes docs/invariance.md; what is there is not trained again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.training_runs import ROOT, append_row, has_row, read_examples, read_rows, trained_run
from tfcnn.cli.startup import import_tensorflow
from tfcnn.tables import as_markdown

if TYPE_CHECKING:
    import keras

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "invariance.md"
PICTURE = ROOT / "docs" / "gallery" / "pooling.png"
POOLINGS = ("max", "average", "l2", "strided", "blur")
AUGMENTATIONS = ("light", "none")
FLAGS = ("--arch", "lecture_cnn", "--dataset", "digits", "--width", "0.25")
AMOUNTS = {"shift": (0, 1, 2, 4, 6, 8), "turn": (0, 10, 20, 30, 40), "scale": (1, 1.1, 1.25, 1.5, 1.75)}
LABELS = {"shift": "shift in pixels", "turn": "rotation in degrees", "scale": "enlargement"}
SHOWN = {"shift": 4, "turn": 20, "scale": 1.25}  # amounts of the table
IMAGES = 100  # whose features are compared
COLOURS = ("#2b6777", "#cc5522", "#7a5195", "#4d9221", "#8c510a")


def measure(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Iterator[dict[str, Any]]:
    """Accuracy and distance of features for each change and amount."""
    from tfcnn.visualize.invariance import CHANGES, distances

    features = model.layers[-2].name
    for name, amounts in AMOUNTS.items():
        moved = distances(model, images[:IMAGES], [features], CHANGES[name], amounts)[0]
        for amount, distance in zip(amounts, moved, strict=True):
            changed = np.stack([CHANGES[name](image, amount) for image in images])
            accuracy = (model.predict(changed, verbose=0).argmax(-1) == labels).mean()
            yield {"change": name, "amount": amount, "accuracy": f"{accuracy:.4f}", "distance": f"{distance:.4f}"}


def values_of(rows: Sequence[dict[str, str]], pool: str, aa: str, change: str, column: str) -> np.ndarray:
    """A row for each seed, a column for each amount."""
    seeds: dict[str, list[float]] = {}
    for row in rows:
        if (row["pool"], row["aa"], row["change"]) == (pool, aa, change):
            seeds.setdefault(row["seed"], []).append(float(row[column]))
    return np.array(list(seeds.values()))


def draw(rows: Sequence[dict[str, str]]) -> None:
    """Draw accuracy over the amount of each change, a line for each pooling, dashed without augmentation."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    panels = figure.subplots(1, len(AMOUNTS), sharey=True)
    for axes, (change, amounts) in zip(panels, AMOUNTS.items(), strict=True):
        for pool, colour in zip(POOLINGS, COLOURS, strict=True):
            for aa, style in zip(AUGMENTATIONS, ("-", "--"), strict=True):
                curve = values_of(rows, pool, aa, change, "accuracy").mean(0)
                axes.plot(amounts, curve, style, color=colour, label=pool if style == "-" else f"{pool}, --aa none")
        axes.set(xlabel=LABELS[change])
    panels[0].set(ylabel="test accuracy, mean of the seeds")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=9)
    figure.savefig(PICTURE, dpi=90)


def write_page(rows: Sequence[dict[str, str]]) -> None:
    """Write docs/invariance.md and its picture."""
    head = ["pooling", "augmentation", "unchanged"]
    head += [f"{LABELS[change]}: {amount}" for change, amount in SHOWN.items()]
    head += [f"features, {change} {amount}" for change, amount in SHOWN.items()]
    lines = []
    for aa in AUGMENTATIONS:
        for pool in POOLINGS:
            cells = [f"{100 * values_of(rows, pool, aa, 'shift', 'accuracy')[:, 0].mean():.1f}"]
            for change, amount in SHOWN.items():
                values = values_of(rows, pool, aa, change, "accuracy")[:, AMOUNTS[change].index(amount)]
                cells.append(f"{100 * values.mean():.1f} ± {100 * values.std(ddof=1):.1f}")
            for change, amount in SHOWN.items():
                values = values_of(rows, pool, aa, change, "distance")[:, AMOUNTS[change].index(amount)]
                cells.append(f"{values.mean():.2f}")
            lines.append([pool, aa, *cells])
    PAGE.write_text(
        f"""# Invariance

Written by `python -m benchmarks.invariance` from benchmarks/invariance.csv, three seeds of

    python -m tfcnn.train {" ".join(FLAGS)} --arch-args pool=POOL --aa light|none

Test accuracy in percent on images of 32 pixels that are shifted, turned or enlarged, the border repeated, mean and
standard deviation; then the distance of the features before the classifier from those of the image itself, in units of
the distance between two images ([invariance.py](../tfcnn/visualize/invariance.py)).

Augmentation helps most, and pooling helps more with shifts than with rotations: strided pooling, which takes one value
of each window, least, and the blurred maximum (Zhang, 2019) most.

{as_markdown(head, lines, words=[0, 1])}

![Accuracy under shifts, rotations and enlargement](gallery/pooling.png)
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
        for pool in POOLINGS:
            for aa in AUGMENTATIONS:
                case = {"pool": pool, "aa": aa, "seed": str(seed)}
                if has_row(TABLE, case):
                    continue
                with trained_run([*FLAGS, "--arch-args", f"pool={pool}", "--aa", aa, "--seed", str(seed)]) as run:
                    rows = list(measure(in_float32(run.load_model()), *read_examples(run, "test")))
                for row in rows:
                    append_row(TABLE, case | row)
                print(*case.values(), "done", flush=True)
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
