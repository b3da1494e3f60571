import csv
import io
import json
import os
import re

import keras
import pytest

from tfcnn import describe
from tfcnn.errors import BadInput


@pytest.fixture
def run_describe(monkeypatch, capsys):
    """A function that runs the command in this process and returns its output; stderr stays empty."""

    def run(*flags):
        keras.utils.clear_session()  # layers are numbered from the start, as in a new process
        monkeypatch.setattr("sys.argv", ["describe", *map(str, flags)])
        describe.main()
        output = capsys.readouterr()
        assert output.err == ""
        return output.out

    return run


@pytest.mark.parametrize(
    ("flags", "parameters", "macs"),
    [
        ("--arch mobilenet", 4_253_864, 568_740_352),
        ("--arch mobilenet --width 0.5", 1_342_536, 149_497_088),
        ("--arch vgg16", 138_357_544, 15_470_264_320),
        ("--arch lenet5 --arch-args form=paper", 60_850, 326_520),
        ("--arch resnet20 --channels 3 --classes 10 --image-size 32", 271_098, 40_551_040),
    ],
)
def test_totals(flags, parameters, macs, run_describe):
    assert re.search(rf"^total +{parameters:,} +{macs:,}$", run_describe(*flags.split()), re.MULTILINE)


def test_channels_and_classes(run_describe):
    text = run_describe("--arch", "lenet5", "--channels", "3", "--classes", "7", "--image-size", "40")
    assert "for an image of 40x40x3" in text
    assert re.search(r"logits +Dense +7 ", text)


@pytest.mark.parametrize(
    ("flags", "times"),
    [
        ("--arch resnet18", 0),
        ("--arch resnet18 --image-size 63", 1),
        ("--arch resnet18 --image-size 63 --arch-args stem=imagenet", 0),
        ("--compare resnet18 resnet20 lenet5 --image-size 32", 1),
    ],
)
def test_a_stem_chosen_by_the_size_of_the_images_is_reported(flags, times, run_describe):
    text = run_describe(*flags.split())
    assert text.count("stem cifar, which keeps the resolution of small images") == times


def test_receptive_fields(run_describe):
    """VGG-16: the field grows by 2 strides a convolution and 1 a pooling; published for the last map: 212."""
    text = run_describe("--arch", "vgg16")
    fields = re.findall(r"^(?:stage\d|head)_(?:conv|max_pool)\S+ +\S+ +\S+ +\S+ +\S+ +(\d+)$", text, re.MULTILINE)
    assert list(map(int, fields)) == [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]
    assert re.search(r"^logits .* whole$", text, re.MULTILINE)
    assert "receptive field of the last map: 212 pixels, stride 32" in text


def test_memory(run_describe):
    text = run_describe("--arch", "vgg16", "--batch-size", "64")
    weights = 138_357_544 * 4 / 2**20
    line = next(line for line in text.split("\n") if line.startswith("memory for a batch of 64"))
    assert f"weights {weights:,.1f} + gradients {weights:,.1f} + AdamW {2 * weights:,.1f}" in line


def test_gradients_that_workers_exchange(run_describe):
    """VGG-16 has no batch norm: a float32 gradient for each of its published parameters."""
    size = 138_357_544 * 4
    line = next(line for line in run_describe("--arch", "vgg16").split("\n") if line.startswith("gradients of a step"))
    assert f"{size / 2**20:,.1f} MiB" in line
    assert line.endswith(f"2 (N - 1) / N of it: {size / 2**20:,.1f} of 2, {2 * 7 / 8 * size / 2**20:,.1f} of 8")


@pytest.mark.slow
def test_stdout_is_json_alone(run_command, run_describe):
    flags = ("--arch", "lenet5", "--format", "json")
    process = run_command("tfcnn.describe", *flags)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == run_describe(*flags)


@pytest.mark.slow
def test_a_run_is_described_as_its_network(finished_run, run_describe):
    of_network = run_describe("--arch", "lenet5", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(run_describe(finished_run.path, "--format", "csv"))))
    expected = list(csv.DictReader(io.StringIO(of_network)))
    assert [row["parameters"] for row in rows] == [row["parameters"] for row in expected]
    with pytest.raises(BadInput, match="has its network: leave --arch out"):
        run_describe(finished_run.path, "--arch", "lenet5")


def test_json(run_describe):
    facts = json.loads(run_describe("--arch", "lenet5", "--format", "json"))
    assert (facts["parameters"], facts["macs"]) == (61_706, 416_520)
    assert facts["field"] == {"size": [16, 16], "stride": [4, 4], "padding": [0, 0]}
    assert facts["layers"][-1]["field"]["size"] == ["whole", "whole"]
    assert facts["layers"][0]["output"] == [28, 28, 6]


