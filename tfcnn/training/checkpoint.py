"""Checkpoints: the state of training on the disk, from which a stopped run is resumed.

The best epoch, the patience of early stopping and the plateaus of the learning rate are no part of it: they are
functions of the history (`tfcnn.training.history`).
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

KEPT = 2  # checkpoints: if the newest is damaged, the one before it serves


class NotFinite(Exception):
    """`what` is not finite in step `step` (from 0) of epoch `epoch` (from 0)."""

    def __init__(self, what: str, epoch: int, step: int):
        super().__init__(f"{what} in step {step + 1} of epoch {epoch + 1}")
        self.epoch = epoch
        self.step = step


class Checkpoints:
    """Everything that changes in training, saved between any two steps, and restored to resume.

    Weights, moving statistics, seeds of random layers, the optimiser's state, loss scale and accumulated gradients
    included, the average of the weights where there is one, the metrics of the epoch under way, the history, and the
    place in the data. The format is that of tf.train.Checkpoint, with a checksum for each tensor. The newest is found
    by the numbers of the files: tf.train.CheckpointManager finds it by a text file, and where that is missing or
    damaged it silently starts from nothing.

    Args:
        model: compiled, its metrics built (`tfcnn.training.loop.build_metrics`).
        folder: for the files; made when the first is written.
        averages: of `tfcnn.training.weight_average`.
    """

    def __init__(self, model: keras.Model, folder: Path, averages: Sequence[keras.Variable] = ()):
        if not model.optimizer.built:  # a second build would replace some of its variables
            model.optimizer.build(model.trainable_variables)
        self.model = model
        self.folder = Path(folder)
        with tf.device("CPU"):
            self.place = tf.Variable([0, 0], dtype=tf.int64)  # epochs done, steps done of the next
            self.rows = tf.Variable("[]", dtype=tf.string)
        groups = {
            "weights": model.variables,  # the seeds among them
            "optimiser": model.optimizer.variables,
            "averages": averages,
            "metrics": model.metrics_variables,
        }
        tensors = {name: [variable.value for variable in variables] for name, variables in groups.items()}
        self.bytes = sum(v.shape.num_elements() * v.dtype.size for group in tensors.values() for v in group)
        self.checkpoint = tf.train.Checkpoint(place=self.place, rows=self.rows, **tensors)
        self.good: list[int] = []  # numbers of those that this process wrote or read

    def save(self, epoch: int, step: int, rows: list[dict[str, float]]) -> None:
        """Write a checkpoint, then remove all but the newest `KEPT` good ones.

        Args:
            epoch: number of epochs done, validation included.
            step: number of steps done of the next; all of them: its validation comes next.
            rows: the history of the epochs done.

        Raises:
            NotFinite: a weight is not finite; nothing is written.
            TrainingFailed: it cannot be written; the earlier ones are kept.
        """
        if not all(np.isfinite(v.numpy()).all() for v in self.model.variables if "float" in v.dtype):
            raise NotFinite("a weight", epoch, step - 1)
        self.place.assign([epoch, step])
        self.rows.assign(json.dumps(rows))
        number = max([*self.numbers(self.folder), *self.good], default=0) + 1
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
        """Restore the newest good checkpoint, and return (epoch, step, rows) of `save`; (0, 0, []) if there is none.

        A damaged one is named on stderr, and the one before it is taken.

        Raises:
            TrainingFailed: all are damaged.
        """
        numbers = self.numbers(self.folder)
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
            raise TrainingFailed(f"no checkpoint in '{self.folder}' can be read; start a new run with another --out")
        return 0, 0, []

    @staticmethod
    def numbers(folder: Path) -> list[int]:
        """The numbers of the checkpoints in a folder, sorted. TensorFlow writes the index of a checkpoint last."""
        matches = (re.fullmatch(r"ckpt-(\d+)\.index", file.name) for file in Path(folder).glob("ckpt-*"))
        return sorted(int(match[1]) for match in matches if match)

    def _remove_others(self) -> None:
        """Remove older and damaged checkpoints, and the unfinished files of a process that was killed."""
        for file in self.folder.glob("ckpt-*"):
            if not file.name.startswith(tuple(f"ckpt-{number}." for number in self.good)) or "tempstate" in file.name:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
