"""Checkpoints: the state of training on the disk, from which a stopped run is resumed.

The best epoch, the patience of early stopping and the plateaus of the learning rate are no part of it: they are
functions of the history (`tfcnn.training.history`). The checkpoint of the best epoch is kept, so that model.keras
can be rebuilt.
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
from tfcnn.files import DiskFull, full_disk, sync_file, sync_folder
from tfcnn.training.history import best_epoch

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
        self.best: int | None = None  # number of the one after the best epoch

    def save(self, epoch: int, step: int, rows: list[dict[str, float]]) -> None:
        """Write a checkpoint, then remove all but the newest `KEPT` good ones and the one after the best epoch.

        Args:
            epoch: number of epochs done, validation included.
            step: number of steps done of the next; all of them: its validation comes next.
            rows: the history of the epochs done.

        Raises:
            NotFinite: a weight is not finite; nothing is written.
            TrainingFailed, DiskFull: it cannot be written; the earlier ones are kept.
        """
        if not all(np.isfinite(v.numpy()).all() for v in self.model.variables if "float" in v.dtype):
            raise NotFinite("a weight", epoch, step - 1)
        self.place.assign([epoch, step])
        self.rows.assign(json.dumps(rows))
        number = max([*self.numbers(self.folder), *self.good], default=0) + 1
        try:
            self.folder.mkdir(exist_ok=True)
            self.checkpoint.write(str(self.folder / f"ckpt-{number}"))
            self._sync(number)
        except (OSError, tf.errors.OpError) as error:
            self._remove_others()
            path = self.folder / f"ckpt-{number}"
            what = f"checkpoint '{path}' of {self.bytes:,} bytes cannot be written ({first_line(error)})"
            if full_disk(error):
                raise DiskFull(what, "continue with --resume") from error
            raise TrainingFailed(f"{what}; mend that, then continue with --resume") from error
        if step == 0 and rows and best_epoch(rows) == len(rows) - 1:
            self.best = number
        self.good = [*self.good, number][-KEPT:]
        self._remove_others()

    def _sync(self, number: int) -> None:
        """Return when a checkpoint is on the disk."""
        for file in self.folder.glob(f"ckpt-{number}.*"):
            sync_file(file)
        sync_folder(self.folder)

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
            self.best = self._number_after_best(rows)
            epoch, step = map(int, self.place.numpy())
            return epoch, step, rows
        if numbers:
            raise TrainingFailed(f"no checkpoint in '{self.folder}' can be read; start a new run with another --out")
        return 0, 0, []

    def restore_best(self) -> bool:
        """Restore the checkpoint after the best epoch of the history; whether there is one that can be read."""
        if self.best is None:
            return False
        try:
            self.checkpoint.read(str(self.folder / f"ckpt-{self.best}")).assert_existing_objects_matched()
        except Exception:  # as in `restore`
            return False
        return True

    def _number_after_best(self, rows: list[dict[str, float]]) -> int | None:
        """The number of the checkpoint after the best epoch of a history; None if there is none."""
        best = best_epoch(rows)
        if best is None:
            return None
        for number in reversed(self.numbers(self.folder)):
            try:
                reader = tf.train.load_checkpoint(str(self.folder / f"ckpt-{number}"))
                place = reader.get_tensor("place/.ATTRIBUTES/VARIABLE_VALUE")
            except Exception:  # as in `restore`
                continue
            if place.tolist() == [best + 1, 0]:
                return number
        return None

    @staticmethod
    def numbers(folder: Path) -> list[int]:
        """The numbers of the checkpoints in a folder, sorted. TensorFlow writes the index of a checkpoint last."""
        matches = (re.fullmatch(r"ckpt-(\d+)\.index", file.name) for file in Path(folder).glob("ckpt-*"))
        return sorted(int(match[1]) for match in matches if match)

    def _remove_others(self) -> None:
        """Remove older and damaged checkpoints, and the unfinished files of a process that was killed."""
        kept = tuple(f"ckpt-{number}." for number in (*self.good, self.best))
        for file in self.folder.glob("ckpt-*"):
            if not file.name.startswith(kept) or "tempstate" in file.name:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
