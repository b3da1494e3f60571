import hashlib
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults.image_files import CMYK, JPEG, encode, exif
from pipelines.readers import image_files
from pipelines.readers.folder import read_folder
from pipelines.readers.splits import cut_by_position
from tests.pipelines.files import classes, names, picture, put, refusal

pytestmark = pytest.mark.usefixtures("own_data_dir")


# One folder a class


@pytest.fixture
def pets(tmp_path):
    """The listing of one folder a class."""
    classes(tmp_path, {"dog": 20, "Cat": 30, "cat": 10})
    return read_folder(tmp_path)


def test_facts_of_one_folder_a_class(pets):
    assert (pets.task, pets.channels, pets.bad, pets.notes) == ("classification", 3, (), {})
    assert pets.class_names == ("Cat", "cat", "dog")


def test_paths_of_one_folder_a_class(pets):
    assert sum(len(files.paths) for files in pets.splits.values()) == 60
    for files in pets.splits.values():
        assert files.paths == sorted(files.paths)
        assert all(os.path.isabs(path) for path in files.paths)


def test_a_label_is_the_number_of_the_folder(pets):
    for files in pets.splits.values():
        assert set(files.labels) == {0, 1, 2}
        assert [pets.class_names[label] for label in files.labels] == [Path(p).parent.name for p in files.paths]


def test_shapes_and_decoders_of_one_folder_a_class(pets):
    for files in pets.splits.values():
        assert (files.labels.dtype, files.shapes.dtype, files.decoders.dtype) == (np.int64, np.int32, np.uint8)
        assert files.shapes.tolist() == [[6, 8]] * len(files.paths)
        assert set(files.decoders) == {image_files.TF_IMAGE}
        assert files.masks is files.mask_decoders is None


def split_of_each(root):
    return {path: split for split, paths in names(read_folder(root), root).items() for path in paths}


def test_an_image_that_is_added_moves_no_other(tmp_path):
    classes(tmp_path, {"b": 40, "a": 30})
    before = split_of_each(tmp_path)
    put(tmp_path / "a" / "0.png", number=5000)
    after = split_of_each(tmp_path)
    assert after.pop("a/0.png")
    assert after == before


def test_an_image_that_gets_another_name_stays_in_its_split(tmp_path):
    classes(tmp_path, {"b": 40, "a": 30})
    before = split_of_each(tmp_path)
    moved = next(path for path, split in before.items() if split == "test")
    (tmp_path / moved).rename(tmp_path / "b" / "another.png")
    assert split_of_each(tmp_path)["b/another.png"] == "test"


def test_the_cut_of_earlier_versions_is_known_by_its_fingerprint(tmp_path):
    """As versions 0.1 cut sorted names: `splits.cut_by_position`."""
    classes(tmp_path, {"b": 14, "a": 9})
    everything = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    cut_then = cut_by_position(
        np.array([path.startswith("b/") for path in everything]).astype(int), ("validation", "test")
    )
    split_of = {everything[row]: split for split, rows in cut_then.items() for row in rows}
    content = hashlib.blake2b(repr(("a", "b")).encode(), digest_size=16)
    for path in everything:
        digest = hashlib.blake2b((tmp_path / path).read_bytes(), digest_size=16).hexdigest()
        content.update(repr((path, split_of[path], path[0], digest)).encode())
    assert read_folder(tmp_path).fingerprint_of_positions == content.hexdigest()


def test_images_lie_at_any_depth_below_their_class(tmp_path):
    classes(tmp_path, {"a": 10, "b/x/y": 6, "b/z": 4})
    listing = read_folder(tmp_path)
    assert listing.class_names == ("a", "b")
    assert sum(len(files.paths) for files in listing.splits.values()) == 20


def test_the_path_may_be_relative(tmp_path, monkeypatch):
    classes(tmp_path / "set", {"a": 10, "b": 10})
    monkeypatch.chdir(tmp_path)
    assert read_folder("set").splits["test"].paths == read_folder(tmp_path / "set").splits["test"].paths


def test_what_is_no_image_is_left_alone(tmp_path):
    classes(tmp_path, {"a": 10, "b": 10})
    for name in ("a/list.txt", "a/Thumbs.db", "b/.DS_Store", "b/._000.png", "b/deep/x.json", "readme.md"):
        put(tmp_path / name, b"text")
    for name in ("a/.hidden/000.png", ".git/000.png", "__MACOSX/000.png"):
        put(tmp_path / name)
    put(tmp_path / "sheet.png")
    listing = read_folder(tmp_path)
    assert listing.class_names == ("a", "b")
    assert listing.notes == {"files without an image suffix, left out": 6, "outside the class folders": 1}


