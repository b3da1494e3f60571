"""Weights & Biases: pip install -r requirements-wandb.txt.

Its settings are its environment variables: WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE=offline, WANDB_DIR ... Its Keras
callback patches tensorflow.keras on import, numbers epochs from 0 and lets its errors end the training.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfcnn.training.trackers.tracker import TrackedRun

PROJECT = "tfcnn"
FAILED = 1  # exit code: the page shows the run as failed


class WandbTracker:
    """One run of Weights & Biases. A run that is interrupted has the summary "status": "interrupted"."""

    def start(self, run: TrackedRun, identifier: str | None) -> tuple[str, str]:
        import wandb

        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", run.name),
            id=identifier,
            resume="allow",
            config=run.parameters | {"run_directory": str(run.path)},
            settings=wandb.Settings(console="off"),  # else it replaces stdout, whose line of progress is overwritten
            reinit="create_new",  # a run of the program that calls tfcnn.train goes on
        )
        self.run.define_metric("epoch")
        self.run.define_metric("*", step_metric="epoch")
        self.run.summary["status"] = "running"
        folder = Path(self.run.dir).parent
        return self.run.id, f"offline, wandb sync {folder}" if self.run.offline else self.run.url

    def log_epoch(self, row: dict[str, float]) -> None:
        self.run.log(row)

    def finish(self, metrics: dict[str, float], files: Sequence[Path]) -> None:
        import wandb

        artifact = wandb.Artifact(f"run-{self.run.id}", type="model", metadata=metrics)
        for file in files:
            artifact.add_file(str(file))
        self.run.log_artifact(artifact)
        self.run.summary.update(metrics | {"status": "finished"})
        self.run.finish()

    def stop(self, status: str) -> None:
        self.run.summary["status"] = status
        self.run.finish(exit_code=FAILED)
