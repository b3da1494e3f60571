import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix

import pipelines
from tests.pipelines.files import encode
from tfcnn.errors import BadInput
from tfcnn.evaluate import evaluate, evaluation_files
from tfcnn.run_directory import RunDirectory

pytestmark = pytest.mark.slow


def test_the_numbers_are_those_of_scikit_learn(run_copy):
    result = evaluate(run_copy, "validation")
    data = pipelines.load("digits")
    labels = np.concatenate([targets.numpy().argmax(-1) for _, targets in data.evaluation("validation")])
    predicted = run_copy.load_model().predict(data.evaluation("validation"), verbose=0).argmax(-1)
    np.testing.assert_array_equal(result["confusion"], confusion_matrix(labels, predicted, labels=range(10)))
    assert result["accuracy"] == accuracy_score(labels, predicted)
    assert result["examples"] == 180


def test_the_command(run_copy, call_command):
    process = call_command("tfcnn.evaluate", run_copy.path)
    assert (process.returncode, process.stderr) == (0, "")
    accuracy = run_copy.read_metrics()["test_accuracy"]
    assert f"accuracy  {accuracy:.2%} of 360 test images" in process.stdout
    written = json.loads((run_copy.path / "evaluation-test.json").read_text())
    assert np.trace(written["confusion"]) == round(accuracy * 360)
    lines = process.stdout.split("\n")
    assert lines[0].split() == ["true", "\\", "predicted", *map(str, range(10))]
    assert [int(n.replace(".", "0")) for n in lines[4].split()[1:]] == written["confusion"][3]
    rows = list(csv.DictReader((run_copy.path / "classes-test.csv").read_text().splitlines()))
    assert {row["class"]: float(row["recall"]) for row in rows} == written["per_class"]
    scores = dict(csv.reader((run_copy.path / "evaluation-test.csv").read_text().splitlines()))
    assert float(scores["ece"]) == written["ece"]
    with Image.open(run_copy.path / "confusion-test.png") as picture:
        assert min(picture.size) > 400


def test_a_run_may_be_moved(run_copy, tmp_path, call_command):
    moved = run_copy.path.rename(tmp_path / "elsewhere")
    assert call_command("tfcnn.evaluate", moved, "--split", "validation").returncode == 0


CLASSES = ("dark", "green", "red")


def write_images(root, classes=CLASSES, count=20, seed=0):
    """Images that a small network learns at once: one colour a class, on noise."""
    random = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.integers(0, 40, (32, 32, 3)).astype(np.uint8)
            if name in ("red", "green"):
                pixels[8:24, 8:24, ("red", "green").index(name)] = 220
            (root / name / f"{seed}-{number:02}.png").write_bytes(encode(pixels, "PNG"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    from tfcnn import train
    from tfcnn.config import Config

    root = tmp_path_factory.mktemp("trained")
    write_images(root / "data")
    options = {"image_size": 32, "epochs": 6, "batch_size": 8, "aa": "none"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfcnn.export.savedmodel.export_savedmodel", lambda *arguments: None)
        train.run(Config(arch="lenet5", dataset=str(root / "data"), out=str(root / "run"), **options))
    return root


@pytest.fixture
def run(workspace, tmp_path):
    """A copy of the run, whose own data are a copy, too."""
    shutil.copytree(workspace / "data", tmp_path / "data")
    copy = RunDirectory(shutil.copytree(workspace / "run", tmp_path / "run"))
    facts = copy.read_config()
    facts["data"]["name"] = str(tmp_path / "data")
    copy.config.write_text(json.dumps(facts))
    copy.records.path.unlink()  # config.json is changed by hand
    return copy


OWN_FILES = {
    "evaluation-test.json",
    "evaluation-test.csv",
    "classes-test.csv",
    "confusion-test.csv",
    "reliability-test.csv",
    "confusion-test.png",
    "reliability-test.png",
    "ranked-test.png",
    "mistakes-test.png",
}


def files(run):
    return {path.name: path.read_bytes() for path in run.path.glob("*-test*")}


def data_of(run):
    return Path(run.read_config()["data"]["name"])


def test_data_that_have_not_changed(run):
    assert evaluate(run)["accuracy"] == 1
    assert set(files(run)) == OWN_FILES


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: shutil.copytree(data / "red", data / "a class"), "new classes: 'a class'; 60 examples then, 80"),
        (lambda data: (data / "red" / "0-00.png").unlink(), "60 examples then, 59 now"),
        (lambda data: (data / "red").rename(data / "rouge"), "new classes: 'rouge'; classes gone: 'red'"),
        (lambda data: (data / "red" / "0-00.png").rename(data / "dark" / "x.png"), "fingerprint"),
    ],
)
def test_changed_data_are_refused_and_earlier_results_stay(run, change, says):
    evaluate(run)
    before = files(run)
    change(data_of(run))
    with pytest.raises(BadInput, match=says) as refusal:
        evaluate(run)
    assert f"--dataset {data_of(run)}" in str(refusal.value)
    assert files(run) == before


