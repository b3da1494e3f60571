"""The SavedModel, in a process that cannot import tfcnn."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import pipelines
import tfcnn
from tfcnn.export.savedmodel import check_range, export_savedmodel

pytestmark = pytest.mark.slow

SERVE = """
import importlib.abc, sys
import numpy as np, tensorflow as tf

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("tfcnn", "pipelines", "tuning"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
folder, files, out = sys.argv[1:]
model = tf.saved_model.load(folder)
inputs = np.load(files)
answers = {
    "default": model.signatures["serving_default"](tf.constant(inputs["images"])),
    "serve": model.serve(inputs["images"]),
    "larger": model.serve(np.kron(inputs["images"], np.ones((1, 2, 2, 1), np.uint8))),
    "files": model.serve_files([tf.io.encode_png(image) for image in inputs["images"]]),
    "ready": model.serve_ready(inputs["ready"]),
}
assert not {"tfcnn", "pipelines"} & set(sys.modules)
flat = {f"{name}/{key}": value.numpy() for name, values in answers.items() for key, value in values.items()}
np.savez(out, **{key: value.astype("U") if value.dtype == object else value for key, value in flat.items()})
"""


@pytest.fixture(scope="module")
def serving(finished_run, tmp_path_factory):
    """What the SavedModel answers to the first scans, the standardised inputs, the Keras model, facts of the data."""
    folder = tmp_path_factory.mktemp("served")
    scans = np.round(load_digits().images[:20] * (255 / 16)).astype(np.uint8)[..., None]
    facts = finished_run.read_config()["data"]
    ready = np.random.default_rng(0).normal(size=(5, *facts["image_shape"])).astype("float32")
    np.savez(folder / "inputs.npz", images=scans, ready=ready)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", SERVE, str(finished_run.saved_model), "inputs.npz", "outputs.npz"]
    subprocess.run(command, check=True, cwd=folder, env=environment)
    return dict(np.load(folder / "outputs.npz")), ready, finished_run.load_model(), facts


def softmax(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def test_equal_to_the_model(serving):
    answers, ready, model, facts = serving
    expected = softmax(model.predict_on_batch(ready).astype("float64"))
    np.testing.assert_allclose(answers["ready/probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(answers["ready/class"], expected.argmax(-1))
    assert answers["ready/class_name"].tolist() == [facts["class_names"][i] for i in expected.argmax(-1)]


def test_every_way_in_gives_the_same(serving):
    answers = serving[0]
    for name in ("default", "files"):
        np.testing.assert_allclose(answers[f"{name}/probabilities"], answers["serve/probabilities"], atol=1e-6)
    np.testing.assert_allclose(answers["serve/probabilities"].sum(-1), 1, atol=1e-6)
    # The same scan at twice the size, in blocks: another image to the resampling, but the same digit.
    assert (answers["larger/class"] == answers["serve/class"]).mean() >= 0.8


@pytest.mark.parametrize("arch", ["lenet5", "unet"])
def test_loops_over_files_stand_apart_from_the_network(arch, tmp_path):
    """In one graph with a loop TensorFlow leaves activations unfused: EfficientNet took a third longer."""
    model = tfcnn.build(arch, (32, 32, 1), 3, width=0.1)
    task = "segmentation" if arch == "unet" else "classification"
    facts = {"task": task, "image_shape": (32, 32, 1), "class_names": ["a", "b", "c"], "mean": [0.4], "std": [0.3]}
    export_savedmodel(model, tmp_path / "model", facts | {"value_range": (0, 255), "dtype": "uint8", "fit": "crop"})
    signature = tf.saved_model.load(tmp_path / "model").signatures["serve_files"]
    graph = signature.graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}
    nodes, seen = list(graph.node), []
    while nodes:
        node = nodes.pop()
        seen.append(node.op)
        called = functions.get(node.attr["f"].func.name)
        if called and not called.attr["_noinline"].b:
            nodes += called.node_def
    assert {"Conv2D", "StatefulPartitionedCall"} <= set(seen)
    assert {"While", "StatelessWhile"}.isdisjoint(seen)


def test_what_is_inside_is_what_the_pipeline_does(finished_run):
    """Raw scans through the SavedModel against the test split through pipelines and the model."""
    import tensorflow as tf

    data = pipelines.load("digits")
    model = finished_run.load_model()
    raw = pipelines.load("digits", image_size=8)
    pixels = np.concatenate([images for images, _ in raw.evaluation("test").as_numpy_iterator()])
    pixels = np.round((pixels * raw.std[0] + raw.mean[0]) * 255).astype(np.uint8)
    loaded = tf.saved_model.load(str(finished_run.saved_model))
    expected = softmax(model.predict(data.evaluation("test"), verbose=0).astype("float64"))
    np.testing.assert_allclose(loaded.serve(pixels)["probabilities"], expected, atol=1e-4)


def test_the_command(finished_run, tmp_path, call_command):
    process = call_command("tfcnn.export.__main__", finished_run.path, "--out", tmp_path / "again")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == f"SavedModel written to {tmp_path / 'again'}\n"
    assert (tmp_path / "again" / "saved_model.pb").exists()


def test_a_version_for_tensorflow_serving(finished_run, tmp_path, call_command, monkeypatch):
    writer = "tfcnn.export.__main__.export_savedmodel"
    monkeypatch.setattr(writer, lambda model, path, facts: path.mkdir(parents=True))
    flags = ("--out", tmp_path / "scans", "--saved-model-version", "2")
    process = call_command("tfcnn.export.__main__", finished_run.path, *flags)
    assert process.stdout == f"SavedModel written to {tmp_path / 'scans' / '2'}\n"
    process = call_command("tfcnn.export.__main__", finished_run.path, *flags)
    assert process.returncode == 2
    assert process.stderr == f"error: '{tmp_path}/scans/2' exists already; give another --saved-model-version\n"


@pytest.mark.parametrize(
    ("trained_range", "values"), [((0, 1), [0, 255]), ((-1, 1), [0, 255]), ((0, 65535), [-1.0, 1.0])]
)
def test_values_of_another_range_fail_with_both(trained_range, values):
    low, high = trained_range
    line = f"trained on values from {low:g} to {high:g}, but received values from"
    with pytest.raises(tf.errors.InvalidArgumentError, match=line):
        check_range(tf.constant(values, tf.float32), low, high)
    inside = tf.constant([low, high], tf.float32)
    np.testing.assert_array_equal(check_range(inside, low, high), inside)
