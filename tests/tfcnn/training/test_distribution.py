"""Several devices train to the weights of one, in one process and in two, also after a worker was killed."""

import dataclasses
import json
import re
import socket
import time

import numpy as np
import pytest

import pipelines
from benchmarks.faults import training
from benchmarks.faults.processes import Program
from pipelines.augmentation.policy import Policy
from tfcnn import train
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.run_directory import RunDirectory
from tfcnn.training.cluster import Worker, worker_of

FLAGS = "--arch resnet20 --width 0.25 --depth 0.34 --image-size 16 --epochs 1 --batch-size 256 --warmup-epochs 0"
# Momentum: Adam would divide a gradient of rounding errors alone by its own size.
FLAGS = f"{FLAGS} --opt momentum --lr 0.02 --layer-decay 0.7 --model-ema 0.9 --checkpoint-every 1".split()
FLAGS += ["--kernels", "keras"]
# float64: in float32 a batch in another order already changes some updates of weights by a hundredth.
FLOAT64 = """
import sys
from tfcnn import train
from tfcnn.cli.parser import run_main
from tfcnn.cli.startup import import_tensorflow
import_tensorflow()
import tensorflow as tf
from tfcnn.export import savedmodel
from tfcnn.training import precision
precision.choose_dtype_policy = lambda config: "float64"
savedmodel.export_savedmodel = lambda *arguments: None
"""
TWO_DEVICES = """
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""
RANDOM_LAYERS = """
import keras
from tfcnn.config import Config
from tfcnn.training.distribution import Devices
devices = Devices(Config(distribution="mirrored"))
with devices.scope():
    model = keras.Sequential([keras.Input((1000,)), keras.layers.Dropout(0.5, seed=1)])
    model.compile("sgd", "mse")
devices.prepare(model, [])
outputs = tf.function(lambda: devices.strategy.run(lambda: model(tf.ones([1, 1000]), training=True)))()
one, other = devices.strategy.experimental_local_results(outputs)
print("different", (one.numpy() != other.numpy()).mean())
try:
    Devices(Config(distribution="mirrored", batch_size=33))
except ValueError as error:
    print(error, file=sys.stderr)
"""
RUN = "sys.exit(run_main(train.main))"
TOLERANCE = 1e-6  # of the loss and the last layer, which are float32


def workers(*flags, extra=((), ())):
    """Two processes that train together, with common flags and extra flags for each."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two)]
    clusters = [json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}}) for i in range(2)]
    flags = [*FLAGS, "--distribution", "multiworker", *flags]
    return [Program(FLOAT64 + RUN, *flags, *more, TF_CONFIG=text) for text, more in zip(clusters, extra, strict=True)]


def wait(programs):
    ended = [program.wait(300) for program in programs]
    return [(process.returncode, process.stdout, process.stderr) for process in ended]


def close(first, second, tolerance):
    """Whether two runs have the same weights and the same history, its times apart."""
    first, second = (
        training.weights(path / "model.keras")
        | {
            f"{name} of epoch {row['epoch']:g}": value
            for row in RunDirectory(path).read_history()
            for name, value in row.items()
            if "loss" in name or "accuracy" in name
        }
        for path in (first, second)
    )
    return first.keys() == second.keys() and all(
        np.allclose(first[name], second[name], rtol=tolerance, atol=tolerance) for name in first
    )


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "run"
    ((code, _, errors),) = wait([Program(FLOAT64 + RUN, *FLAGS, "--out", path)])
    assert code == 0, errors
    return path


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory):
    """(a run on two devices, stdout, stderr) of a process in which dropout draws before the run."""
    path = tmp_path_factory.mktemp("two") / "run"
    flags = [*FLAGS, "--distribution", "mirrored", "--out", path]
    ((code, out, errors),) = wait([Program(FLOAT64 + TWO_DEVICES + RANDOM_LAYERS + RUN, *flags)])
    assert code == 0, errors
    return path, out, errors


@pytest.mark.slow
def test_mirrored_is_one_device(one_device, two_devices):
    path, out, _ = two_devices
    assert re.search(r"devices +2 \(mirrored\).* 256 images of a step: 128 each", out)
    assert close(one_device, path, TOLERANCE)


@pytest.mark.slow
def test_random_layers_draw_something_else_on_each_device(two_devices):
    _, out, _ = two_devices
    assert 0.4 < float(re.search(r"different (\S+)", out).group(1)) < 0.6


@pytest.mark.slow
def test_a_batch_that_two_devices_cannot_share_is_refused(two_devices):
    _, _, errors = two_devices
    assert "33 images cannot be shared evenly by 2" in errors


@pytest.mark.slow
def test_workers_that_differ_are_refused(tmp_path):
    pair = workers("--out", tmp_path / "run", extra=(["--lr", "0.02"], ["--lr", "0.03"]))
    for code, _, errors in wait(pair):
        assert code == 2, errors
        assert "error: the workers differ in flags" in errors


@pytest.mark.slow
def test_two_workers_of_which_one_was_killed_are_one_device(one_device, tmp_path):
    run = tmp_path / "run"
    pair = workers("--out", run)
    while not (run / "checkpoints" / "ckpt-2.index").exists() and pair[0].process.is_alive():
        time.sleep(0.02)
    pair[1].process.kill()
    (code, _, errors), _ = wait(pair)
    assert code == 3
    assert re.fullmatch(r"error: another worker .*--resume --out .*", errors.splitlines()[-1])  # after TensorFlow's
    for code, _, errors in wait(workers("--out", run, "--resume")):
        assert code == 0, errors
    assert close(one_device, run, TOLERANCE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_wrong_tf_config_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(BadInput, match="TF_CONFIG"):
        worker_of(Config(distribution="multiworker", out="run"))


def test_without_workers_there_is_one_process(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")
    assert worker_of(Config()) == Worker(0, 1)


def test_workers_do_not_divide_steps_by_their_speed():
    assert Config(distribution="multiworker", out="run").steps_per_call == 1


@pytest.mark.slow
def test_mirrored_needs_two_devices(tmp_path):
    with pytest.raises(BadInput, match="--distribution mirrored needs at least two devices"):
        train.run(Config(arch="lenet5", distribution="mirrored", out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("mixup", [0.0, 0.2])
@pytest.mark.parametrize(("name", "memory"), [("light", 1000), ("none", 1000), ("light", 0)])
def test_shards_are_the_parts_of_a_batch(name, memory, mixup):
    """Of data in memory, whose batches are moved as a whole, and of a stream."""
    data = pipelines.load("digits", batch_size=12, augmentation=Policy(name, mixup=mixup), data_memory=memory)
    parts = [iter(dataclasses.replace(data, shard=(index, 3)).train(2, 3, 5)) for index in range(3)]
    for whole in data.train(2, 3, 5).take(3):
        for values, *of_parts in zip(whole, *map(next, parts), strict=True):
            np.testing.assert_allclose(values, np.concatenate(of_parts), rtol=0, atol=1e-4)  # sizes of a batch round
