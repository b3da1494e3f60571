"""One file, every door of a run: equal pixels, or a refusal; the oracle is what each file was made of."""

import warnings

import numpy as np
import pytest
from PIL import Image

from benchmarks.faults import doors
from benchmarks.faults.image_files import GREY, KINDS, PHOTO, encode

pytestmark = pytest.mark.slow

NOT_SERVED = ("TIFF", "WebP", "WEBP", "PPM", "PGM", "CMYK", "OS/2", "GIF with a transparent", "two pages")


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken EXIF
        return doors.judge_all(tmp_path_factory.mktemp("doors"))


def test_no_door_reads_other_pixels(verdicts):
    differing = {name: cells for name, cells in verdicts.items() if any("differs" in cell for cell in cells.values())}
    assert differing == {}
    assert len(verdicts) > 120


def test_predict_reads_what_training_reads_and_refuses_by_the_same_line(verdicts):
    """But for a folder, whose files predict reads."""
    verdicts = {name: cells for name, cells in verdicts.items() if cells["folder"] != "refused: a folder"}
    for door in ("predict", "predict, one channel"):
        assert {name: cells[door] for name, cells in verdicts.items()} == {
            name: cells["folder"] for name, cells in verdicts.items()
        }


def test_serve_files_refuses_all_that_training_refuses(verdicts):
    refused = {name for name, cells in verdicts.items() if cells["folder"].startswith("refused")}
    assert {name for name in refused if not verdicts[name]["serve_files"].startswith("refused")} == set()
    assert len(refused) > 40


@pytest.mark.parametrize("door", ["serve_files", "serve_files, one channel"])
def test_serve_files_reads_every_kind_of_the_formats_that_it_lists(verdicts, door):
    readable = [
        name
        for name, cells in verdicts.items()
        if cells["folder"] == "equal" and not any(part in name for part in NOT_SERVED)
    ]
    assert {name: verdicts[name][door] for name in readable} == dict.fromkeys(readable, "equal")
    assert len(readable) > 60


def test_a_folder_of_grey_files_is_read_the_same(tmp_path):
    """One channel in training, too."""
    kinds = [kind for kind in KINDS if kind.pixels is not None and kind.pixels.ndim == 2 and not kind.mask]
    kinds = [kind for kind in kinds if "12 in 16" not in kind.name]
    assert len(kinds) > 10
    for kind, readings in zip(kinds, doors.read_kinds(kinds, tmp_path, channels=1), strict=True):
        cells = doors.judge(kind, readings)
        assert {cell for cell in cells.values() if not cell.startswith("refused: reads")} == {"equal"}, kind.name


def test_a_sample_above_the_white_of_the_training_is_refused(tmp_path):
    run = doors.Run(tmp_path / "run", 1, 4095)
    path = tmp_path / "bright.png"
    Image.fromarray(GREY.astype(np.uint16) * 200).save(path)
    assert "16-bit samples up to" in run.predict([path])[0]
    assert "16-bit samples above 4095" in run.serve_file(path)


def test_serve_files_takes_a_batch_of_formats(tmp_path):
    run = doors.Run(tmp_path / "run", 3, 65535)
    files = [encode(PHOTO, form) for form in ("PNG", "BMP", "PNG")]
    images = run.served.serve_files(files)["image"].numpy()
    np.testing.assert_array_equal(images[0], images[1])
