"""Accuracy and wall time of the default recipe on `digits`: `python -m benchmarks.digits [--archs A ...] [--seeds N]`.

Each run is the command of the README in a separate process; the peer is scikit-learn's support vector machine on the
same split, which knows no augmentation. Times are of this machine and of this moment; they compare nothing.

`--precisions float32 mixed_float16 mixed_bfloat16` trains each network in each of them, and says how far its mean is
from that of the first, and the standard error of that difference. Other flags are those of `tfcnn.train`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

import pipelines
from tfcnn.cli.startup import import_tensorflow

ROOT = Path(__file__).resolve().parents[1]


def train(arch: str, precision: str, seed: int, more: list[str], folder: Path) -> tuple[float, float, float]:
    """Test accuracy, images a second and wall seconds of one run of the command."""
    out = folder / f"{arch}-{precision}-{seed}"
    started = time.monotonic()
    flags = ["--arch", arch, "--precision", precision, "--seed", str(seed), "--out", str(out), *more]
    subprocess.run([sys.executable, "-m", "tfcnn.train", *flags], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((out / "metrics.json").read_text())
    return metrics["test_accuracy"], metrics["images_per_second"], time.monotonic() - started


def support_vector_machine() -> float:
    """Test accuracy of SVC(gamma=0.001) on grey levels 0 ... 16, trained on the same training split."""
    import_tensorflow()
    data = pipelines.load("digits", image_size=8)

    def read(split: str) -> tuple[np.ndarray, np.ndarray]:
        batches = data.evaluation(split).as_numpy_iterator()
        images, targets = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        levels = np.round((images * data.std[0] + data.mean[0]) * 16)
        return levels.reshape(len(images), -1), targets.argmax(-1)

    return SVC(gamma=0.001).fit(*read("train")).score(*read("test"))


def difference_of_means(accuracies: Sequence[float], first: Sequence[float]) -> str:
    """The difference of the means of two equal numbers of runs, in percent, and its standard error."""
    error = math.sqrt((statistics.variance(accuracies) + statistics.variance(first)) / len(first))
    return f" ({100 * (statistics.mean(accuracies) - statistics.mean(first)):+.2f} +- {100 * error:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--archs", nargs="+", default=["mobilenet", "resnet20", "lenet5"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", default=["auto"])
    arguments, more = parser.parse_known_args()
    print("| network | test accuracy, seeds 0, 1, ... | mean | images/s | seconds in all |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for arch in arguments.archs:
            first: Sequence[float] = ()
            for precision in arguments.precisions:
                runs = [train(arch, precision, seed, more, Path(folder)) for seed in range(arguments.seeds)]
                accuracies, rates, seconds = zip(*runs, strict=True)
                difference = difference_of_means(accuracies, first) if first and arguments.seeds > 1 else ""
                first = first or accuracies
                name = arch if precision == "auto" else f"{arch}, {precision}"
                print(
                    f"| {name} | {', '.join(f'{a:.2%}' for a in accuracies)} "
                    f"| {statistics.mean(accuracies):.2%}{difference} "
                    f"| {statistics.median(rates):,.0f} | {', '.join(f'{s:.0f}' for s in seconds)} |",
                    flush=True,
                )
    print(f"| support vector machine (scikit-learn) | {support_vector_machine():.2%} | | | |")


if __name__ == "__main__":
    main()
