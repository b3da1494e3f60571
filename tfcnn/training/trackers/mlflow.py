"""MLflow: pip install -r requirements-mlflow.txt.

Its settings are its environment variables: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME. Its Keras callback writes into
the process's active run, which it does not continue, and lets its errors end the training.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfcnn.training.trackers.tracker import TrackedRun

EXPERIMENT = "tfcnn"
RETRIES = "3"  # of a request, in 14 s; MLflow's 7 would hold up the training for minutes
MOST_PARAMETERS = 100  # in a request
STATUSES = {"interrupted": "KILLED", "failed": "FAILED"}


class MlflowTracker:
    """One run of MLflow, through its client: an active run of the program that calls tfcnn.train goes on."""

    def start(self, run: TrackedRun, identifier: str | None) -> tuple[str, str]:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
        import mlflow

        self.client: Any = mlflow.MlflowClient()
        place = mlflow.get_tracking_uri()
        if identifier is not None:
            self.client.update_run(identifier, status="RUNNING")
            self.identifier = identifier
            return identifier, place
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        experiment = self.client.get_experiment_by_name(name)
        experiment_id = self.client.create_experiment(name) if experiment is None else experiment.experiment_id
        tags = {"mlflow.source.name": "tfcnn.train", "run_directory": str(run.path)}
        self.identifier = self.client.create_run(experiment_id, tags=tags, run_name=run.name).info.run_id
        parameters = [mlflow.entities.Param(key, str(value)) for key, value in run.parameters.items()]
        for first in range(0, len(parameters), MOST_PARAMETERS):
            self.client.log_batch(self.identifier, params=parameters[first : first + MOST_PARAMETERS])
        return self.identifier, place

    def log_epoch(self, row: dict[str, float]) -> None:
        self._log({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))

    def finish(self, metrics: dict[str, float], files: Sequence[Path]) -> None:
        self._log(
            {name: value for name, value in metrics.items() if name.startswith("test_")}, int(metrics["best_epoch"])
        )
        others = ("best_epoch", "epochs", "images_per_second", "macs", "seconds")
        self._log({name: metrics[name] for name in others if name in metrics}, step=0)
        for file in files:
            self.client.log_artifact(self.identifier, str(file))
        self.client.set_terminated(self.identifier, "FINISHED")

    def stop(self, status: str) -> None:
        self.client.set_terminated(self.identifier, STATUSES[status])

    def _log(self, values: dict[str, float], step: int) -> None:
        import mlflow

        now = int(1000 * time.time())
        metrics = [mlflow.entities.Metric(name, value, now, step) for name, value in values.items()]
        self.client.log_batch(self.identifier, metrics=metrics)
