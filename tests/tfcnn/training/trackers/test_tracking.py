"""What trackers get of a run, and what comes of one that fails. The trackers here are stand-ins."""

import json
from importlib.machinery import ModuleSpec

import keras
import pytest

from tfcnn import train
from tfcnn.cli.parser import Parser
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.flags import add_flags
from tfcnn.run_directory import RunDirectory
from tfcnn.training.trackers import tracking
from tfcnn.training.trackers.tracking import tracked

FACTS = {
    "config": Config(arch="lenet5", log="wandb,mlflow", arch_args={"units": 8}).to_dict(),
    "recipe": {"learning_rate": 0.006, "precision": "float32"},
    "cost": {"parameters": 61706},
}


class Recorder:
    """A tracker that keeps its calls; `failing` is the method that raises."""

    def __init__(self, identifier, failing=""):
        self.identifier = identifier
        self.failing = failing
        self.calls = []

    def _call(self, name, *arguments):
        if name == self.failing:
            raise ConnectionError(f"{self.identifier} is away\nmore")
        self.calls.append((name, *arguments))

    def start(self, run, identifier):
        self._call("start", run, identifier)
        return self.identifier, "here"

    def log_epoch(self, row):
        self._call("log_epoch", row)

    def finish(self, metrics, files):
        self._call("finish", metrics, files)

    def stop(self, status):
        self._call("stop", status)


@pytest.fixture
def trackers(monkeypatch):
    """The stand-ins by name."""
    stand_ins = {"wandb": Recorder("w-1"), "mlflow": Recorder("m-1")}
    monkeypatch.setattr(tracking, "tracker_of", stand_ins.get)
    return stand_ins


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path)


def end_epoch(callback, epoch=0):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5))
    callback.set_model(model)
    callback.on_epoch_end(epoch, {"loss": 2.0, "val_loss": 3.0})


def test_a_row_of_the_history_for_each_epoch(trackers, directory):
    with tracked(("wandb", "mlflow"), FACTS, directory) as callback:
        end_epoch(callback, epoch=4)
    row = {"epoch": 5, "loss": 2.0, "val_loss": 3.0, "learning_rate": 0.5}
    for tracker in trackers.values():
        assert tracker.calls[1:] == [("log_epoch", row)]


def test_the_parameters(trackers, directory):
    with tracked(("mlflow",), FACTS, directory):
        pass
    (_, run, identifier), *_ = trackers["mlflow"].calls
    assert (run.name, run.path, identifier) == (directory.path.name, directory.path.absolute(), None)
    expected = {"arch": "lenet5", "arch_args.units": 8, "lr": 0.006, "precision": "float32", "parameters": 61706}
    assert expected.items() <= run.parameters.items()
    assert not {"out", "resume", "log", "weights"} & set(run.parameters)


def test_a_resumed_run_is_continued(trackers, directory):
    with tracked(("wandb", "mlflow"), FACTS, directory):
        pass
    assert json.loads(directory.trackers.read_text()) == {"wandb": "w-1", "mlflow": "m-1"}
    with tracked(("wandb", "mlflow"), FACTS, directory, resume=True):
        pass
    assert [tracker.calls[-1][-1] for tracker in trackers.values()] == ["w-1", "m-1"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "failed")])
def test_a_run_that_ends_early_is_marked(error, status, trackers, directory):
    def end():
        with tracked(("wandb",), FACTS, directory):
            raise error

    with pytest.raises(error):
        end()
    assert trackers["wandb"].calls[-1] == ("stop", status)


def test_a_tracker_that_does_not_start_is_refused(trackers, directory):
    trackers["mlflow"].failing = "start"
    with (
        pytest.raises(BadInput, match=r"^--log mlflow does not start: m-1 is away; mend that or leave it out$"),
        tracked(("wandb", "mlflow"), FACTS, directory),
    ):
        pass
    assert trackers["wandb"].calls[-1] == ("stop", "failed")
    assert not directory.trackers.exists()


def test_a_resumed_run_continues_without_a_tracker_that_does_not_start(trackers, directory, capsys):
    trackers["mlflow"].failing = "start"
    with tracked(("wandb", "mlflow"), FACTS, directory, resume=True) as callback:
        end_epoch(callback)
    assert capsys.readouterr().err == "warning: --log mlflow fails: m-1 is away; the run continues without it\n"
    assert [name for name, *_ in trackers["wandb"].calls] == ["start", "log_epoch"]


def test_a_tracker_that_fails_later_is_left_out(trackers, directory, capsys):
    trackers["wandb"].failing = "log_epoch"
    with tracked(("wandb", "mlflow"), FACTS, directory) as callback:
        end_epoch(callback, 0)
        end_epoch(callback, 1)
    assert capsys.readouterr().err == "warning: --log wandb fails: w-1 is away; the run continues without it\n"
    assert [name for name, *_ in trackers["mlflow"].calls] == ["start", "log_epoch", "log_epoch"]


def test_the_results_of_a_finished_run(trackers, run_copy):
    with tracked(("wandb",), FACTS, run_copy) as callback:
        callback.finish()
    _, metrics, files = trackers["wandb"].calls[-1]
    assert metrics["test_accuracy"] == run_copy.read_metrics()["test_accuracy"]
    assert all(isinstance(value, int | float) for value in metrics.values())
    names = {"config.json", "history.csv", "metrics.json", "curves.png", "train.log", "README.md", "model.keras"}
    assert {file.name for file in files} == names


def test_names_with_commas_and_several_times():
    parser = Parser(prog="test")
    add_flags(parser)
    flags = vars(parser.parse_args(["--log", "wandb,mlflow", "--log", "tensorboard", "--log", "wandb"]))
    config = Config(**flags)
    assert config.trackers == ("wandb", "mlflow", "tensorboard")
    assert config.tensorboard


def test_the_older_name_of_tensorboard():
    assert Config(tensorboard=True).trackers == ("tensorboard",)
    assert Config().trackers == ()


def test_an_unknown_tracker():
    with pytest.raises(BadInput, match="--log must be one or more of wandb, mlflow, tensorboard, got 'wandb,neptune'"):
        Config(log="wandb,neptune")


@pytest.mark.parametrize(
    "spec", [None, ModuleSpec("wandb", None, is_package=True)]
)  # the second: a folder of this name
def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch, spec):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    with pytest.raises(BadInput, match=r"^--log wandb needs wandb: pip install -r requirements-wandb.txt$"):
        train.check(Config(log="wandb", out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()