def test_links_are_followed_but_in_no_circle(tmp_path):
    classes(tmp_path / "elsewhere", {"dogs": 10, "hounds": 5})
    classes(tmp_path / "set", {"a": 10})
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere" / "dogs")
    (tmp_path / "elsewhere" / "dogs" / "hounds").symlink_to(tmp_path / "elsewhere" / "hounds")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set" / "a")
    listing = read_folder(tmp_path / "set")
    assert listing.class_names == ("a", "dog")
    assert sum(len(files.paths) for files in listing.splits.values()) == 25


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Validation"])
def test_splits(tmp_path, validation):
    for folder, count in {"train": 6, validation: 2, "test": 3}.items():
        classes(tmp_path, {"a": count, "b": count}, folder)
    listing = read_folder(tmp_path)
    for split, folder in {"train": "train", "validation": validation, "test": "test"}.items():
        assert {path.split("/")[0] for path in names(listing, tmp_path)[split]} == {folder}
    assert {split: len(files.paths) for split, files in listing.splits.items()} == {
        "train": 12,
        "validation": 4,
        "test": 6,
    }


def test_validation_is_cut_from_train_and_never_from_test(tmp_path):
    classes(tmp_path, {"a": 20, "b": 10}, "train")
    classes(tmp_path, {"a": 5, "b": 5}, "test")
    paths = names(read_folder(tmp_path), tmp_path)
    assert len(paths["test"]) == 10
    assert len(paths["train"]) > 20 > len(paths["validation"])
    assert all(path.startswith("train/") for path in paths["train"] + paths["validation"])
    assert all(path.startswith("test/") for path in paths["test"])


def test_copies_in_two_splits_or_classes_are_counted(tmp_path):
    classes(tmp_path, {"a": 6, "b": 6}, "train")
    classes(tmp_path, {"a": 2, "b": 2}, "val")
    for number in range(3):
        put(tmp_path / "test" / "b" / f"copy-{number}.png", (tmp_path / "train" / "b" / f"00{number}.png").read_bytes())
    put(tmp_path / "test" / "b" / "copy-3.png", (tmp_path / "train" / "a" / "000.png").read_bytes())
    assert read_folder(tmp_path).duplicates == {"test in train": 4, "two targets": 1}


