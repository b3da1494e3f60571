"""A run that is stopped anywhere and resumed equals, bit for bit, the run that was not stopped."""

import dataclasses
import functools
import json
import signal

import numpy as np
import pytest
import tensorflow as tf

import pipelines.dataset
from benchmarks.faults import training
from tfcnn.cli.signals import Terminated
from tfcnn.config import Config
from tfcnn.run_directory import RunDirectory
from tfcnn.training import callbacks, loop
from tfcnn.training.checkpoint import Checkpoints
from tfcnn.training.data import load_data
from tfcnn.training.fit import build_model, fit
from tfcnn.training.progress import Progress

pytestmark = pytest.mark.slow

STOPS = {  # the hook and the batch in which SIGTERM arrives
    "first batch": ("on_train_batch_end", 0),
    "mid-epoch": ("on_train_batch_end", 1),
    "last batch": ("on_train_batch_end", 3),
    "validation": ("on_test_batch_end", 0),
    "epoch boundary": ("on_epoch_end", 0),
}
PLACES = {  # in the checkpoint that the stop leaves: epochs done, steps done of the next
    "first batch": [0, 1],
    "mid-epoch": [0, 2],
    "last batch": [0, 4],
    "validation": [0, 4],
    "epoch boundary": [1, 0],
}
SOME_STOPS = ("mid-epoch", "validation")  # of the networks whose other states these are for
FAMILIES = {
    "dropout, accumulated gradients, weighted classes": {
        "arch": "nin",
        "width": 0.1,
        "arch_args": {"dropout": 0.3},
        "grad_accum_steps": 2,
        "image_size": 16,
        "class_weights": "balanced",
    },
    "mixed images, balanced classes, average of the weights": {
        "arch": "resnet20",
        "width": 0.25,
        "depth": 0.34,
        "image_size": 16,
        "mixup": 0.2,
        "class_sampling": "balanced",
        "model_ema": 0.9,
    },
}
# A CPU takes ten times as long in float16.
FLOAT16 = {"arch": "lenet5", "width": 0.25, "image_size": 16, "precision": "mixed_float16"}


