"""A validation that stays at chance while training improves, and its likely cause."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfcnn.training.batch_statistics import batch_norms

if TYPE_CHECKING:
    from tfcnn.training.data import Data

MOST_EXAMPLES = 512  # of the training split that are looked at


def at_chance(row: dict[str, float], classes: int, validated: int) -> bool:
    """Whether an epoch's validation accuracy is that of guesses, and its training accuracy far above.

    Chance is 1 / classes, up to two standard deviations of the share among the validated examples. Far above is three
    times that, or half of the way from chance to 1 where that is less, and six standard deviations.

    Args:
        row: of the history: "accuracy" and "val_accuracy".
        classes: of the data.
        validated: number of validation examples.

    >>> at_chance({"accuracy": 0.6, "val_accuracy": 0.11}, classes=10, validated=180)
    True
    >>> at_chance({"accuracy": 0.26, "val_accuracy": 0.11}, classes=10, validated=180)
    False
    >>> at_chance({"accuracy": 0.6, "val_accuracy": 0.25}, classes=10, validated=180)
    False
    """
    chance = 1 / classes
    deviation = math.sqrt(chance * (1 - chance) / validated)
    far_above = max(min(3 * chance, (1 + chance) / 2), chance + 6 * deviation)
    return row["val_accuracy"] <= chance + 2 * deviation and row["accuracy"] >= far_above


class ChanceWarning(keras.callbacks.Callback):
    """Prints one line after the first epoch of a run that is `at_chance`: what it is, and its likely cause.

    The cause is found by validating the network on training images: if they are at chance, too, the network is at
    fault, and else the validation split is.

    Args:
        data: of the run.
        rows: the history of the epochs before.
        validated: within validated() the model has the weights that are validated; default: its present ones.
    """

    def __init__(
        self,
        data: Data,
        rows: list[dict[str, float]],
        validated: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    ) -> None:
        super().__init__()
        self.data = data
        self.rows = rows
        self.validated = validated

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        if not self._at_chance(logs) or any(self._at_chance(row) for row in self.rows):
            return
        with self.validated():
            share = self._accuracy_of_training_images()
        print(
            f"warning: validation accuracy {logs['val_accuracy']:.1%} is chance, training accuracy is "
            f"{logs['accuracy']:.1%}; {self._cause(share, logs)}",
            file=sys.stderr,
        )

    def _at_chance(self, row: dict[str, float]) -> bool:
        return at_chance(row, self.data.num_classes, self.data.sizes["validation"])

    def _accuracy_of_training_images(self) -> float:
        """Of training images that are not augmented, by the network as it is validated. The metrics do not change."""
        correct: list[bool] = []
        for images, targets in self.data.evaluation("train").take(-(-MOST_EXAMPLES // self.data.batch_size)):
            predicted = np.asarray(self.model(images, training=False)).argmax(-1)
            correct += (predicted == targets.numpy().argmax(-1)).tolist()
        return float(np.mean(correct))

    def _cause(self, share: float, logs: dict[str, Any]) -> str:
        words = f"validated the same way, {share:.1%} of training images are right"
        if share >= (logs["accuracy"] + logs["val_accuracy"]) / 2:
            return (
                f"{words}: the likely cause is the validation split, whose labels or images do not match those of "
                f"training (python -m pipelines.show --dataset {self.data.name} --split validation --out batch.png)"
            )
        if batch_norms(self.model):
            return (
                f"{words}: the likely cause is too few steps, after which the statistics of batch norm lag behind the "
                f"weights (more --epochs, a lower --batch-size)"
            )
        return f"{words}: the likely cause is weights that became worse within the epoch (a lower --lr)"
