"""Every command on a small run of each task: trained, stopped, resumed, evaluated, predicted, exported.

`make test` has a network of each task and kind of data, `make test-every` every architecture that takes examples alone;
detectors, which take regions, have theirs in results/test_detection.py.
"""

import json
import sys
import wave
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfcnn
from benchmarks.export import SMALL
from tfcnn import compare, evaluate, predict, train
from tfcnn.cli.parser import run_main
from tfcnn.cli.signals import Interrupted
from tfcnn.config import Config
from tfcnn.export import __main__ as export
from tfcnn.export import savedmodel
from tfcnn.model_files import in_float32
from tfcnn.models import registry
from tfcnn.tasks import TASKS

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
COUNT = 40
SPOTS = RNG.integers(0, 2, COUNT)


def images(side=16):
    """Random pixels; the left half is the second class in half of them."""
    half = side // 2
    pixels = RNG.integers(0, 120, (COUNT, side, side, 3)).astype(np.uint8)
    pixels[SPOTS == 1, :, :half] += 120
    masks = np.zeros((COUNT, side, side), np.uint8)
    masks[SPOTS == 1, :, :half] = 1
    masks[:, 0] = 255
    return {"x": pixels, "y": masks}


def labelled_images(side=16):
    return images(side) | {"y": SPOTS}


def sounds():
    waves = np.sin(np.outer(1 + SPOTS, np.arange(1024) / 9)).astype(np.float32)
    return {"x": 0.5 * waves, "y": SPOTS}


