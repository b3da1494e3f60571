"""The training of one trial in a worker, without a process."""

from pathlib import Path

import pytest

from tfcnn import train
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tuning.workers import worker


@pytest.fixture
def runs(monkeypatch):
    """The configurations of tfcnn.train.run, which ends after one epoch; the first is stopped before it."""
    configs = []

    def run(config, callbacks):
        configs.append(config)
        folder = Path(config.out)
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}")
        if len(configs) == 1:
            raise KeyboardInterrupt
        callbacks[0].on_epoch_end(0, {"val_loss": 1.5})
        (folder / "metrics.json").write_text('{"epochs": 1}')

    monkeypatch.setattr(train, "run", run)
    return configs


def test_a_trial_is_resumed_and_not_trained_twice(tmp_path, runs):
    config = Config(arch="lenet5", out=str(tmp_path / "trial-0"))
    reports = []

    def report(epoch, metrics):
        reports.append((epoch, metrics))

    with pytest.raises(KeyboardInterrupt):
        worker.train(config, report)
    assert worker.train(config, report) == {"epochs": 1}
    assert worker.train(config, report) == {"epochs": 1}
    assert [run.resume for run in runs] == [False, True]
    assert reports == [(1, {"val_loss": 1.5})]


def test_a_pruned_trial_leaves_nothing(tmp_path, runs):
    def prune(epoch, metrics):
        raise worker.TrialPruned

    config = Config(arch="lenet5", out=str(tmp_path / "trial-1"))
    runs.append(config)  # so that the run is not stopped
    with pytest.raises(worker.TrialPruned):
        worker.train(config, prune)
    assert not (tmp_path / "trial-1").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory: MemoryError"),
        (TrainingFailed("the loss is not finite"), "diverged: the loss is not finite"),
        (TrainingFailed("no  image\nis left"), "training failed: no image"),
        (BadInput("too small"), "refused: too small"),
        (ZeroDivisionError("of a layer"), "raised ZeroDivisionError: of a layer"),
    ],
)
def test_an_error_is_explained_in_one_line(error, reason):
    assert worker.explain_error(error) == reason
