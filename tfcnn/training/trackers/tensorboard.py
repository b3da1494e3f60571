"""TensorBoard's page HParams: the flags and the test metrics of a run.

`tfcnn.training.tensorboard` has the other pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from tfcnn.training.trackers.tracker import TrackedRun


class TensorBoardTracker:
    """Writes flags, status and test metrics to tensorboard/ in the run directory."""

    def start(self, run: TrackedRun, identifier: str | None) -> tuple[str, str]:
        from tensorboard.plugins.hparams import api

        self.folder = run.path / "tensorboard"
        self.step = 0
        self.writer = tf.summary.create_file_writer(str(self.folder))
        with self.writer.as_default():
            api.hparams(run.parameters, trial_id=run.name)
        self.writer.flush()
        return run.name, f"tensorboard --logdir {self.folder}"

    def log_epoch(self, row: dict[str, float]) -> None:
        self.step = int(row["epoch"])

    def finish(self, metrics: dict[str, float], files: Sequence[Path]) -> None:
        """Write the test metrics with the names and the epoch that Keras' callback gives those of validation."""
        from tensorboard.plugins.hparams import api_pb2, summary

        with tf.summary.create_file_writer(str(self.folder / "test")).as_default():
            for name, value in metrics.items():
                if name.startswith("test_"):
                    tf.summary.scalar(f"epoch_{name.removeprefix('test_')}", value, int(metrics["best_epoch"]) - 1)
        with self.writer.as_default():
            end = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
            tf.summary.experimental.write_raw_pb(end.SerializeToString(), step=0)
        self.stop("finished")

    def stop(self, status: str) -> None:
        with self.writer.as_default():
            tf.summary.text("status", status, self.step)
        self.writer.close()
