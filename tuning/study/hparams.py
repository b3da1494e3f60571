"""TensorBoard's HParams page: the values and scores of each trial of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_hparams(folder: Path, name: str, values: dict[str, Any], scores: dict[str, float]) -> None:
    """Write one trial.

    Args:
        folder: of the study's TensorBoard files; the trial gets a subfolder.
        name: of the trial.
        values: of the hyperparameters.
        scores: by objective.
    """
    import tensorflow as tf  # at the first trial
    from tensorboard.plugins.hparams import api

    writer = tf.summary.create_file_writer(str(folder / f"trial-{name}"))
    with writer.as_default():
        api.hparams(values, trial_id=name)
        for objective, score in scores.items():
            tf.summary.scalar(objective, score, step=0)
    writer.close()
