"""The flags of the data, from Config to the run directory."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import pipelines
from tfcnn import evaluate, train
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training.data import load_data, standardisation_of
from tfcnn.training.fit import build_model
from tfcnn.training.recipes import resolve

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    """Dark and light pictures in two folders, and two files that are no pictures."""
    root = tmp_path / "shades"
    for label, shade in (("dark", 30), ("light", 220)):
        (root / label).mkdir(parents=True)
        for i in range(20):
            pixels = RNG.integers(shade - 30, shade + 30, (40, 48), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{i:02}.png")
    (root / "dark" / "empty.jpg").touch()
    (root / "light" / "page.png").write_text("<html>not found</html>")
    (root / "light" / "clip.wav").write_bytes(b"RIFF")
    return root


@pytest.fixture
def flags(folder, tmp_path):
    run = str(tmp_path / "run")
    return {"arch": "lenet5", "dataset": str(folder), "data_dir": str(tmp_path), "image_size": 32, "out": run}


def test_the_flags_of_augmentation_reach_the_data():
    flags = {"dataset": "digits", "aa": "rand-m5-n3-mstd0.5", "vflip": 0.25, "scale": "0.08,1", "ratio": "0.5,2"}
    augmentation = load_data(resolve({"arch": "lenet5"} | flags)).augmentation
    assert (augmentation.randaugment, augmentation.vflip) == ((3, 5.0, 0.5), 0.25)
    assert (augmentation.scale, augmentation.ratio) == ((0.08, 1.0), (0.5, 2.0))


def test_data_of_another_number_of_classes_are_refused():
    flags = {"arch": "lenet5", "dataset": "digits"}
    assert load_data(resolve(flags | {"num_classes": "10"})).num_classes == 10
    with pytest.raises(BadInput, match="'digits' has 10 classes, not 9: leave --num-classes out"):
        load_data(resolve(flags | {"num_classes": "9"}))


def test_a_bad_file_stops_the_run_before_anything_is_written(flags, tmp_path):
    with pytest.raises(pipelines.BadData) as error:
        train.run(resolve(flags))
    message = str(error.value)
    assert "empty.jpg" in message
    assert "dark" in message
    assert "on_bad_image" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_bad_files_are_skipped_and_listed(flags, folder, tmp_path, capsys):
    more = {"on_bad_image": "skip", "epochs": 4, "batch_size": 8, "aa": "rand", "mixup": 0.2}
    directory = train.run(resolve(flags | more))
    output = capsys.readouterr().out
    assert "left out   2 files that cannot be used: see bad_files.csv" in output
    assert "notes      1 files without an image suffix, left out" in output
    assert "40 files read from the disk" in output
    with (directory.path / "bad_files.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["class"], row["path"].rsplit("/", 1)[1]) for row in rows] == [
        ("dark", "empty.jpg"),
        ("light", "page.png"),
    ]
    facts = directory.read_config()["data"]
    assert (facts["class_names"], facts["bad"], facts["name"]) == (["dark", "light"], 2, str(folder))
    assert facts["augmentation"]["randaugment"] == [2, 9.0]
    assert directory.read_metrics()["test_accuracy"] == 1.0
    assert evaluate.evaluate(directory, "validation", str(tmp_path))["accuracy"] == 1.0


def test_too_many_bad_files(flags):
    with pytest.raises(pipelines.BadData, match=r"2 of 42 .*max_bad"):
        train.run(resolve(flags | {"on_bad_image": "skip", "max_bad": 0.01}))


def test_every_flag_of_augmentation_reaches_the_data(flags):
    augmentation = {"color_jitter": 0.3, "reprob": 0.2, "mixup": 0.4, "cutmix": 1.0, "crop_margin": 0.25, "hflip": 0.1}
    data = load_data(Config(**flags | augmentation | {"on_bad_image": "skip", "data_memory": 0, "batch_size": 4}))
    a = data.augmentation
    assert (a.color_jitter, a.erase, a.mixup, a.cutmix, a.margin, a.hflip) == (0.3, 0.2, 0.4, 1.0, 0.25, 0.1)
    assert a.scale == (1.0, 1.0)
    assert "kept" not in data.storage


def test_without_augmentation_nothing_is_mirrored(flags):
    config = Config(**flags | {"on_bad_image": "skip", "aa": "none", "batch_size": 4})
    assert load_data(config).augmentation.hflip == 0


def test_mean_and_std_of_the_command_line_decide(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"conv1.weight": np.zeros(1)})
    config = Config(arch="resnet18", weights=str(tmp_path / "weights.npz"), mean="0.1", std="0.2,0.3,0.4")
    mean, std, _, source = standardisation_of(config)
    assert (mean, std, source) == ((0.1, 0.1, 0.1), (0.2, 0.3, 0.4), "--mean and --std")


@pytest.mark.slow
def test_a_resumed_run_keeps_its_standardisation_without_the_file_of_weights(finished_run):
    facts = finished_run.read_config()
    config = Config(**facts["config"] | {"resume": True, "out": str(finished_run.path), "weights": "gone.safetensors"})
    assert standardisation_of(config).mean == tuple(facts["data"]["mean"])


@pytest.mark.slow
def test_a_resumed_run_keeps_its_form_without_the_file_of_weights(run_copy):
    facts = json.loads(run_copy.config.read_text())
    facts["arguments"]["form"] = "paper"  # as weights from elsewhere ask for
    facts["config"]["weights"] = "gone.safetensors"
    run_copy.config.write_text(json.dumps(facts))
    run_copy.records.write(run_copy.config)
    config = Config(**facts["config"] | {"resume": True, "out": str(run_copy.path)})
    _, resumed = build_model(config, load_data(config))
    assert resumed["arguments"]["form"] == "paper"
