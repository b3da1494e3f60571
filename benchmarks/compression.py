"""Deep Compression of networks of the default recipe: `python -m benchmarks.compression [--archs A ...] [--seeds N]`.

For each case and seed `python -m tfcnn.train` and then `python -m tfcnn.compress` run in separate processes. Their row
is appended to benchmarks/compression.csv, which then becomes docs/compression.md; without --archs nothing is trained. A
row that is there already is not measured again: remove the rows of a case that changes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.training_runs import ROOT, append_row, has_row, read_rows, train
from tfcnn.cli.startup import import_tensorflow
from tfcnn.tables import as_markdown

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "compression.md"
DATASET = "digits"
HEAD = (
    "network",
    "width",
    "training",
    "flags",
    "seeds",
    "accuracy",
    "compressed",
    "loss, points",
    "float32, bytes",
    "bytes",
    "ratio",
    "gzip",
    "gzip after",
    "goal",
)


class Case(NamedTuple):
    """A network, a width that two cores train in minutes, its training, its compression, and the ratio to reach.

    Attributes:
        arch: of tfcnn.train.
        width: of tfcnn.train.
        training: other flags of tfcnn.train; "": the default recipe.
        flags: of tfcnn.compress.
        goal: float32 bytes over compressed bytes.
    """

    arch: str
    width: float
    training: str
    flags: str
    goal: float


CASES = (
    Case("lenet5", 1.0, "", "--sparsity 0.92 --bits 4 --huffman --epochs 24", 40),
    Case("squeezenet1_1", 0.5, "--epochs 48", "--sparsity 0.82 --bits 4 --huffman --epochs 36", 20),
    Case("vgg11", 0.25, "", "--sparsity 0.93 --bits 4 --huffman --epochs 36", 49),
)

KEY = ("arch", "width", "training", "flags")
NUMBERS = ("network", "compressed", "float32", "gzip", "gzip_after", "bytes")
# The shares of the lecture's table, layer by layer: conv1, then s1x1, e1x1 and e3x3 of fire2 to fire9, then conv10. The
# slide prints 33 % for e3x3 of fire8, whose 77,581 parameters are those of 30 %.
KEPT = (
    *(1.0,),
    *(1.0, 1.0, 0.33) * 4,
    *(1.0, 0.5, 0.33),
    *(0.5, 1.0, 0.33),
    *(1.0, 0.5, 0.30),
    *(0.5, 1.0, 0.30),
    *(0.2,),
)
INTRODUCTION = """# Compression

    python -m tfcnn.compress RUN --sparsity 0.67 --bits 6 [--huffman] [--scope layer] [--sensitivity] --out DIR

compresses a classifier as Deep Compression does (Han, Mao & Dally 2015) and fine-tunes it with the data and the recipe
of its run:

1. Gradual magnitude pruning: the sparsity rises by a cubic (Zhu & Gupta 2017) for 60 % of the epochs, over all layers
   together or the same in each. Pruned weights are zero at the end of every step, whatever the optimiser.
2. Shared weights: k-means from centroids evenly spread over a layer's range, with 2 ** bits - 1 values, then training
   of these values by the sums of their weights' gradients. Code 0 is the filler of the relative indices.
3. The file: gaps between weights and codes of few bits, Huffman-coded with `--huffman`. Codebooks and biases are
   float16, batch norms float32; the network is rounded to them before it is evaluated
   ([weights_file.py](../tfcnn/compression/weights_file.py) has the format).

DIR then holds `weights.bin`, `network.json`, the report `compression.json` and `sensitivity.png`, the accuracy against
the sparsity of one layer at a time. The command reads the folder again and compares it with the network to the bit.

```python
import tfcnn.compression

trained = tfcnn.compression.load("DIR")  # as tfcnn.load: trained.predict(images), trained.model
```

## The lecture's table

SqueezeNet with the sparsities of the slide, where "sparsity" is the share that is kept. The slide has 33 % for e3x3 of
fire8, whose count is that of 30 %.
"""
RATIOS = """
## Ratios

