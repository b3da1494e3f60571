from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tfcnn.errors import BadInput
from tfcnn.predict import predict, read_image

SCANS = sorted((Path(__file__).parents[1] / "scans").glob("*.png"))


def test_the_scans_that_the_readme_uses_are_of_the_data_set():
    scans = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    for path in SCANS:
        assert any((scan == np.asarray(Image.open(path))).all() for scan in scans)
    assert len(SCANS) == 3


@pytest.mark.slow
def test_the_command(finished_run, run_command):
    done = run_command("tfcnn.predict", finished_run.path, *SCANS, "--top", "2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
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


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 1), ("P", 3), ("1", 1), ("CMYK", 3)])
def test_any_kind_of_image(mode, channels, tmp_path):
    path = tmp_path / ("image.tiff" if mode == "CMYK" else "image.png")
    Image.new(mode, (7, 5)).save(path)
    pixels = read_image(path, channels)
    assert (pixels.shape, pixels.dtype) == ((5, 7, channels), np.uint8)


def test_turned_upright_as_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by a quarter
    Image.new("L", (7, 5)).save(tmp_path / "photo.jpg", exif=exif)
    assert read_image(tmp_path / "photo.jpg", 1).shape == (7, 5, 1)


@pytest.mark.parametrize(
    ("name", "channels", "message"),
    [
        ("text.png", 1, "cannot be read as an image"),
        ("absent.png", 1, "no such image"),
        ("text.png", 2, "images of 2 channels; image files have 1, 3 or 4"),
    ],
)
def test_a_file_that_is_no_image(name, channels, message, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(BadInput, match=message):
        read_image(tmp_path / name, channels)


@pytest.mark.slow
def test_the_command_refuses_a_file_that_is_no_image(finished_run, tmp_path, run_command):
    (tmp_path / "text.png").write_text("no image")
    done = run_command("tfcnn.predict", finished_run.path, SCANS[0], tmp_path / "text.png")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
