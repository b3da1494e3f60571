"""What a run says when its training goes wrong: the symptom, its likely cause and the flag to change, each once a run.

Symptoms are functions of the history, so that a resumed run does not repeat what was said before it stopped.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from tfcnn.config import Config
from tfcnn.training import recipes
from tfcnn.training.batch_statistics import batch_norms
from tfcnn.training.history import best_epoch, out_of_patience
from tfcnn.training.schedules import schedule_of

if TYPE_CHECKING:
    from tfcnn.training.data import Data

Row = dict[str, float]

MOST_EXAMPLES = 512  # of the training split that are looked at
FEW_UPDATES = 200  # narrow MobileNets on digits need as many to leave chance
FEW_EPOCHS = 3  # at the full rate
RISE = 1.1  # times the lowest loss so far
GAP = 0.15  # between the accuracies of training and validation
STALE = 5  # epochs without a better one
ALIKE = 1e-3  # standard deviation of logits over images, as a share of their spread over classes


class Facts(NamedTuple):
    """What the symptoms of a run depend on, besides its history.

    Attributes:
        classes: of the data.
        chance: training accuracy of the best constant answer.
        uniform_loss: loss of the best constant answer; None where the loss is no cross-entropy.
        validated: number of validation examples.
        updates: of the weights in an epoch.
        slow_epochs: before the full learning rate is reached.
        epochs: of the run.
        early_stop: as in `Config`.
    """

    classes: int
    chance: float
    uniform_loss: float | None
    validated: int
    updates: float
    slow_epochs: float
    epochs: int
    early_stop: int


def at_chance(row: Row, classes: int, validated: int) -> bool:
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
    deviation = _deviation(chance, validated)
    far_above = max(min(3 * chance, (1 + chance) / 2), chance + 6 * deviation)
    return row["val_accuracy"] <= chance + 2 * deviation and row["accuracy"] >= far_above


def learns_nothing(rows: Sequence[Row], facts: Facts) -> bool:
    """Whether the last epoch's training accuracy and loss are those of a constant answer, after steps enough to learn.

    Enough are `FEW_UPDATES`, and `FEW_EPOCHS` at the full rate.
    """
    if len(rows) * facts.updates < FEW_UPDATES or len(rows) < facts.slow_epochs + FEW_EPOCHS:
        return False
    row = rows[-1]
    if facts.uniform_loss is not None and row["loss"] < 0.97 * facts.uniform_loss:
        return False
    return row["accuracy"] <= facts.chance + 2 * _deviation(facts.chance, facts.validated)


def lacks_steps(rows: Sequence[Row], facts: Facts) -> bool:
    """Whether a run ends within `FEW_UPDATES`, not half of the way from chance to all right."""
    accuracy = max(rows[-1]["accuracy"], rows[-1]["val_accuracy"])
    few = len(rows) * facts.updates < FEW_UPDATES
    return _ends(rows, facts) and few and accuracy < (1 + facts.chance) / 2


def loss_rises(rows: Sequence[Row], facts: Facts) -> bool:
    """Whether the last epoch's training loss is above that of the first, in which the weights were fresh.

    >>> facts = Facts(10, 0.1, 2.3, 180, 39, 1, 12, 0)
    >>> [loss_rises([{"loss": loss} for loss in losses], facts) for losses in ([2.3, 1.1, 1.4], [2.3, 1.1, 2.5])]
    [False, True]
    """
    losses = [row["loss"] for row in rows]
    return losses[-1] > losses[0] and losses[-1] > RISE * min(losses)


def overfits(rows: Sequence[Row], facts: Facts) -> bool:
    """Whether validation is far below training, with no better epoch in the last `STALE` ones or at the run's end."""
    row = rows[-1]
    best = best_epoch(list(rows))
    stale = best is not None and len(rows) - 1 - best >= STALE
    if not (stale or _ends(rows, facts)) or len(rows) * facts.updates < FEW_UPDATES:
        return False
    noise = 4 * _deviation(0.5, facts.validated)
    return row["accuracy"] - row["val_accuracy"] > max(GAP, noise)


def entropy(shares: Sequence[float], smoothing: float) -> float:
    """The cross-entropy of targets with smoothed labels, where every answer is the share of each class.

    >>> round(entropy([0.5, 0.5], smoothing=0.0), 4), round(entropy([1.0, 0.0], smoothing=0.0), 4)
    (0.6931, 0.0)
    """
    smoothed = [(1 - smoothing) * share + smoothing / len(shares) for share in shares]
    return sum(-share * math.log(share) for share in smoothed if share)


def _deviation(share: float, count: int) -> float:
    return math.sqrt(share * (1 - share) / count)


def _ends(rows: Sequence[Row], facts: Facts) -> bool:
    return len(rows) == facts.epochs or out_of_patience(list(rows), facts.early_stop)


def facts_of(data: Data, config: Config) -> Facts:
    """The facts of a run."""
    classes = data.num_classes or 1
    shares = [1 / classes] * classes
    balanced = config.class_weights != "none" or config.class_sampling != "none"
    if data.task == "classification" and not balanced and data.labels("train") is not None:
        counts = data.counts("train")
        shares = (counts / counts.sum()).tolist()
    has_entropy = data.task == "classification" and config.loss in (None, "cross_entropy")
    return Facts(
        classes=classes,
        chance=max(shares),
        uniform_loss=entropy(shares, config.smoothing) if has_entropy else None,
        validated=data.sizes["validation"],
        updates=data.steps_per_epoch / config.grad_accum_steps,
        slow_epochs=config.warmup_epochs + recipes.head_epochs(config),
        epochs=config.epochs,
        early_stop=config.early_stop,
    )


