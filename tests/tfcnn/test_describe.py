import csv
import io
import json
import os
import re

import keras
import pytest

from tfcnn import describe
from tfcnn.errors import BadInput
from tfcnn.tables import as_text


@pytest.fixture
def told(monkeypatch, capsys):
    """What the command prints for some flags, in this process; nothing on stderr."""

    def told(*flags):
        keras.utils.clear_session()  # layers are numbered from the start, as in a process of its own
        monkeypatch.setattr("sys.argv", ["describe", *map(str, flags)])
        describe.main()
        output = capsys.readouterr()
        assert output.err == ""
        return output.out

    return told


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
def test_totals(flags, parameters, macs, told):
    assert re.search(rf"^total +{parameters:,} +{macs:,}$", told(*flags.split()), re.MULTILINE)


def test_channels_and_classes(told):
    text = told("--arch", "lenet5", "--channels", "3", "--classes", "7", "--image-size", "40")
    assert "for an image of 40x40x3" in text
    assert re.search(r"logits +Dense +7 ", text)


def test_a_stem_that_the_size_of_the_images_chose_is_said(told):
    for flags, said in (
        (("--arch", "resnet18"), 0),
        (("--arch", "resnet18", "--image-size", "63"), 1),
        (("--arch", "resnet18", "--image-size", "63", "--arch-args", "stem=imagenet"), 0),
        (("--compare", "resnet18", "resnet20", "lenet5", "--image-size", "32"), 1),
    ):
        assert told(*flags).count("stem cifar, which keeps the resolution of small images") == said


def test_receptive_fields_and_memory(told):
    """VGG-16: the field grows by 2 strides a convolution and 1 a pooling; published for the last map: 212."""
    text = told("--arch", "vgg16", "--batch-size", "64")
    fields = re.findall(r"^(?:conv2d|max_pooling2d)\S* +\S+ +\S+ +\S+ +\S+ +(\d+)$", text, re.MULTILINE)
    assert list(map(int, fields)) == [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]
    assert re.search(r"^logits .* whole$", text, re.MULTILINE)
    assert "receptive field of the last map: 212 pixels, stride 32" in text
    weights = 138_357_544 * 4 / 2**20
    line = next(line for line in text.split("\n") if line.startswith("memory for a batch of 64"))
    assert f"weights {weights:,.1f} + gradients {weights:,.1f} + AdamW {2 * weights:,.1f}" in line


def test_csv_and_json_hold_the_same_numbers(run_command, told):
    """Each on stdout alone, and nothing else there."""
    done = run_command("tfcnn.describe", "--arch", "lenet5", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    texts = {form: told("--arch", "lenet5", "--format", form) for form in ("csv", "json", "text")}
    assert texts["json"] == done.stdout
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    facts = json.loads(texts["json"])
    assert (facts["parameters"], facts["macs"]) == (61_706, 416_520)
    assert facts["field"] == {"size": [16, 16], "stride": [4, 4], "padding": [0, 0]}
    assert [row["layer"] for row in rows] == [layer["layer"] for layer in facts["layers"]]
    assert sum(int(row["macs"]) for row in rows) == sum(layer["macs"] for layer in facts["layers"]) == 416_520
    assert [row["field"] for row in rows] == ["5", "6", "14", "16"] + ["whole"] * 4
    assert facts["layers"][-1]["field"]["size"] == ["whole", "whole"]
    assert facts["layers"][0]["output"] == [28, 28, 6]
    assert all(row["layer"] in texts["text"] for row in rows)


def test_markdown_is_a_table(told):
    text = told("--arch", "lenet5", "--format", "markdown")
    lines = text.split("\n\n")[0].split("\n")
    assert {line.count("|") for line in lines} == {7}
    assert lines[1] == "| --- | --- | --- | ---: | ---: | ---: |"
    assert lines[-1] == "| **total** |  |  | **61,706** | **416,520** |  |"


def test_networks_side_by_side(told):
    names = ("vgg16", "resnet50", "mobilenet")
    flags = ("--compare", *names, "--batch-size", "1")
    facts = json.loads(told(*flags, "--format", "json"))
    assert [one["arch"] for one in facts] == list(names)
    assert [one["macs"] for one in facts] == [15_470_264_320, 4_089_184_256, 568_740_352]
    assert [one["field"]["size"] for one in facts] == [[212] * 2, [427] * 2, [315] * 2]
    lines = told(*flags).rstrip("\n").split("\n")
    assert [line.split()[0] for line in lines[2:]] == list(names)
    assert lines[2].split()[-1] == "212"
    rows = list(csv.DictReader(io.StringIO(told(*flags, "--format", "csv"))))
    assert [int(row["training_bytes"]) for row in rows] == [one["memory"]["training"] for one in facts]
    assert [row["batch_size"] for row in rows] == ["1"] * 3


def test_the_picture(told, tmp_path):
    path = tmp_path / "field.png"
    flags = ("--arch", "lenet5", "--field", path, "--layer")
    text = told(*flags, "stage2")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert re.search(r"^effective receptive field of stage2: \d+ pixels a side", text, re.MULTILINE)
    with pytest.raises(BadInput, match=r"did you mean stage.*\(--layer\)"):
        told(*flags, "stage9")
    with pytest.raises(BadInput, match="logits has no positions: give a layer before global pooling or Flatten"):
        told(*flags, "logits")


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
    done = run_command("tfcnn.describe", *flags.split(), cwd=tmp_path, PYTHONPATH=path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_aligned():
    text = as_text(("a", "number"), [("long", "1"), ("b", "22")], ("all", "23"), words=[0])
    assert text == "\n".join(
        ["a     number", "------------", "long       1", "b         22", "------------", "all       23"]
    )