def test_no_copy_leaves_its_split(tmp_path):
    for number in range(60):
        put(tmp_path / "ab"[number % 2] / f"{number}.png", number=number // 6 * 2 + number % 2)
    assert read_folder(tmp_path).duplicates == {}


@pytest.mark.parametrize(("train", "test"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_class_in_two_forms_of_unicode_is_one(tmp_path, train, test):
    for split, form in (("train", train), ("val", train), ("test", test)):
        classes(tmp_path, {unicodedata.normalize(form, "café"): 3, "thé": 3}, split)
    listing = read_folder(tmp_path)
    assert listing.class_names == ("café", "thé")
    assert all(os.path.exists(path) for files in listing.splits.values() for path in files.paths)


def test_a_class_may_be_called_train(tmp_path):
    classes(tmp_path, {"bus": 10, "train": 10})
    assert read_folder(tmp_path).class_names == ("bus", "train")


# What is found in the files


def test_notes_decoders_shapes_and_channels(tmp_path):
    classes(tmp_path, {"a": 12, "b": 12}, "train")
    classes(tmp_path, {"a": 2, "b": 2}, "validation")
    odd = {
        "0.jpg": (JPEG, image_files.TF_JPEG, [24, 36]),
        "1.jpg": (encode(CMYK, "JPEG"), image_files.PILLOW, [24, 36]),
        "2.jpg": (encode(picture(), "JPEG", exif=exif(6)), image_files.PILLOW, [8, 6]),
        "3.jpg": (encode(picture(), "JPEG", exif=exif(3)), image_files.PILLOW, [6, 8]),
        "4.png": (encode(picture()[..., 0], "PNG"), image_files.TF_IMAGE, [6, 8]),
    }
    for name, (content, _, _) in odd.items():
        put(tmp_path / "test" / "a" / name, content)
    listing = read_folder(tmp_path)
    test = listing.splits["test"]
    assert test.decoders.tolist() == [decoder for _, decoder, _ in odd.values()]
    assert test.shapes.tolist() == [shape for _, _, shape in odd.values()]
    assert listing.channels == 3
    assert listing.notes == {"CMYK": 1, "EXIF orientation": 2, "grey among colour": 1}


def test_grey_images_alone_have_one_channel(tmp_path):
    for name in ("a", "b"):
        for number in range(10):
            put(tmp_path / name / f"{number}.png", encode(picture(number)[..., 0], "PNG"))
    listing = read_folder(tmp_path)
    assert (listing.channels, listing.notes) == (1, {})


def test_the_fingerprint_is_of_names_labels_and_content(tmp_path):
    classes(tmp_path / "one", {"a": 10, "b": 10})
    one = read_folder(tmp_path / "one").fingerprint

    def changed(change):
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "one", copy)
        change(copy)
        fingerprint = read_folder(copy).fingerprint
        shutil.rmtree(copy)
        return fingerprint

    assert changed(lambda copy: None) == one
    assert changed(lambda copy: os.utime(copy / "a" / "000.png", (0, 0))) == one
    assert changed(lambda copy: put(copy / "a" / "note.txt", b"text")) == one
    others = {
        changed(lambda copy: put(copy / "a" / "000.png", number=9999)),
        changed(lambda copy: (copy / "a" / "000.png").rename(copy / "a" / "0.png")),
        changed(lambda copy: (copy / "a" / "000.png").rename(copy / "b" / "100.png")),
        changed(lambda copy: (copy / "a").rename(copy / "c")),
        changed(lambda copy: (copy / "a" / "000.png").unlink()),
    }
    assert len(others | {one}) == 6


# Bad files


# Folders that are none of the layouts


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        ([], "holds no folders and 0 loose images: expected one folder for each class"),
        (["0.png", "1.png"], "holds no folders and 2 loose images"),
        (["a/x.txt", "b/y.txt"], "holds 2 folders without images"),
        (["a/0.png"] * 1 + ["b/x.txt"], "class 'b' has no image"),
        ([f"a/{n}.png" for n in range(20)], "has class 'a' alone; at least two are needed"),
        (
            ["a/0.png", "b/0.png"],
            "has 2 training images, 2 of them different, too few to cut",
        ),
        (["train/a/0.png", "train/b/0.png", "extra/0.png"], "holds train/ and also 'extra'"),
        (["test/a/0.png", "val/a/0.png"], "holds test, val, but no train/"),
        (["train/a/0.png", "val/a/0.png", "valid/a/0.png"], "holds one split twice: train, val, valid"),
        (["train/0.png", "test/0.png"], "train' holds no folders and 1 loose images"),
        (["train/a/0.png", "train/b/0.png", "val/a/0.png", "test/x.txt"], "test' holds no folders and 0 loose images"),
        (["train/a/0.png", "train/b/x.txt", "val/a/0.png", "test/b/0.png"], "class 'b' has no image"),
        (["train/a/0.png", "train/b/0.png", "val/a/0.png", "test/c/0.png"], "class 'c' has no image in the training"),
        (["train/images/0.png", "train/masks/0.png", "test/images/0.png"], "images/ and masks/ go together"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, paths, says):
    for number, path in enumerate(paths):
        put(tmp_path / path, number=number)
    assert says in refusal(tmp_path)


def test_no_such_folder(tmp_path):
    assert refusal(tmp_path / "gone") == f"no such folder or .csv file: '{tmp_path}/gone' (dataset)"
    (tmp_path / "photos.zip").write_bytes(b"PK")
    assert refusal(tmp_path / "photos.zip") == (
        f"'{tmp_path}/photos.zip' is neither a folder nor a .csv or .npz file (dataset)"
    )
    assert "no such file" in refusal(tmp_path / "gone.csv")
    put(tmp_path / "a.png")
    assert "is neither a folder" in refusal(tmp_path / "a.png")


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    classes(tmp_path, {"a": 10, "b": 10})
    scandir = os.scandir

    def deny(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)  # permissions do not bind the superuser
    assert "b' cannot be read: Permission denied" in refusal(tmp_path)


def test_classes_that_differ_in_spaces_alone(tmp_path):
    classes(tmp_path, {"a cat": 9, "a  cat": 9})
    assert "classes 'a  cat' and 'a cat'" in refusal(tmp_path)
