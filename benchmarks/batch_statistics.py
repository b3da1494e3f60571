"""Validation by batch norm's moving average, by that average corrected for its bias, and by precise statistics.

    python -m benchmarks.batch_statistics [--archs mobilenet resnet18] [--width 0.25] [--epochs 3] [--seeds 3]

Trains each network on `digits` by the default recipe and validates the same weights after each epoch three times: with
the moving statistics as the steps leave them, with those divided by 1 - momentum ** steps as Adam's averages (after
the first epoch; later it changes nothing), and with those of `tfcnn.training.batch_statistics`, which a run has. Prints
a Markdown table of accuracies: the mean over the seeds, and each seed's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from pipelines.dataset import Data
from tfcnn.config import Config
from tfcnn.run_directory import RunDirectory
from tfcnn.tables import as_markdown
from tfcnn.training.batch_statistics import batch_norms, moving_statistics, unchanged
from tfcnn.training.data import load_data
from tfcnn.training.fit import build_model, fit

COLUMNS = ("training", "moving average", "bias-corrected", "precise")


class Comparison(keras.callbacks.Callback):
    """Notes the accuracies of each epoch in `results[epoch][column]`."""

    def __init__(self, data: Data, results: dict[int, dict[str, list[float]]]) -> None:
        super().__init__()
        self.data = data
        self.results = results

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.row = self.results[epoch + 1]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch + 1 < self.data.steps_per_epoch:
            return
        layers = batch_norms(self.model)
        with unchanged(moving_statistics(layers)):
            self.row["moving average"].append(self.validate())
            if self.row is self.results[1]:
                for layer in layers:
                    first = layer.momentum ** (batch + 1)  # share of the first values, 0 and 1
                    layer.moving_mean.assign(layer.moving_mean / (1 - first))
                    layer.moving_variance.assign((layer.moving_variance - first) / (1 - first))
                self.row["bias-corrected"].append(self.validate())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        self.row["training"].append(logs["accuracy"])
        self.row["precise"].append(logs["val_accuracy"])

    def validate(self) -> float:
        correct: list[bool] = []
        for images, targets in self.data.evaluation("validation").as_numpy_iterator():
            correct += (self.model.predict_on_batch(images).argmax(-1) == targets.argmax(-1)).tolist()
        return float(np.mean(correct))


def compare(arch: str, width: float, epochs: int, seeds: int) -> dict[int, dict[str, list[float]]]:
    """The accuracies of each seed, by epoch and column."""
    results: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(seeds):
        config = Config(arch=arch, width=width, epochs=epochs, seed=seed)
        data = load_data(config)
        model, _ = build_model(config, data)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
            directory = RunDirectory(Path(folder))
            fit(model, data, config, directory, [Comparison(data, results)])
        keras.backend.clear_session()
    return results


def cell(shares: list[float]) -> str:
    """The mean and each seed's, in percent; empty where nothing was measured."""
    if not shares:
        return ""
    return f"{np.mean(shares):.1%} ({', '.join(f'{100 * share:.1f}' for share in shares)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archs", nargs="+", default=["mobilenet", "resnet18"], metavar="ARCH")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for arch in arguments.archs:
        for epoch, row in compare(arch, arguments.width, arguments.epochs, arguments.seeds).items():
            rows.append([arch, str(epoch), *(cell(row[column]) for column in COLUMNS)])
            print(*rows[-1], sep="  ", file=sys.stderr)
    print(as_markdown(("network", "epoch", *COLUMNS), rows, words=[0]))


if __name__ == "__main__":
    main()
