import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tfcnn.predict import predict

SCANS = sorted((Path(__file__).parents[1] / "scans").glob("*.png"))


def test_the_scans_that_the_readme_uses_are_of_the_data_set():
    scans = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    for path in SCANS:
        assert any((scan == np.asarray(Image.open(path))).all() for scan in scans)
    assert len(SCANS) == 3


@pytest.mark.slow
def test_the_command(finished_run, run_command):
    process = run_command("tfcnn.predict", finished_run.path, *SCANS, "--top", "2")
    assert (process.returncode, process.stderr) == (0, "")
    lines = process.stdout.splitlines()
    assert len(lines) == 3
    for path, line in zip(SCANS, lines, strict=True):
        name, best, share, _second, other = line.split()
        assert name == str(path)
        assert best == path.stem[-1]  # the digit that the file is named after
        assert float(share.rstrip("%")) > float(other.rstrip("%"))


@pytest.mark.slow
def test_probabilities(finished_run):
    (classes,) = predict(finished_run, SCANS[:1], top=10)
    assert [p for _, p in classes] == sorted((p for _, p in classes), reverse=True)
    assert sum(p for _, p in classes) == pytest.approx(1, abs=1e-5)
    assert {name for name, _ in classes} == set("0123456789")


@pytest.mark.slow
def test_the_command_refuses_a_file_that_is_no_image(finished_run, tmp_path, call_command):
    (tmp_path / "text.png").write_text("no image")
    process = call_command("tfcnn.predict", finished_run.path, SCANS[0], tmp_path / "text.png")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == f"error: bad image '{tmp_path / 'text.png'}': not an image: text (IMAGE)\n"


@pytest.mark.slow
def test_the_saved_model_is_not_needed(run_copy):
    before = predict(run_copy, SCANS)
    shutil.rmtree(run_copy.saved_model)
    assert predict(run_copy, SCANS) == before
