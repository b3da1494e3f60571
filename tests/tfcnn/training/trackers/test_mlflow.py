"""The tracked run in MLflow's own store: pip install -r requirements-mlflow.txt."""

from pathlib import Path

import pytest

from tfcnn.training.trackers.tracker import TrackedRun
from tfcnn.training.trackers.tracking import tracker_of

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow calls what SQLAlchemy deprecates

RUN = TrackedRun("run-1", Path("/runs/run-1"), {"arch": "lenet5", "lr": 0.006} | {f"flag{i}": i for i in range(120)})


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A client of an SQLite store of this test."""
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


def test_a_run_that_is_interrupted_and_resumed(client, tmp_path):
    tracker = tracker_of("mlflow")
    identifier, _ = tracker.start(RUN, None)
    tracker.log_epoch({"epoch": 1, "loss": 2.0, "val_loss": 3.0})
    tracker.stop("interrupted")
    assert client.get_run(identifier).info.status == "KILLED"

    again = tracker_of("mlflow")
    assert again.start(RUN, identifier)[0] == identifier
    assert client.get_run(identifier).info.status == "RUNNING"
    again.log_epoch({"epoch": 2, "loss": 1.0, "val_loss": 2.0})
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"picture")
    again.finish({"test_accuracy": 0.9, "best_epoch": 2, "epochs": 2}, [picture])

    run = client.get_run(identifier)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run-1")
    assert run.data.params == {name: str(value) for name, value in RUN.parameters.items()}
    assert run.data.tags["run_directory"] == "/runs/run-1"
    assert [(m.step, m.value) for m in client.get_metric_history(identifier, "loss")] == [(1, 2.0), (2, 1.0)]
    assert [(m.step, m.value) for m in client.get_metric_history(identifier, "test_accuracy")] == [(2, 0.9)]
    assert [file.path for file in client.list_artifacts(identifier)] == ["curves.png"]
    assert client.get_experiment(run.info.experiment_id).name == "tfcnn"


def test_a_run_that_fails(client):
    tracker = tracker_of("mlflow")
    identifier, _ = tracker.start(RUN, None)
    tracker.stop("failed")
    assert client.get_run(identifier).info.status == "FAILED"
