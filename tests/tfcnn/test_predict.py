import csv
import io
import json
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


@pytest.mark.slow
def test_a_folder_as_csv(finished_run, call_command, tmp_path):
    """Its images and those of the folders in it; other files and hidden folders are left alone."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    shutil.copy(SCANS[0], tmp_path / "photos" / "more" / "a.png")
    shutil.copy(SCANS[1], tmp_path / "photos" / "b.png")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    for hidden in (".cache", "__MACOSX"):
        (tmp_path / "photos" / hidden).mkdir()
        shutil.copy(SCANS[2], tmp_path / "photos" / hidden / "c.png")
    process = call_command("tfcnn.predict", finished_run.path, tmp_path / "photos", "--format", "csv", "--top", "2")
    assert (process.returncode, process.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(process.stdout)))
    files = [str(tmp_path / "photos" / name) for name in ("b.png", "more/a.png")]
    assert [(row["file"], row["rank"]) for row in rows] == [(file, rank) for file in files for rank in "12"]
    assert [row["class"] for row in rows[::2]] == [SCANS[1].stem[-1], SCANS[0].stem[-1]]


@pytest.mark.slow
def test_json(finished_run, call_command):
    process = call_command("tfcnn.predict", finished_run.path, *SCANS, "--format", "json")
    rows = json.loads(process.stdout)
    expected = predict(finished_run, SCANS)
    assert [row["file"] for row in rows] == list(map(str, SCANS))
    for row, classes in zip(rows, expected, strict=True):
        assert [(each["name"], each["probability"]) for each in row["classes"]] == classes


@pytest.mark.slow
def test_a_folder_without_images_is_refused(finished_run, call_command, tmp_path):
    process = call_command("tfcnn.predict", finished_run.path, tmp_path)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == f"error: bad image '{tmp_path}': a folder without image files (IMAGE)\n"


@pytest.mark.slow
def test_a_folder_is_read_as_training_reads_it(finished_run, call_command, tmp_path):
    """Links are followed, circles are not."""
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(SCANS[0], tmp_path / "elsewhere" / "a.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "photos")
    process = call_command("tfcnn.predict", finished_run.path, tmp_path / "photos", "--format", "json")
    assert process.returncode == 0
    assert [row["file"] for row in json.loads(process.stdout)] == [str(tmp_path / "photos" / "linked" / "a.png")]


@pytest.mark.slow
def test_bad_images_are_left_out_and_the_others_drawn(finished_run, call_command, tmp_path):
    (tmp_path / "photos").mkdir()
    shutil.copy(SCANS[0], tmp_path / "photos")
    (tmp_path / "photos" / "text.png").write_text("no image")
    flags = ["--on-bad-image", "skip", "--cam", "--out", tmp_path / "out", "--top", "1", "--format", "csv"]
    process = call_command("tfcnn.predict", finished_run.path, tmp_path / "photos", *flags)
    assert process.returncode == 0
    assert f"1 file that cannot be used is left out:\n  bad image '{tmp_path}/photos/text.png': not" in process.stderr
    assert [row["file"] for row in csv.DictReader(io.StringIO(process.stdout))] == [
        str(tmp_path / "photos" / SCANS[0].name)
    ]
    (row,) = csv.DictReader((tmp_path / "out" / "predictions.csv").read_text().splitlines())
    assert (row["class"], row["picture"]) == ("3", "digit-3-cam.png")
    with Image.open(tmp_path / "out" / "digit-3-cam.png") as picture, Image.open(SCANS[0]) as scan:
        assert (picture.mode, picture.size) == ("RGB", scan.size)


@pytest.mark.slow
def test_views(finished_run, call_command):
    """Mirrored digits are none: a note says so."""
    process = call_command("tfcnn.predict", finished_run.path, *SCANS, "--tta", "flip", "--batch-size", "2")
    assert process.returncode == 0
    assert len(process.stdout.splitlines()) == 3
    assert process.stderr.startswith("note: --tta flip mirrors images, and this run was trained without")