@pytest.fixture(autouse=True, scope="module")
def traced_once():
    """Runs of one network share its function, whose tracing takes longer than the runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "several_steps", functools.lru_cache(maxsize=2)(loop.several_steps))
        yield


class Runs:
    """Runs of one compiled network: two epochs of four steps of 16 images of `digits`."""

    def __init__(self, folder, epochs=2, **flags):
        self.folder = folder
        flags = {"steps_per_execution": "1", "precision": "float32"} | flags
        self.config = Config(epochs=epochs, batch_size=16, warmup_epochs=0, **flags)
        sizes = {"train": 70, "validation": 32, "test": 32}
        self.data = dataclasses.replace(load_data(self.config), sizes=sizes)
        self.model, _ = build_model(self.config, self.data)
        self.model.optimizer.build(self.model.trainable_variables)
        self.variables = [*self.model.variables, *self.model.optimizer.variables]
        self.start = [variable.numpy() for variable in self.variables]
        (folder / "whole").mkdir(parents=True)
        self.whole = self.run("whole")

    def run(self, name):
        """A run from the start: the contents of its last checkpoint and its best model."""
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        return self.go_on(name)

    def resume(self, name):
        """The run continued in a network whose state is overwritten."""
        for variable in [*self.variables, *self.model.metrics_variables]:
            variable.assign(tf.ones_like(variable) * 3)
        return self.go_on(name)

    def go_on(self, name):
        run = RunDirectory(self.folder / name)
        rows = fit(self.model, self.data, self.config, run)
        assert run.read_history() == rows
        reader = tf.train.load_checkpoint(str(max(run.checkpoints.glob("*.index"), key=number).with_suffix("")))
        state = {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}
        del state["_CHECKPOINTABLE_OBJECT_GRAPH"]
        history = json.loads(state.pop("rows/.ATTRIBUTES/VARIABLE_VALUE"))
        untimed = [{k: v for k, v in row.items() if k not in training.TIMES} for row in history]
        best = {f"best {name}": value for name, value in training.weights(run.model).items()}
        return state | {"history": json.dumps(untimed)} | best

    def place(self, name):
        """Where the newest checkpoint goes on."""
        newest = max((self.folder / name / "checkpoints").glob("*.index"), key=number).with_suffix("")
        return tf.train.load_checkpoint(str(newest)).get_tensor("place/.ATTRIBUTES/VARIABLE_VALUE").tolist()

    def stop(self, name, hook, at, epoch=0):
        """A run to which SIGTERM comes."""
        (self.folder / name).mkdir()
        before = getattr(Progress, hook, lambda *args: None)

        def stopping(callback, number, logs=None):
            before(callback, number, logs)
            if number == at and callback.epoch == epoch:
                signal.raise_signal(signal.SIGTERM)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Progress, hook, stopping, raising=False)
            with pytest.raises(Terminated):
                self.run(name)


def number(path):
    return int(path.stem.split("-")[1])


def differences(first, second):
    assert first.keys() == second.keys()
    return [key for key in first if np.asarray(first[key]).tobytes() != np.asarray(second[key]).tobytes()]


@pytest.mark.parametrize("flags", [*FAMILIES.values(), FLOAT16 | {"model_ema": 0.9}], ids=[*FAMILIES, "float16"])
def test_no_stop_leaves_a_trace(flags, tmp_path):
    runs = Runs(tmp_path, **flags)
    assert len(runs.whole) > 50
    assert sum("averages" in key for key in runs.whole) == (len(runs.model.weights) if runs.config.model_ema else 0)
    for name in STOPS if runs.config.arch == "nin" else SOME_STOPS:
        hook, at = STOPS[name]
        runs.stop(name, hook, at)
        assert runs.place(name) == PLACES[name]
        assert differences(runs.whole, runs.resume(name)) == [], name


@pytest.fixture(scope="module")
def controls(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("controls"), **FAMILIES["dropout, accumulated gradients, weighted classes"])


@pytest.mark.parametrize("left_out", ["nothing", "seeds", "optimiser", "metrics", "order", "place in the epoch"])
def test_state_that_a_resume_leaves_out_is_noticed(left_out, controls, monkeypatch):
    name = left_out
    restore = Checkpoints.restore
    data_train = pipelines.dataset.Data.train
    controls.stop(name, "on_train_batch_end", 1)
    model = controls.model
    variables = {
        "seeds": [v for v in model.variables if "seed_generator" in v.path],
        "optimiser": [v for v in model.optimizer.variables if "momentum" in v.name],
        "metrics": model.metrics_variables,
    }.get(left_out, [])
    assert variables or left_out in ("nothing", "order", "place in the epoch")

    def without(checkpoints):
        epoch, step, rows = restore(checkpoints)
        for variable in variables:
            variable.assign(tf.zeros_like(variable))
        return epoch, 0 if left_out == "place in the epoch" else step, rows

    def shift(data, epochs, epoch, step):
        return data_train(data, epochs, epoch, step - 1 if left_out == "order" else step)

    monkeypatch.setattr(Checkpoints, "restore", without)
    monkeypatch.setattr(pipelines.dataset.Data, "train", shift)
    assert bool(differences(controls.whole, controls.resume(name))) is (left_out != "nothing")


@pytest.mark.parametrize(
    "flags",
    [FAMILIES["dropout, accumulated gradients, weighted classes"], FLOAT16 | {"grad_accum_steps": 2}],
    ids=["float32", "float16"],
)
def test_steps_in_one_call_are_the_steps_one_by_one(flags, tmp_path):
    """Stopped where a call of three ends, which is within the epoch, and continued by calls of two."""
    runs = Runs(tmp_path, **flags)
    runs.config = dataclasses.replace(runs.config, steps_per_execution="3")
    (runs.folder / "several").mkdir()
    assert differences(runs.whole, runs.run("several")) == []
    runs.stop("stopped", "on_train_batch_end", 3)
    assert runs.place("stopped") == [0, 4]
    runs.config = dataclasses.replace(runs.config, steps_per_execution="2")
    assert differences(runs.whole, runs.resume("stopped")) == []
    runs.config = dataclasses.replace(runs.config, steps_per_execution="3", checkpoint_every=2)
    (runs.folder / "often").mkdir()
    assert differences(runs.whole, runs.run("often")) == []
    numbers = [number(path) for path in (runs.folder / "often" / "checkpoints").glob("*.index")]
    assert max(numbers) == 1 + 2 * (2 + 1)  # the first; after two steps, four and the end of each of two epochs


def test_plateaus_of_the_learning_rate_are_resumed(tmp_path, monkeypatch):
    """From this rate the network gets worse: it falls after the second epoch; the run is stopped in the third."""
    runs = Runs(tmp_path, 3, arch="lenet5", opt="momentum", lr=0.5, sched="plateau", patience_epochs=1)
    rates = [row["learning_rate"] for row in json.loads(runs.whole["history"])]
    assert rates == pytest.approx([0.5, 0.5, 0.05])
    for name in ("kept", "forgotten"):
        runs.stop(name, "on_train_batch_end", 1, epoch=2)
        if name == "forgotten":
            monkeypatch.setattr(callbacks, "plateaus", lambda rows, patience: 0)
        assert bool(differences(runs.whole, runs.resume(name))) is (name == "forgotten")


def test_checkpoints_within_an_epoch_change_nothing(controls):
    config = controls.config
    try:
        controls.config = dataclasses.replace(config, checkpoint_every=1)
        (controls.folder / "often").mkdir()
        assert differences(controls.whole, controls.run("often")) == []
    finally:
        controls.config = config
    files = sorted(path.name for path in (controls.folder / "often" / "checkpoints").iterdir())
    # The first, four steps and an end for each of two epochs: eleven, and two are kept.
    assert files == [f"ckpt-{n}.{part}" for n in (10, 11) for part in ("data-00000-of-00001", "index")]
