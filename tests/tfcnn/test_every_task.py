"""Every command on a small run of each task: trained, stopped, resumed, evaluated, predicted, exported."""

import json
import sys
import wave
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfcnn import compare, evaluate, predict, train
from tfcnn.cli.parser import run_main
from tfcnn.cli.signals import Interrupted
from tfcnn.config import Config
from tfcnn.export import __main__ as export
from tfcnn.export import savedmodel
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


def labelled_images():
    return images() | {"y": SPOTS}


def sounds():
    waves = np.sin(np.outer(1 + SPOTS, np.arange(1024) / 9)).astype(np.float32)
    return {"x": 0.5 * waves, "y": SPOTS}


def volumes():
    voxels = np.zeros((COUNT, 8, 8, 8), np.uint8)
    voxels[:, :, :4] = 255
    return {"x": voxels[..., None], "y": voxels // 255}


class Case(NamedTuple):
    """An architecture that stands for others, small, and what it learns."""

    arch: str
    arrays: object
    arguments: dict
    width: float


CASES = {
    "segmentation": Case("unet", images, {"levels": 1}, 0.05),
    "a smaller map": Case("unet", lambda: images(20), {"levels": 1, "form": "paper"}, 0.05),
    "reconstruction": Case("conv_autoencoder", labelled_images, {}, 0.1),
    "sounds": Case("m3", sounds, {}, 0.05),
    "volumes": Case("unet3d", volumes, {}, 0.05),
}


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


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_command(case, tmp_path, monkeypatch, capsys):
    np.savez(tmp_path / "data.npz", **case.arrays())
    flags = {"arch": case.arch, "dataset": str(tmp_path / "data.npz"), "width": case.width, "epochs": 2}
    flags |= {"arch_args": case.arguments, "batch_size": 8, "warmup_epochs": 0, "out": str(tmp_path / "run")}
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
    if len(shape) == 4:
        call(predict.main, monkeypatch, capsys, run.path, folder / "few.npz", "--out", folder / "out")
        assert np.load(folder / "out" / "few-2.npz")["mask"].shape == (8, 8, 8)
        return
    Image.fromarray(RNG.integers(0, 256, (30, 50, 3)).astype(np.uint8)).save(folder / "a.png")
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
    outputs = run.load_model().predict_on_batch(ready)
    if facts["task"] == "reconstruction":
        shares = outputs * facts["std"] + facts["mean"]
        np.testing.assert_allclose(served.serve_ready(ready)["image"], np.clip(255 * shares, 0, 255), atol=0.1)
        return
    np.testing.assert_array_equal(served.serve_ready(ready)["class"], outputs.argmax(-1))
    if facts["task"] == "segmentation" and len(facts["image_shape"]) == 3:
        pixels = RNG.integers(0, 256, (1, 30, 50, 3)).astype(np.uint8)
        answer = served.serve(pixels)
        assert answer["probabilities"].shape == (1, 30, 50, 2)
        (file,) = served.serve_files([tf.io.encode_png(pixels[0])])["mask"].numpy()
        np.testing.assert_array_equal(tf.io.decode_png(file)[..., 0], answer["class"][0])