Written by `python -m benchmarks.compression` from benchmarks/compression.csv: networks trained on `digits`, by the
default recipe where no flags stand under "training"; means over the seeds. Ratios are relative to the plain float32
weights: of weights.bin, of the plain file's gzip, and of the gzip of the compressed network's plain file. A loss below
0 is a gain; a point is 3.6 of the 360 test images. The paper has 39x for LeNet-5 and 49x for VGG-16; the goals are for
a loss of at most 0.5 points.
"""


def measure(case: Case, seed: int, folder: Path) -> dict[str, Any]:
    """Train and compress in `folder`; the row of the table."""
    started = time.monotonic()
    flags = ["--arch", case.arch, "--dataset", DATASET, "--width", str(case.width), "--seed", str(seed)]
    flags += case.training.split()
    train(flags, folder / "run")
    command = [sys.executable, "-m", "tfcnn.compress", str(folder / "run"), *case.flags.split()]
    command += ["--out", str(folder / "compressed")]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    result = json.loads((folder / "compressed" / "compression.json").read_text())
    total = result["total"]
    return {
        "arch": case.arch,
        "width": case.width,
        "training": case.training,
        "flags": case.flags,
        "seed": seed,
        **{name: f"{score:.4f}" for name, score in result["scores"].items()},
        **{name: total[name] for name in ("before", "after", "float32", "gzip", "gzip_after", "bytes")},
        "seconds": f"{time.monotonic() - started:.0f}",
    }


def summarise(rows: list[dict[str, str]]) -> list[list[str]]:
    """A line of the page for each case in the table: means over the seeds."""
    lines = []
    for key in dict.fromkeys(tuple(row[name] for name in KEY) for row in rows):
        runs = [row for row in rows if tuple(row[name] for name in KEY) == key]
        mean = {name: statistics.mean(float(row[name]) for row in runs) for name in NUMBERS}
        goals = {case.arch: case.goal for case in CASES}
        lines.append(
            [
                *key,
                str(len(runs)),
                f"{mean['network']:.2%}",
                f"{mean['compressed']:.2%}",
                f"{100 * (mean['network'] - mean['compressed']):+.2f}",
                f"{mean['float32']:,.0f}",
                ", ".join(f"{int(row['bytes']):,}" for row in runs),
                f"{mean['float32'] / mean['bytes']:.1f}",
                f"{mean['float32'] / mean['gzip']:.2f}",
                f"{mean['float32'] / mean['gzip_after']:.1f}",
                f"{goals[key[0]]:g}",
            ]
        )
    return lines


def lecture_table() -> str:
    """SqueezeNet's Table 1 from `KEPT`: random weights, of which each convolution keeps so many."""
    import numpy as np

    import tfcnn
    from tfcnn.compression.pruning import is_kernel, masks_by_layer
    from tfcnn.compression.report import describe_fire, fire_rows, layer_rows, total_row
    from tfcnn.compression.weights_file import Weight

    model = tfcnn.build("squeezenet1_0")
    shares = iter(KEPT)
    originals = [weight.numpy() for weight in model.weights]
    weights = []
    for weight, values in zip(model.weights, originals, strict=True):
        if is_kernel(weight.path):
            (mask,) = masks_by_layer([values], [1 - next(shares)], [np.ones(values.shape, bool)])
            values = values * mask
        weights.append(Weight(weight.path, values, bytes=values.nbytes, gap_bits=0, code_bits=6))
    lines = fire_rows(model, layer_rows(weights, originals))
    return describe_fire(lines, total_row(weights, originals, size=1))


def write_page(rows: list[dict[str, str]]) -> None:
    """Write docs/compression.md."""
    table = as_markdown(HEAD, summarise(rows), words=[0, 2, 3])
    PAGE.write_text(f"{INTRODUCTION}\n{textwrap.indent(lecture_table(), ' ' * 4)}\n{RATIOS}\n{table}\n")


def main() -> None:
    import_tensorflow()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--archs", nargs="+", default=[], help="architectures to measure, or all")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.arch in arguments.archs or arguments.archs == ["all"]]
    for seed in range(arguments.seeds):
        for case in cases:
            if not has_row(TABLE, {name: str(getattr(case, name)) for name in KEY} | {"seed": str(seed)}):
                with tempfile.TemporaryDirectory() as folder:
                    append_row(TABLE, measure(case, seed, Path(folder)))
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
