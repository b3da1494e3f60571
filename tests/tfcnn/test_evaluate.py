import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix

import pipelines
from tfcnn.evaluate import evaluate

pytestmark = pytest.mark.slow


def test_the_numbers_are_those_of_scikit_learn(run_copy):
    result = evaluate(run_copy, "validation")
    data = pipelines.load("digits")
    labels = np.concatenate([targets.numpy().argmax(-1) for _, targets in data.evaluation("validation")])
    predicted = run_copy.load_model().predict(data.evaluation("validation"), verbose=0).argmax(-1)
    np.testing.assert_array_equal(result["confusion"], confusion_matrix(labels, predicted, labels=range(10)))
    assert result["accuracy"] == accuracy_score(labels, predicted)
    assert result["examples"] == 180


def test_the_command(run_copy, run_command):
    done = run_command("tfcnn.evaluate", run_copy.path)
    assert (done.returncode, done.stderr) == (0, "")
    accuracy = run_copy.read_metrics()["test_accuracy"]
    assert f"accuracy  {accuracy:.2%} of 360 test images" in done.stdout
    written = json.loads((run_copy.path / "evaluation-test.json").read_text())
    assert np.trace(written["confusion"]) == round(accuracy * 360)
    lines = done.stdout.split("\n")
    assert lines[0].split() == ["true", "\\", "predicted", *map(str, range(10))]
    assert [int(n.replace(".", "0")) for n in lines[4].split()[1:]] == written["confusion"][3]
    with Image.open(run_copy.path / "confusion-test.png") as picture:
        assert min(picture.size) > 400


def test_a_run_may_be_moved(run_copy, tmp_path, run_command):
    moved = run_copy.path.rename(tmp_path / "elsewhere")
    assert run_command("tfcnn.evaluate", moved, "--split", "validation").returncode == 0
