"""The main job and the run directory that it leaves."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import pipelines
from tfcnn import train
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.export import savedmodel
from tfcnn.run_directory import RunDirectory

pytestmark = pytest.mark.slow

FILES = {
    "README.md",
    "config.json",
    "history.csv",
    "metrics.json",
    "files.json",
    "curves.png",
    "train.log",
    "checkpoints",
    "model.keras",
    "saved_model",
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def main_job(tmp_path_factory):
    """`python -m tfcnn.train --arch mobilenet` for five of its twelve epochs, in an empty folder: process and run."""
    folder = tmp_path_factory.mktemp("main")
    process = subprocess.run(
        [sys.executable, "-m", "tfcnn.train", "--arch", "mobilenet", "--epochs", "5"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.returncode == 0, process.stderr
    (path,) = (folder / "runs").iterdir()
    return process, RunDirectory(path)


def test_the_main_job_leaves_a_complete_run(main_job):
    process, run = main_job
    assert {file.name for file in run.path.iterdir()} == FILES
    assert f"run directory      runs/{run.path.name}" in process.stdout
    assert process.stderr == ""


def test_the_main_job_learns(main_job):
    process, run = main_job
    accuracy = float(re.search(r"test accuracy +([\d.]+)%", process.stdout).group(1)) / 100
    assert accuracy >= 0.95  # twelve epochs of three seeds have a mean of 99.8 %: benchmarks/digits.py
    assert run.read_metrics()["test_accuracy"] == pytest.approx(accuracy, abs=1e-4)


def test_the_main_job_measures_its_speed(main_job):
    process, run = main_job
    assert run.read_metrics()["images_per_second"] > 0
    assert re.search(r"images per second +[\d,]+ in training; ", process.stdout)


def test_the_main_job_names_the_stem_that_it_chose(main_job):
    process, run = main_job
    assert "stem       cifar" in process.stdout
    assert run.read_config()["arguments"]["stem"] == "cifar"


def test_the_main_job_shows_plain_lines_of_progress(main_job):
    process, _ = main_job
    lines = [line for line in process.stdout.splitlines() if line.startswith("epoch")]
    assert len(lines) >= 5
    pattern = r"epoch +\d/5  step \d+/39  loss [\d.]+  accuracy [\d.]+.*  [\d,]+ images/s  [\d:]+( s)? left"
    assert all(re.fullmatch(pattern, line) for line in lines)
    assert not {"\r", "\x1b", "\b"} & set(process.stdout)


def test_lenet5_learns(finished_run):
    assert finished_run.read_metrics()["test_accuracy"] >= 0.97


@pytest.mark.usefixtures("no_export")
def test_defaults_learn_without_batch_norm(tmp_path):
    run = train.run(Config(arch="vgg11", width=0.25, epochs=4, out=str(tmp_path / "run")))
    assert run.read_metrics()["test_accuracy"] >= 0.9


def test_files_of_the_run_directory(finished_run):
    assert {file.name for file in finished_run.path.iterdir()} >= FILES
    assert not [file for file in finished_run.path.rglob(".*")]


def test_config_json(finished_run):
    config = finished_run.read_config()
    assert Config(**config["config"]).arch == "lenet5"
    assert config["data"]["sizes"] == {"train": 1257, "validation": 180, "test": 360}
    assert config["recipe"]["precision"] == "float32"


def test_history_csv(finished_run):
    rows = list(csv.DictReader(finished_run.history.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 9)]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_metrics_json(finished_run):
    rows = finished_run.read_history()
    metrics = finished_run.read_metrics()
    best = min(rows, key=lambda row: row["val_loss"])
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["val_accuracy"] == best["val_accuracy"]
    assert metrics["seconds"] > sum(row["seconds"] for row in rows)
    assert {"parameters", "macs", "device", "command", "commit", "started", "versions"} <= set(metrics)


def test_curves_png(finished_run):
    with Image.open(finished_run.curves) as picture:
        assert picture.width > 800


def test_the_model_kept_is_the_one_that_was_measured(finished_run):
    model = finished_run.load_model()
    data = pipelines.load("digits")
    predicted = model.predict(data.evaluation("test"), verbose=0).argmax(-1)
    labels = np.concatenate([targets.numpy().argmax(-1) for _, targets in data.evaluation("test")])
    assert (predicted == labels).mean() == pytest.approx(finished_run.read_metrics()["test_accuracy"])


SMALL = {"arch": "lenet5", "width": 0.25, "image_size": 16}


@pytest.mark.usefixtures("no_export")
def test_the_same_seed_gives_the_same_history(tmp_path):
    def losses(name, seed):
        run = train.run(Config(**SMALL, epochs=1, seed=seed, out=str(tmp_path / name)))
        return [(row["loss"], row["val_loss"]) for row in run.read_history()]

    first = losses("a", 1)
    np.testing.assert_allclose(losses("b", 1), first, rtol=1e-4)
    assert not np.allclose(losses("c", 2), first, rtol=1e-2)


@pytest.mark.usefixtures("no_export")
def test_early_stop(tmp_path):
    config = Config(**SMALL, epochs=30, lr=1e-12, warmup_epochs=0, early_stop=2, out=str(tmp_path / "run"))
    epochs = len(train.run(config).read_history())
    assert 3 <= epochs < 30


@pytest.fixture(scope="module", params=["mixed_float16", "mixed_bfloat16"])
def mixed_run(request, tmp_path_factory):
    """A precision, and LeNet-5 on digits for three epochs in it. A CPU takes ten times as long in float16."""
    config = Config(
        arch="lenet5",
        image_size=16,
        epochs=3,
        precision=request.param,
        out=str(tmp_path_factory.mktemp(request.param) / "run"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(savedmodel, "export_savedmodel", lambda *arguments: None)
        return request.param, train.run(config)


def test_precision_by_flag(mixed_run):
    precision, run = mixed_run
    assert run.read_config()["recipe"]["precision"] == precision
    assert run.load_model().layers[2].compute_dtype == precision.removeprefix("mixed_")


def test_a_run_leaves_the_policy_of_keras_alone(mixed_run):
    assert keras.config.dtype_policy().name == "float32"


def test_mixed_precision_learns(mixed_run):
    """`python -m benchmarks.digits --precisions` compares the accuracies over seeds."""
    _, run = mixed_run
    assert run.read_metrics()["test_accuracy"] >= 0.7  # chance is 0.1


@pytest.mark.usefixtures("no_export")
def test_steps_compiled_by_xla_are_those_of_fused_kernels(tmp_path):
    small = SMALL | {"epochs": 1, "batch_size": 128, "aa": "none"}
    runs = [train.run(Config(**small, jit=jit, out=str(tmp_path / jit))) for jit in ("off", "on")]
    assert [run.read_config()["recipe"]["jit"] for run in runs] == [False, True]
    losses = [run.read_history()[0]["loss"] for run in runs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_loss_that_is_not_finite(tmp_path):
    config = Config(arch="lenet5", epochs=3, opt="sgd", lr=100, warmup_epochs=0, out=str(tmp_path / "run"))
    with pytest.raises(TrainingFailed, match=r"the loss in step \d+ of epoch .* try --lr 10, a tenth"):
        train.run(config)
    assert TrainingFailed.exit_code == 3


def test_resuming_a_finished_run_changes_nothing(finished_run, call_command):
    before = finished_run.metrics.read_bytes()
    process = call_command("tfcnn.train", "--resume", "--out", finished_run.path)
    assert (process.returncode, process.stderr) == (0, "")
    assert "is finished" in process.stdout
    assert finished_run.metrics.read_bytes() == before


def test_resume_refuses_another_configuration(finished_run):
    with pytest.raises(BadInput, match="started with --epochs 8, not 9"):
        train.restore_config({"resume": True, "out": str(finished_run.path), "epochs": "9"})


def test_resume_needs_a_run_directory(finished_run):
    with pytest.raises(BadInput, match="not a run directory"):
        train.restore_config({"resume": True, "out": str(finished_run.path / "nowhere")})
