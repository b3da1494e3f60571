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
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.training_runs import ROOT, append_row, read_rows, train
from tfcnn.tables import as_markdown

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "compression.md"
DATASET = "digits"
HEAD = (
    "network",
    "width",
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
    """A network, a width that two cores train in minutes, the flags of tfcnn.compress, and the ratio to reach."""

    arch: str
    width: float
    flags: str
    goal: float


CASES = (
    Case("lenet5", 1.0, "--sparsity 0.92 --bits 4 --huffman --epochs 30", 40),
    Case("squeezenet1_1", 0.5, "--sparsity 0.85 --bits 4 --huffman", 20),
    Case("vgg11", 0.25, "--sparsity 0.95 --bits 4 --huffman", 49),
)


def measure(case: Case, seed: int, folder: Path) -> dict[str, Any]:
    """Train and compress in `folder`; the row of the table."""
    started = time.monotonic()
    flags = ["--arch", case.arch, "--dataset", DATASET, "--width", str(case.width), "--seed", str(seed)]
    train(flags, folder / "run")
    command = [sys.executable, "-m", "tfcnn.compress", str(folder / "run"), *case.flags.split()]
    command += ["--out", str(folder / "compressed")]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    result = json.loads((folder / "compressed" / "compression.json").read_text())
    total = result["total"]
    return {
        "arch": case.arch,
        "width": case.width,
        "flags": case.flags,
        "seed": seed,
        **{name: f"{score:.4f}" for name, score in result["scores"].items()},
        **{name: total[name] for name in ("before", "after", "float32", "gzip", "gzip_after", "bytes")},
        "seconds": f"{time.monotonic() - started:.0f}",
    }


def summarise(rows: list[dict[str, str]]) -> list[list[str]]:
    """A line of the page for each case in the table: means over the seeds."""
    lines = []
    for key in dict.fromkeys((row["arch"], row["width"], row["flags"]) for row in rows):
        runs = [row for row in rows if (row["arch"], row["width"], row["flags"]) == key]
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


NUMBERS = ("network", "compressed", "float32", "gzip", "gzip_after", "bytes")
INTRODUCTION = """# Compression

"""


def write_page(rows: list[dict[str, str]]) -> None:
    """Write docs/compression.md."""
    PAGE.write_text(f"{INTRODUCTION}{as_markdown(HEAD, summarise(rows), words=[0, 2])}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--archs", nargs="+", default=[], help="architectures to measure, or all")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.arch in arguments.archs or arguments.archs == ["all"]]
    for seed in range(arguments.seeds):
        for case in cases:
            done = {(row["arch"], row["width"], row["flags"], row["seed"]) for row in read_rows(TABLE)}
            if (case.arch, str(case.width), case.flags, str(seed)) not in done:
                with tempfile.TemporaryDirectory() as folder:
                    append_row(TABLE, measure(case, seed, Path(folder)))
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
