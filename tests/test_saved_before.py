"""Files from before today's folders load: a model of every layer, runs, a study.

tests/saved_before was written at commit 741a036, where `tfcnn/` was flat.
"""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import tfcnn.layers  # noqa: F401  (registers what the model holds)
from tfcnn import train
from tfcnn.config import Config
from tfcnn.evaluate import evaluate
from tfcnn.predict import predict
from tfcnn.run_directory import RunDirectory
from tuning.search import SearchSettings, search
from tuning.study.folder import Study

SAVED = Path(__file__).parent / "saved_before"
SCAN = Path(__file__).parent / "scans" / "digit-3.png"


pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    """A copy of the files, to write into."""
    return shutil.copytree(SAVED, tmp_path / "saved")


def test_a_model_of_every_layer_gives_the_same_values():
    model = keras.saving.load_model(SAVED / "layers.keras")
    arrays = np.load(SAVED / "layers.npz")
    outputs = model([arrays[name] for name in sorted(arrays.files) if name.startswith("x")])
    expected = [arrays[name] for name in sorted(arrays.files) if name.startswith("y")]
    assert {layer.name for layer in model.layers if type(layer).__module__.startswith("tfcnn.")}
    for output, values in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(output), values, rtol=1e-4, atol=1e-5)


def test_a_finished_run_is_evaluated_as_then(folder):
    run = RunDirectory.open(folder / "finished").check_finished()
    assert evaluate(run)["accuracy"] == pytest.approx(run.read_metrics()["test_accuracy"], abs=0.006)


def test_a_finished_run_predicts(folder):
    ((best, *_),) = predict(RunDirectory.open(folder / "finished"), [SCAN])
    assert best[0] == "3"


def test_a_stopped_run_is_resumed(folder):
    before = RunDirectory(folder / "stopped").read_history()
    config = json.loads((folder / "stopped" / "config.json").read_text())["config"]
    run = train.run(Config(**config | {"out": str(folder / "stopped"), "resume": True}))
    rows = run.read_history()
    assert rows[:1] == before
    assert "library_name: keras" in run.card.read_text()
    assert rows[1]["val_loss"] == pytest.approx(0.93872, abs=0.01)  # of the run that was not stopped


def test_a_study_is_continued(folder):
    study = Study.opened(folder / "study")
    assert [trial.scores for trial in study.trials()] == [
        (pytest.approx(0.81666, abs=1e-4),),
        (pytest.approx(0.28333, abs=1e-4),),
    ]
    file = folder / "small_space.py"
    config = Config(arch="lenet5", epochs=1)
    settings = SearchSettings(3, space=f"{file}:narrow", trainer=f"{folder / 'trainer.py'}:trainer")
    search(study, config, settings)
    assert [trial.number for trial in study.trials()] == [0, 1, 2]