def test_csv_has_the_numbers_of_the_json(run_describe):
    rows = list(csv.DictReader(io.StringIO(run_describe("--arch", "lenet5", "--format", "csv"))))
    layers = json.loads(run_describe("--arch", "lenet5", "--format", "json"))["layers"]
    assert [row["layer"] for row in rows] == [layer["layer"] for layer in layers]
    assert sum(int(row["macs"]) for row in rows) == sum(layer["macs"] for layer in layers) == 416_520
    assert [row["field"] for row in rows] == ["5", "6", "14", "16"] + ["whole"] * 4


def test_text_has_the_layers_of_the_csv(run_describe):
    rows = csv.DictReader(io.StringIO(run_describe("--arch", "lenet5", "--format", "csv")))
    text = run_describe("--arch", "lenet5")
    assert all(row["layer"] in text for row in rows)


def test_markdown_is_a_table(run_describe):
    text = run_describe("--arch", "lenet5", "--format", "markdown")
    lines = text.split("\n\n")[0].split("\n")
    assert {line.count("|") for line in lines} == {7}
    assert lines[1] == "| --- | --- | --- | ---: | ---: | ---: |"
    assert lines[-1] == "| **total** |  |  | **61,706** | **416,520** |  |"


ARCHS = ["vgg16", "resnet50", "mobilenet"]
COMPARISON = ("--compare", *ARCHS, "--batch-size", "1")


def test_several_networks_as_json(run_describe):
    networks = json.loads(run_describe(*COMPARISON, "--format", "json"))
    assert [network["arch"] for network in networks] == ARCHS
    assert [network["macs"] for network in networks] == [15_470_264_320, 4_089_184_256, 568_740_352]
    assert [network["field"]["size"] for network in networks] == [[212] * 2, [427] * 2, [315] * 2]


def test_several_networks_as_text(run_describe):
    lines = run_describe(*COMPARISON).rstrip("\n").split("\n")
    assert [line.split()[0] for line in lines[2:]] == ARCHS
    assert lines[2].split()[-1] == "212"


def test_several_networks_as_csv(run_describe):
    networks = json.loads(run_describe(*COMPARISON, "--format", "json"))
    rows = list(csv.DictReader(io.StringIO(run_describe(*COMPARISON, "--format", "csv"))))
    assert [int(row["training_bytes"]) for row in rows] == [network["memory"]["training"] for network in networks]
    assert [int(row["gradient_bytes"]) for row in rows] == [network["gradient_bytes"] for network in networks]
    assert [row["batch_size"] for row in rows] == ["1"] * 3


def test_the_picture(run_describe, tmp_path):
    path = tmp_path / "field.png"
    text = run_describe("--arch", "lenet5", "--field", path, "--layer", "stage2")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert re.search(r"^effective receptive field of stage2: \d+ pixels a side", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("stage9", r"did you mean stage.*\(--layer\)"),
        ("logits", "logits has no positions: give a layer before global pooling or Flatten"),
    ],
)
def test_a_layer_that_cannot_be_drawn(layer, message, run_describe, tmp_path):
    with pytest.raises(BadInput, match=message):
        run_describe("--arch", "lenet5", "--field", tmp_path / "field.png", "--layer", layer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--format jsn", "unknown format 'jsn'; did you mean json? (--format)"),
        ("--batch-size 0", "--batch-size must be a whole number at least 1, got '0'"),
        ("--compare vgg16 mobilnet", "did you mean mobilenet"),
        ("--compare vgg16 lenet5 --image-size 20", "too small for vgg16"),
        ("--arch m5 --image-size 100", "sounds of 100 are too small for m5: it needs 1024 samples (--image-size)"),
        ("--arch voxnet --image-size 9", "volumes of 9x9x9 are too small for voxnet: it needs 16 voxels a side"),
        ("--arch vgg16 --compare lenet5", "give --arch or --compare, not both"),
        ("--compare lenet5 --field a.png", "--field draws one network"),
        ("--layer conv1", "give --field FILE.png"),
        ("--field a.jpg", "--field must be a .png file in a folder that exists, got 'a.jpg'"),
        ("--field nowhere/a.png", "--field must be a .png file in a folder that exists"),
    ],
)
def test_bad_input_is_answered_in_one_line_without_tensorflow(flags, message, run_command, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise RuntimeError('TensorFlow was imported')")
    path = f"{tmp_path}{os.pathsep}{os.getcwd()}"
    process = run_command("tfcnn.describe", *flags.split(), cwd=tmp_path, PYTHONPATH=path)
    assert (process.returncode, process.stdout, process.stderr.count("\n")) == (2, "", 1)
    assert message in process.stderr