def test_data_that_have_moved(run):
    elsewhere = data_of(run).rename(run.path.parent / "elsewhere")
    with pytest.raises(pipelines.BadData, match=r"no such folder.*\(dataset\)"):
        evaluate(run)
    assert evaluate(run, dataset=str(elsewhere))["accuracy"] == 1
    assert set(files(run)) == OWN_FILES


def test_classes_of_other_data_are_matched_by_name(run, tmp_path):
    """Two of the three classes, so that "red" is number 1 there and 2 in the run."""
    evaluate(run)
    own = files(run)
    write_images(tmp_path / "new photos", ("dark", "red"), seed=1)
    result = evaluate(run, dataset=str(tmp_path / "new photos"))
    assert result["accuracy"] == 1
    assert result["class_names"] == list(CLASSES)
    assert result["per_class"] == {"dark": 1, "green": None, "red": 1}
    assert result["confusion"][1] == [0, 0, 0]
    numbers, *pictures = evaluation_files(run, result)
    assert numbers.name == f"evaluation-test-new-photos-{result['fingerprint'][:8]}.json"
    assert json.loads(numbers.read_text()) == result
    assert all(picture.is_file() for picture in pictures)
    assert {name: content for name, content in files(run).items() if name in own} == own


def test_all_examples_of_other_data(run, tmp_path):
    write_images(tmp_path / "new", ("dark", "red"), seed=1)
    result = evaluate(run, split="all", dataset=str(tmp_path / "new"))
    assert (result["examples"], np.sum(result["confusion"])) == (40, 40)
    assert evaluation_files(run, result)[0].name.startswith("evaluation-all-new-")
    with pytest.raises(BadInput, match="the run's own data has the images it was trained on"):
        evaluate(run, split="all")


def test_changed_data_are_evaluated_if_named(run):
    write_images(data_of(run), seed=1)
    result = evaluate(run, dataset=str(data_of(run)))
    assert result["accuracy"] == 1
    assert set(files(run)) == {path.name for path in evaluation_files(run, result)}


def test_a_class_that_the_run_lacks(run, tmp_path):
    write_images(tmp_path / "other", ("dark", "blue"))
    with pytest.raises(BadInput, match=r"has class 'blue', but the run knows 'dark', 'green', 'red' \(--dataset\)"):
        evaluate(run, dataset=str(tmp_path / "other"))
    assert not files(run)


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (
            np.resize(np.arange(250), (30, 32, 32, 1)).astype(np.uint8),
            r"are 32x32x1, but the run's network takes 32x32x3",
        ),
        (np.resize([0, 1], (30, 32, 32, 3)).astype(np.float32), r"lie in 0 \.\.\. 1, but .* in 0 \.\.\. 255"),
    ],
)
def test_inputs_of_another_shape_or_range(run, tmp_path, pixels, says):
    np.savez(tmp_path / "other.npz", x=pixels, y=np.array(CLASSES)[np.arange(30) % 3])
    with pytest.raises((BadInput, pipelines.BadData), match=says):
        evaluate(run, dataset=str(tmp_path / "other.npz"))


def test_a_run_whose_splits_were_cut_by_position(run):
    facts = run.read_config()
    data = pipelines.load(facts["data"]["name"], batch_size=1)
    facts["data"]["fingerprint"] = data.fingerprint_of_positions
    run.config.write_text(json.dumps(facts))
    with pytest.raises(BadInput, match="the files are the same, but this version cuts"):
        evaluate(run)


def test_the_command_on_other_data(run, tmp_path, call_command):
    write_images(tmp_path / "new", ("dark", "red"), seed=1)
    process = call_command("tfcnn.evaluate", run.path, "--dataset", tmp_path / "new")
    assert (process.returncode, process.stderr) == (0, "")
    assert "absent    'green': no test image" in process.stdout
    (data_of(run) / "red" / "0-00.png").unlink()
    process = call_command("tfcnn.evaluate", run.path)
    assert process.returncode == 2
    assert process.stderr.startswith("error: the data of the run in")
    assert len(process.stderr.splitlines()) == 1
