import json

import numpy as np
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix

import pipelines
from tfcnn.evaluate import evaluate


def test_numbers_are_those_of_scikit_learn(trained):
    result = evaluate(trained, "validation")
    data, model = pipelines.load("digits"), trained.load_model()
    labels = np.concatenate([targets.numpy().argmax(-1) for _, targets in data.evaluation("validation")])
    predicted = model.predict(data.evaluation("validation"), verbose=0).argmax(-1)
    np.testing.assert_array_equal(result["confusion"], confusion_matrix(labels, predicted, labels=range(10)))
    assert result["accuracy"] == accuracy_score(labels, predicted)
    assert result["examples"] == 180


def test_the_command(trained, run_command):
    done = run_command("tfcnn.evaluate", trained.path)
    assert (done.returncode, done.stderr) == (0, "")
    accuracy = trained.read_metrics()["test_accuracy"]
    assert f"accuracy  {accuracy:.2%} of 360 test images" in done.stdout
    written = json.loads((trained.path / "evaluation-test.json").read_text())
    assert np.trace(written["confusion"]) == round(accuracy * 360)
    lines = done.stdout.split("\n")
    assert lines[0].split() == ["true", "\\", "predicted", *map(str, range(10))]
    assert [int(n.replace(".", "0")) for n in lines[4].split()[1:]] == written["confusion"][3]
    with Image.open(trained.path / "confusion-test.png") as picture:
        assert min(picture.size) > 400


def test_a_run_may_be_moved(trained, tmp_path, run_command):
    moved = tmp_path / "elsewhere"
    trained.path.rename(moved)
    try:
        assert run_command("tfcnn.evaluate", moved, "--split", "validation").returncode == 0
    finally:
        moved.rename(trained.path)
