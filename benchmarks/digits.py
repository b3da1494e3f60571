"""Accuracy and wall time of the default recipe on `digits`: `python -m benchmarks.digits [--archs A ...] [--seeds N]`.

Each run is the command of the README in a process of its own; the peer is scikit-learn's support vector machine on the
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
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

import pipelines
from tfcnn.cli.startup import import_tensorflow

ROOT = Path(__file__).resolve().parents[1]


def trained(arch: str, precision: str, seed: int, more: list[str], folder: Path) -> tuple[float, float, float]:
    """Test accuracy, images a second and wall seconds of one run of the command."""
    out, started = folder / f"{arch}-{precision}-{seed}", time.monotonic()
    flags = ["--arch", arch, "--precision", precision, "--seed", str(seed), "--out", str(out), *more]
    subprocess.run([sys.executable, "-m", "tfcnn.train", *flags], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((out / "metrics.json").read_text())
    return metrics["test_accuracy"], metrics["images_per_second"], time.monotonic() - started


def support_vector_machine() -> float:
    """Test accuracy of SVC(gamma=0.001) on grey levels 0 ... 16, trained on the same training split."""
    import_tensorflow()
    data = pipelines.load("digits", image_size=8)

    def split(name):
        images, targets = (
            np.concatenate(part) for part in zip(*data.evaluation(name).as_numpy_iterator(), strict=True)
        )
        levels = np.round((images * data.std[0] + data.mean[0]) * 16)
        return levels.reshape(len(images), -1), targets.argmax(-1)

    return SVC(gamma=0.001).fit(*split("train")).score(*split("test"))


def from_the_first(accuracies: list[float], first: list[float]) -> str:
    """The difference of two means of as many runs, in percent, and its standard error."""
    error = math.sqrt((statistics.variance(accuracies) + statistics.variance(first)) / len(first))
    return f" ({100 * (statistics.mean(accuracies) - statistics.mean(first)):+.2f} +- {100 * error:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--archs", nargs="+", default=["mobilenet", "resnet20", "lenet5"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", default=["auto"])
    given, more = parser.parse_known_args()
    print("| network | test accuracy, seeds 0, 1, ... | mean | images/s | seconds in all |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for arch in given.archs:
            first = None
            for precision in given.precisions:
                runs = [trained(arch, precision, seed, more, Path(folder)) for seed in range(given.seeds)]
                accuracies, rates, seconds = zip(*runs, strict=True)
                away = from_the_first(accuracies, first) if first and given.seeds > 1 else ""
                first = first or accuracies
                print(
                    f"| {arch}{'' if precision == 'auto' else ', ' + precision} "
                    f"| {', '.join(f'{a:.2%}' for a in accuracies)} | {statistics.mean(accuracies):.2%}{away} "
                    f"| {statistics.median(rates):,.0f} | {', '.join(f'{s:.0f}' for s in seconds)} |",
                    flush=True,
                )
    print(f"| support vector machine (scikit-learn) | {support_vector_machine():.2%} | | | |")


if __name__ == "__main__":
    main()
