"""What of a run is kept on the disk while it trains: its history, its best model, and what a resumed run starts from.

The best epoch, the patience of early stopping and the plateaus of the learning rate are functions of the history, so
that there is no other state to keep or to lose.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfcnn.errors import TrainingFailed, first_line

KEPT = 2  # checkpoints: if the newest is damaged, there is the one before


class NotFinite(Exception):
    """Training went wrong in step `step` (from 0) of `epoch` (from 0); `what` is not finite."""

    def __init__(self, what: str, epoch: int, step: int):
        super().__init__(f"{what} in step {step + 1} of epoch {epoch + 1}")
        self.epoch, self.step = epoch, step


class Checkpoints:
    """Everything that changes in training, saved between any two steps, and restored to resume.

    Weights, moving statistics, seeds of random layers, the optimiser's state, loss scale and accumulated gradients
    included, the average of the weights where there is one, the metrics of the epoch under way, the history, and the
    place in the data. In the format of tf.train.Checkpoint, which has a checksum for each tensor. The numbering is our
    own: tf.train.CheckpointManager finds the newest checkpoint by a text file, without which, or with a damaged one, it
    silently starts from nothing.

    Args:
        model: compiled, its metrics built (`tfcnn.training.loop.build_metrics`).
        folder: for the files; made when the first is written.
        averages: of `tfcnn.training.weight_average`.
    """

    def __init__(self, model: keras.Model, folder: Path, averages: Sequence[keras.Variable] = ()):
        if not model.optimizer.built:  # a second time would make some of its variables anew
            model.optimizer.build(model.trainable_variables)
        self.model, self.folder = model, Path(folder)
        with tf.device("CPU"):
            self.place = tf.Variable([0, 0], dtype=tf.int64)  # epochs done, steps done of the next
            self.rows = tf.Variable("[]", dtype=tf.string)
        groups = {
            "weights": model.variables,  # the seeds among them
            "optimiser": model.optimizer.variables,
            "averages": averages,
            "metrics": model.metrics_variables,
        }
        groups = {name: [variable.value for variable in variables] for name, variables in groups.items()}
        self.bytes = sum(v.shape.num_elements() * v.dtype.size for group in groups.values() for v in group)
        self.checkpoint = tf.train.Checkpoint(place=self.place, rows=self.rows, **groups)
        self.good: list[int] = []  # numbers of those that were written or read

    def save(self, epoch: int, step: int, rows: list[dict[str, float]]) -> None:
        """Write a checkpoint, then remove all but the newest two that are good.

        Args:
            epoch: number of epochs done, validation included.
            step: number of steps done of the next; all of them: its validation comes next.
            rows: the history of the epochs done.

        Raises:
            NotFinite: a weight is not; nothing is written.
            TrainingFailed: it cannot be written; those before are kept.
        """
        if not all(np.isfinite(v.numpy()).all() for v in self.model.variables if "float" in v.dtype):
            raise NotFinite("a weight", epoch, step - 1)
        self.place.assign([epoch, step])
        self.rows.assign(json.dumps(rows))
        number = max([*self.found(self.folder), *self.good], default=0) + 1
        try:
            self.folder.mkdir(exist_ok=True)
            self.checkpoint.write(str(self.folder / f"ckpt-{number}"))
        except (OSError, tf.errors.OpError) as error:
            self._remove_others()
            raise TrainingFailed(
                f"checkpoint '{self.folder / f'ckpt-{number}'}' of {self.bytes:,} bytes cannot be written "
                f"({first_line(error)}); make room, then continue with --resume"
            ) from error
        self.good = [*self.good, number][-KEPT:]
        self._remove_others()

    def restore(self) -> tuple[int, int, list[dict[str, float]]]:
        """What was given to `save` last; (0, 0, []) if there is no checkpoint.

        One that is damaged is named on stderr, and the one before it is taken.

        Raises:
            TrainingFailed: all are damaged.
        """
        numbers = self.found(self.folder)
        for number in reversed(numbers):
            try:
                self.checkpoint.read(str(self.folder / f"ckpt-{number}")).assert_existing_objects_matched()
                rows = json.loads(self.rows.numpy())
            except Exception as error:  # TensorFlow has one for each kind of damage: IndexError, DataLossError ...
                path = self.folder / f"ckpt-{number}"
                print(f"warning: checkpoint '{path}' cannot be read: {first_line(error)}", file=sys.stderr)
                continue
            self.good = [number]
            epoch, step = map(int, self.place.numpy())
            return epoch, step, rows
        if numbers:
            raise TrainingFailed(f"no checkpoint in '{self.folder}' can be read; train anew with another --out")
        return 0, 0, []

    @staticmethod
    def found(folder: Path) -> list[int]:
        """The numbers of the checkpoints in a folder. The index is the last that TensorFlow writes of one."""
        names = (re.fullmatch(r"ckpt-(\d+)\.index", file.name) for file in Path(folder).glob("ckpt-*"))
        return sorted(int(match[1]) for match in names if match)

    def _remove_others(self) -> None:
        """Remove older and damaged checkpoints, and what a process left that was killed while it wrote."""
        for file in self.folder.glob("ckpt-*"):
            if not file.name.startswith(tuple(f"ckpt-{number}." for number in self.good)) or "tempstate" in file.name:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