def volumes(side=8):
    voxels = np.zeros((COUNT, side, side, side), np.uint8)
    voxels[:, :, : side // 2] = 255
    return {"x": voxels[..., None], "y": voxels // 255}


def labelled_volumes():
    voxels = volumes(16)["x"]
    voxels[SPOTS == 1] = np.swapaxes(voxels[SPOTS == 1], 1, 2)
    return {"x": voxels, "y": SPOTS}


class Case(NamedTuple):
    """An architecture, small, and what it learns."""

    arch: str
    arrays: Callable[[], dict[str, np.ndarray]]
    arguments: dict
    width: float
    depth: float = 1.0
    image_size: str | None = None
    crop_mode: str | None = None


CASES = {
    "rectangles": Case("lenet5", labelled_images, {}, 0.5, image_size="32x44", crop_mode="squash"),
    "segmentation": Case("unet", images, {"levels": 1}, 0.05, image_size="16x24"),
    "a smaller map": Case("unet", lambda: images(20), {"levels": 1, "form": "paper", "batch_norm": True}, 0.05),
    "reconstruction": Case("conv_autoencoder", labelled_images, {}, 0.1, image_size="16x24"),
    "sounds": Case("m3", sounds, {}, 0.05),
    "volumes": Case("unet3d", volumes, {}, 0.05),
}


def case_of(arch):
    """The smallest form of an architecture, with arrays of the smallest size that it takes."""
    family = registry.family_of(arch)
    arguments = dict(SMALL[family.module])
    width = arguments.pop("width", 1.0)
    depth = arguments.pop("depth", 1.0)
    arrays = {
        ("classification", 1): sounds,
        ("classification", 2): partial(labelled_images, max(family.min_size, 32)),
        ("classification", 3): labelled_volumes,
        ("segmentation", 2): partial(images, max(family.min_size, 32)),
        ("segmentation", 3): partial(volumes, max(family.min_size, 8)),
        ("reconstruction", 2): partial(labelled_images, 32),
    }[family.task, family.axes]
    return Case(arch, arrays, arguments, width, depth)


EVERY = [
    pytest.param(arch, marks=pytest.mark.every)
    for arch in registry.list_archs()
    if registry.family_of(arch).task != "detection"
]


class StopAfterEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def call(main, monkeypatch, capsys, *words):
    """The output of a command that succeeds."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, words)])
    capsys.readouterr()
    code = run_main(main)
    output = capsys.readouterr()
    assert (code, output.err) == (0, "")
    return output.out


@pytest.mark.parametrize("name", [*CASES, *EVERY])
def test_every_command(name, tmp_path, monkeypatch, capsys):
    case = CASES.get(name) or case_of(name)
    np.savez(tmp_path / "data.npz", **case.arrays())
    flags = {"arch": case.arch, "dataset": str(tmp_path / "data.npz"), "width": case.width, "depth": case.depth}
    flags |= {
        "epochs": 2,
        "arch_args": case.arguments,
        "image_size": case.image_size,
        "crop_mode": case.crop_mode,
        "batch_size": 8,
        "warmup_epochs": 0,
        "out": str(tmp_path / "run"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(savedmodel, "export_savedmodel", lambda *args: None)  # the command exports it below
        with pytest.raises(Interrupted):
            train.run(Config(**flags), [StopAfterEpoch()])
        run = train.run(train.restore_config({"resume": True, "out": str(tmp_path / "run")}))
    task = run.read_config()["data"]["task"]
    headline = TASKS[task].headline
    assert len(run.read_history()) == 2

    printed = call(evaluate.main, monkeypatch, capsys, run.path)
    scores = json.loads((run.path / "evaluation-test.json").read_text())
    assert scores[headline.name] == pytest.approx(run.read_metrics()[f"test_{headline.name}"], rel=1e-4)
    assert headline.form.format(scores[headline.name]) in printed
    assert run.sheet.exists() == (task != "classification")

    check_predictions(run, task, tmp_path, monkeypatch, capsys)
    call(export.main, monkeypatch, capsys, run.path)
    check_export(run)
    assert headline.label in call(compare.main, monkeypatch, capsys, run.path)


def check_predictions(run, task, folder, monkeypatch, capsys):
    shape = run.read_config()["data"]["image_shape"]
    np.savez(folder / "few.npz", x=np.load(folder / "data.npz")["x"][:3])
    if len(shape) == 2:
        write_wav(folder / "a.wav", np.sin(np.arange(700) / 9) / 2)
        line = call(predict.main, monkeypatch, capsys, run.path, folder / "a.wav", folder / "few.npz", "--top", "1")
        assert len(line.splitlines()) == 4
        return
    if len(shape) == 4 and task == "segmentation":
        call(predict.main, monkeypatch, capsys, run.path, folder / "few.npz", "--out", folder / "out")
        assert np.load(folder / "out" / "few-2.npz")["mask"].shape == tuple(shape[:3])
        return
    Image.fromarray(RNG.integers(0, 256, (30, 50, 3)).astype(np.uint8)).save(folder / "a.png")
    if task == "classification":
        file = folder / ("few.npz" if len(shape) == 4 else "a.png")
        lines = call(predict.main, monkeypatch, capsys, run.path, file, "--top", "1").splitlines()
        assert len(lines) == (3 if len(shape) == 4 else 1)
        return
    printed = call(predict.main, monkeypatch, capsys, run.path, folder / "a.png", "--out", folder / "out")
    assert printed.splitlines()[-1] == f"written   {folder / 'out'}"
    with Image.open(folder / "out" / "a.png") as picture:
        assert picture.size == (50, 30)
    if task == "segmentation":
        call(
            predict.main, monkeypatch, capsys, run.path, folder / "a.png", "--inference", "tile", "--out", folder / "t"
        )
        with Image.open(folder / "t" / "a.png") as picture:
            assert picture.size == (50, 30)
            assert set(np.unique(picture)) <= {0, 1}


def check_export(run):
    """The SavedModel answers as the model does; masks have the images' own size."""
    facts = run.read_config()["data"]
    served = run.load_saved_model()
    ready = RNG.normal(size=(2, *facts["image_shape"])).astype("float32")
    outputs = in_float32(run.load_model()).predict_on_batch(ready)  # which SavedModels compute in
    if facts["task"] == "reconstruction":
        shares = outputs * facts["std"] + facts["mean"]
        np.testing.assert_allclose(served.serve_ready(ready)["image"], np.clip(255 * shares, 0, 255), atol=0.1)
        return
    np.testing.assert_array_equal(served.serve_ready(ready)["class"], outputs.argmax(-1))
    if facts["task"] == "classification" and len(facts["image_shape"]) == 3:
        pixels = RNG.integers(0, 256, (2, 30, 50, 3)).astype(np.uint8)
        shares = served.serve(pixels)["probabilities"]
        np.testing.assert_allclose(shares, tfcnn.load(run.path).predict(pixels), atol=1e-5)
    if facts["task"] == "segmentation" and len(facts["image_shape"]) == 3:
        pixels = RNG.integers(0, 256, (1, 30, 50, 3)).astype(np.uint8)
        answer = served.serve(pixels)
        assert answer["probabilities"].shape == (1, 30, 50, 2)
        (file,) = served.serve_files([tf.io.encode_png(pixels[0])])["mask"].numpy()
        np.testing.assert_array_equal(tf.io.decode_png(file)[..., 0], answer["class"][0])
