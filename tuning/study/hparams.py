"""TensorBoard's HParams page: the values and scores of each trial of a study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tfcnn.errors import first_line


class HParams:
    """Writes the page, trial by trial. The first failure is one warning and ends the page, not the search.

    Args:
        folder: of the study's TensorBoard files; each trial gets a subfolder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed = False

    def write(self, name: str, values: dict[str, Any], scores: dict[str, float]) -> None:
        """Write one trial.

        Args:
            name: of the trial.
            values: of the hyperparameters.
            scores: by objective.
        """
        import tensorflow as tf  # at the first trial

        if self.failed:
            return
        try:
            self._write(name, values, scores)
        except (OSError, tf.errors.OpError) as error:
            self.failed = True
            print(
                f"warning: '{self.folder}' cannot be written: {first_line(error)}; the search continues without it",
                file=sys.stderr,
                flush=True,
            )

    def _write(self, name: str, values: dict[str, Any], scores: dict[str, float]) -> None:
        import tensorflow as tf
        from tensorboard.plugins.hparams import api

        writer = tf.summary.create_file_writer(str(self.folder / f"trial-{name}"))
        with writer.as_default():
            api.hparams(values, trial_id=name)
            for objective, score in scores.items():
                tf.summary.scalar(objective, score, step=0)
        writer.close()
