"""The files of --tensorboard and --profile, read back with TensorBoard's own reader."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.graph.keras_util import keras_model_to_graph_def
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import tfcnn
from tfcnn import train
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training.tensorboard import Profile, TensorBoard


@pytest.fixture(scope="module")
def profiled_run(tmp_path_factory):
    """A finished run of 20 steps an epoch, with TensorBoard and a profile."""
    config = Config(
        arch="lenet5", epochs=2, batch_size=62, tensorboard=True, profile="3-4", out=str(tmp_path_factory.mktemp("run"))
    )
    return train.run(config)


def events(run, part):
    accumulator = EventAccumulator(str(run.path / "tensorboard" / part), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def scalars(accumulator, tag):
    return {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in accumulator.Tensors(tag)}


@pytest.mark.slow
def test_metrics_of_epochs_are_those_of_the_history(profiled_run):
    rows = profiled_run.read_history()
    for part, name in (("train", "loss"), ("train", "accuracy"), ("validation", "loss"), ("validation", "accuracy")):
        prefix = "val_" if part == "validation" else ""
        values = list(scalars(events(profiled_run, part), f"epoch_{name}").values())
        np.testing.assert_allclose(values, [row[prefix + name] for row in rows], rtol=1e-6)


@pytest.mark.slow
def test_scalars_of_steps(profiled_run):
    train_events = events(profiled_run, "train")
    losses = scalars(train_events, "step_loss")
    rates = scalars(train_events, "step_learning_rate")
    assert list(losses) == list(rates) == [10, 20, 30, 40]
    rows = profiled_run.read_history()
    assert losses[20] == pytest.approx(rows[0]["loss"])
    assert losses[40] == pytest.approx(rows[1]["loss"])
    assert rates[40] == pytest.approx(rows[1]["learning_rate"], abs=1e-9)
    assert rates[10] == pytest.approx(6e-3 * (0.01 + 0.99 / 2))  # half of the warm-up


@pytest.mark.slow
def test_test_metrics_beside_those_of_validation(profiled_run):
    metrics = profiled_run.read_metrics()
    for name in ("loss", "accuracy"):
        points = scalars(events(profiled_run, "test"), f"epoch_{name}")
        assert points == {metrics["best_epoch"] - 1: pytest.approx(metrics[f"test_{name}"])}


@pytest.mark.slow
def test_flags_as_hparams(profiled_run):
    accumulator = events(profiled_run, ".")
    data = {
        tag: HParamsPluginData.FromString(content) for tag, content in accumulator.PluginTagToContent("hparams").items()
    }
    start = data[metadata.SESSION_START_INFO_TAG].session_start_info
    assert start.hparams["arch"].string_value == "lenet5"
    assert start.hparams["lr"].number_value == 6e-3
    assert start.hparams["batch_size"].number_value == 62
    assert data[metadata.SESSION_END_INFO_TAG].session_end_info.status == api_pb2.STATUS_SUCCESS
    (status,) = accumulator.Tensors("status")
    assert (status.step, tf.make_ndarray(status.tensor_proto).tolist()) == (2, b"finished")


@pytest.mark.slow
def test_a_training_batch_as_a_picture(profiled_run):
    (event,) = events(profiled_run, "train").Tensors("training batch, augmented")
    width, height, picture = event.tensor_proto.string_val
    pixels = tf.io.decode_png(picture).numpy()
    assert pixels.shape[:2] == (int(height), int(width))
    assert pixels.shape[1] > 8 * 100  # 8 images in a row
    assert len(np.unique(pixels)) > 30


@pytest.mark.slow
def test_the_graph_has_the_layers(profiled_run):
    (event,) = events(profiled_run, "train").Tensors("keras")
    graph = keras_model_to_graph_def(json.loads(event.tensor_proto.string_val[0]))
    names = {node.name.split("/")[1] for node in graph.node}
    assert {"stage1", "stage2", "logits"} <= names
    operations = {node.name for node in events(profiled_run, "train").Graph().node}  # of TensorFlow
    assert any("/stage1" in name for name in operations)
    assert any("/logits" in name and "MatMul" in name for name in operations)


@pytest.mark.parametrize("arch", ["resnet20", "mobilenet", "unet"])
def test_graphs_with_branches_can_be_shown(arch):
    with tfcnn.cost.weightless():
        model = tfcnn.build(arch, (32, 32, 3), 4)
    graph = keras_model_to_graph_def(json.loads(model.to_json()))
    inputs = {node.name: list(node.input) for node in graph.node}
    assert {f"{arch}/{layer.name}" for layer in model.layers} <= set(inputs)
    for layer in model.layers:
        merges = isinstance(layer, keras.layers.Add | keras.layers.Concatenate)
        assert len(inputs[f"{arch}/{layer.name}"]) == (0 if layer is model.layers[0] else 2 if merges else 1)


@pytest.mark.slow
def test_a_profile_has_the_operations_of_the_steps(profiled_run):
    (file,) = (profiled_run.path / "tensorboard").rglob("*.xplane.pb")
    assert file.parts[-5:-2] == ("tensorboard", "plugins", "profile")
    content = file.read_bytes()
    assert b"Conv2DBackpropFilter" in content
    assert b"AvgPool" in content


class Steps:
    """Calls a callback as Keras does for some steps an epoch, from an epoch on."""

    def __init__(self, callback, steps):
        self.callback = callback
        self.steps = steps

    def epoch(self, number):
        self.callback.on_epoch_begin(number)
        for batch in range(self.steps):
            self.callback.on_train_batch_begin(batch)
            self.callback.on_train_batch_end(batch, {"loss": 100.0 * number + batch})


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(1, 1, ["start", 1, "stop"]), (4, 6, ["start", 4, 5, 6, "stop"]), (9, 20, ["start", 9, "stop"]), (10, 12, [])],
)
def test_the_steps_that_are_profiled(first, last, expected, monkeypatch, tmp_path):
    calls = []

    class Trace:
        def __init__(self, name, step_num, _r):
            self.step = step_num

        def __enter__(self):
            calls.append(self.step)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(tf.profiler.experimental, "start", lambda folder: calls.append("start"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: calls.append("stop"))
    monkeypatch.setattr(tf.profiler.experimental, "Trace", Trace)
    callback = Profile(tmp_path, first, last, steps=3)
    for epoch in range(3):
        Steps(callback, 3).epoch(epoch)
    callback.on_train_end()
    assert calls == expected


def test_a_resumed_run_counts_its_steps_on(tmp_path):
    callback = TensorBoard(tmp_path, steps=20)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    callback.set_model(model)
    callback.on_train_begin()
    Steps(callback, 20).epoch(3)
    callback.on_train_end()
    accumulator = EventAccumulator(str(tmp_path / "train")).Reload()
    assert scalars(accumulator, "step_loss") == {70: 309.0, 80: 319.0}
    assert set(scalars(accumulator, "step_learning_rate").values()) == {0.5}


@pytest.mark.parametrize("steps", ["3", "0-4", "5-4", "a-b", "-3", "3-", "1-2-3"])
def test_a_profile_of_no_steps_is_refused(steps):
    with pytest.raises(BadInput, match=rf"--profile must be two steps A-B from 1 up, as in 20-25, got '{steps}'"):
        Config(profile=steps)


@pytest.mark.slow
def test_steps_beyond_the_run_are_refused_before_anything_is_written(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(BadInput, match=r"the run has 78 steps, got 70-79 \(--profile\)"):
        train.run(Config(arch="lenet5", epochs=2, profile="70-79", out=str(out)))
    assert not out.exists()


def test_a_full_disk_ends_the_files_and_not_the_run(tmp_path, monkeypatch, capsys):
    def fail(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "events; No space left on device")

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    monkeypatch.setattr(keras.callbacks.TensorBoard, "on_epoch_end", fail)
    callback = TensorBoard(tmp_path / "tensorboard", 4)
    history = model.fit(np.zeros((12, 4)), np.zeros((12, 2)), batch_size=1, epochs=2, verbose=0, callbacks=[callback])
    assert len(history.epoch) == 2
    errors = capsys.readouterr().err
    assert errors.strip() == (
        f"warning: '{tmp_path / 'tensorboard'}' cannot be written: events; No space left on device; the run continues "
        f"without it"
    )