class Symptoms(keras.callbacks.Callback):
    """Prints one line after the first epoch that has a symptom: what it is, and its likely cause.

    Where validation is at chance, the cause is found by validating the network on training images: if they are at
    chance, too, the network is at fault, and else the validation split is. Where training is at chance, the answers to
    training images tell: a network whose units no longer fire answers all alike.

    Args:
        data: of the run.
        config: the run.
        rows: the history of the epochs before.
        validated: within validated() the model has the weights that are validated; default: its present ones.
    """

    def __init__(
        self,
        data: Data,
        config: Config,
        rows: list[Row],
        validated: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    ) -> None:
        super().__init__()
        self.data = data
        self.config = config
        self.rows = rows
        self.validated = validated
        self.facts = facts_of(data, config)
        self.described: dict[str, Callable[[Row], str]] = {
            "validation at chance": self._describe_validation,
            "training at chance": self._describe_training,
            "loss rises": self._describe_rise,
            "few steps": self._describe_steps,
            "overfitting": self._describe_gap,
        }
        self.said = {name for end in range(1, len(rows) + 1) for name in self._symptoms(rows[:end])}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        for name in self._symptoms([*self.rows, logs]):
            if name not in self.said:
                self.said.add(name)
                print(f"warning: {self.described[name](logs)}", file=sys.stderr)

    def _symptoms(self, rows: Sequence[Row]) -> list[str]:
        """The names of the symptoms that the last epoch has."""
        names = ["loss rises"] if loss_rises(rows, self.facts) else []
        if self.data.task != "classification":
            return names
        if at_chance(rows[-1], self.facts.classes, self.facts.validated):
            names.append("validation at chance")
        elif overfits(rows, self.facts):
            names.append("overfitting")
        if learns_nothing(rows, self.facts):
            names.append("training at chance")
        if lacks_steps(rows, self.facts):
            names.append("few steps")
        return names

    def _describe_validation(self, row: Row) -> str:
        with self.validated():
            logits, targets = self._answers()
        share = float((logits.argmax(-1) == targets.argmax(-1)).mean())
        words = (
            f"validation accuracy {row['val_accuracy']:.1%} is chance, training accuracy is {row['accuracy']:.1%}; "
            f"validated the same way, {share:.1%} of training images are right"
        )
        if share >= (row["accuracy"] + row["val_accuracy"]) / 2:
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

    def _describe_training(self, row: Row) -> str:
        logits, _ = self._answers()
        words = f"training accuracy {row['accuracy']:.1%} is chance after {len(self.rows) + 1} epochs"
        if not logits.std(0).max() > ALIKE * logits.mean(0).std():  # or not finite
            return (
                f"{words}, and all images have the same answer: the likely cause is a learning rate that is too high, "
                f"by which units never fire again ({self._other_rate(0.1)}, --lr auto)"
            )
        return (
            f"{words}: the likely cause is a learning rate that is too low ({self._other_rate(10)}, --lr auto), or "
            f"labels that do not match the images (python -m pipelines.show --dataset {self.data.name} --out batch.png)"
        )

    def _describe_rise(self, row: Row) -> str:
        first = (self.rows or [row])[0]["loss"]
        return (
            f"the training loss rises: {row['loss']:.3g}, and {first:.3g} in the first epoch; the likely cause is a "
            f"learning rate that is too high ({self._other_rate(0.1)}, --lr auto)"
        )

    def _describe_steps(self, row: Row) -> str:
        config = self.config
        updates = round((len(self.rows) + 1) * self.facts.updates)
        return (
            f"the run ends at a training accuracy of {row['accuracy']:.1%}; the likely cause is too few steps, "
            f"{updates} in all (more --epochs than {config.epochs}, a lower --batch-size than {config.batch_size})"
        )

    def _describe_gap(self, row: Row) -> str:
        config = self.config
        flags = ["--aa rand"] if config.aa != "rand" else []
        if not config.mixup and not config.cutmix and config.class_weights == "none":
            flags.append("--mixup 0.2")
        if config.weights is None:
            flags.append("loaded --weights")
        flags += [f"--width {config.width / 2:g}", "more images"]
        return (
            f"validation accuracy is {row['val_accuracy']:.1%}, training accuracy {row['accuracy']:.1%}: the network "
            f"overfits ({', '.join(flags)})"
        )

    def _other_rate(self, factor: float) -> str:
        peak = schedule_of(self.model).peak
        return f"--lr {factor * peak:.2g} instead of {peak:.2g}"

    def _answers(self) -> tuple[np.ndarray, np.ndarray]:
        """Logits and targets of training images that are not augmented. The metrics do not change."""
        logits = []
        targets = []
        for images, labels in self.data.evaluation("train").take(-(-MOST_EXAMPLES // self.data.batch_size)):
            logits.append(np.asarray(self.model(images, training=False)))
            targets.append(labels.numpy())
        return np.concatenate(logits).astype("float64"), np.concatenate(targets)
