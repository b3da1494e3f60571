"""Folders with images that cannot be used: an error that names them, or left out if asked."""

import pytest

from benchmarks.faults.image_files import JPEG
from pipelines.errors import BadFile
from pipelines.readers.folder import read_folder
from tests.pipelines.files import classes, names, put, refusal


def split_of_each(root):
    return {path: split for split, paths in names(read_folder(root), root).items() for path in paths}


@pytest.fixture
def spoilt(tmp_path):
    """Forty images, two of them truncated."""
    classes(tmp_path, {"cat": 20, "dog": 20})
    for name in ("cat/003.png", "dog/004.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    return tmp_path


def test_a_bad_image_is_an_error_that_names_it(spoilt):
    assert refusal(spoilt) == (
        f"bad image '{spoilt}/cat/003.png' (class 'cat'): truncated; 1 more of 40 files are bad; "
        f"mend or remove, or leave out (on_bad_image skip)"
    )


def test_bad_images_are_left_out_if_asked(spoilt):
    listing = read_folder(spoilt, on_bad_image="skip")
    assert listing.bad == (
        BadFile(f"{spoilt}/cat/003.png", "cat", "truncated"),
        BadFile(f"{spoilt}/dog/004.png", "dog", "truncated"),
    )
    assert sum(len(files.paths) for files in listing.splits.values()) == 38


def test_leaving_out_moves_no_other_image(spoilt):
    rest = names(read_folder(spoilt, on_bad_image="skip"), spoilt)
    for name in ("cat/003.png", "dog/004.png"):
        put(spoilt / name, number=5000)
    whole = names(read_folder(spoilt), spoilt)
    bad = {"cat/003.png", "dog/004.png"}
    assert rest == {split: [path for path in paths if path not in bad] for split, paths in whole.items()}


def test_too_many_bad_images_are_not_left_out(spoilt):
    assert len(read_folder(spoilt, on_bad_image="skip", max_bad=0.05).bad) == 2
    text = refusal(spoilt, on_bad_image="skip", max_bad=0.04)
    assert "2 of 40 files are bad, more than the share of 0.04" in text
    assert text.endswith("(max_bad)")


def test_what_to_do_with_bad_images_is_one_of_two(spoilt):
    assert "not 'ignore'" in refusal(spoilt, on_bad_image="ignore")


def test_a_class_of_bad_images_alone(tmp_path):
    classes(tmp_path, {"a": 20, "b": 20})
    put(tmp_path / "c" / "0.png", b"no image")
    assert "class 'c' has no image in the training split" in refusal(tmp_path, on_bad_image="skip")


def test_a_split_of_bad_images_alone(tmp_path):
    classes(tmp_path, {"a": 20, "b": 20}, "train")
    put(tmp_path / "test" / "a" / "0.png", b"no image")
    assert "the test split" in refusal(tmp_path, on_bad_image="skip")


def test_a_folder_named_as_an_image_is_a_bad_image(tmp_path):
    classes(tmp_path, {"a": 20, "b": 20})
    put(tmp_path / "a" / "x.jpg" / "y.jpg", JPEG)
    assert "a/x.jpg' (class 'a'): a folder;" in refusal(tmp_path)
