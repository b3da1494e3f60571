"""Folders as people have them: the names of splits, of images and of masks, and folders that are no classes."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.faults.image_files import encode
from pipelines.readers.folder import read_folder
from tests.pipelines.files import classes, names, put, refusal

pytestmark = pytest.mark.usefixtures("own_data_dir")


def mask_file(top, palette=False):
    pixels = np.zeros((6, 8), np.uint8)
    pixels[:3] = top
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette(bytes(range(256)) * 3)
    return encode(image, "PNG")


def pairs(root, images, masks, count=20, first=0):
    for number in range(first, first + count):
        put(root / images / f"{number:03}.png", number=number)
        put(root / masks / f"{number:03}.png", mask_file(number % 2))


@pytest.mark.parametrize(
    "folders",
    [
        ("Training", "Testing"),
        ("TRAIN", "Test"),
        ("trn", "tst"),
        ("seg_train", "seg_test"),
        ("training_set", "test_set"),
        ("train-images", "test-images"),
        ("seg_train/seg_train", "seg_test/seg_test"),
    ],
)
def test_names_of_splits(tmp_path, folders):
    for folder, count in zip(folders, (20, 3), strict=True):
        classes(tmp_path, {"cat": count, "dog": count}, folder)
    listing = read_folder(tmp_path)
    assert listing.class_names == ("cat", "dog")
    assert len(listing.splits["test"].paths) == 6
    assert all(path.startswith(folders[1]) for path in names(listing, tmp_path)["test"])


def test_classes_that_hold_the_splits(tmp_path):
    for split, count in {"train": 8, "val": 2, "Testing": 3}.items():
        for label in ("cat", "dog"):
            for number in range(count):
                put(tmp_path / label / split / f"{number}.png", number=number)
    listing = read_folder(tmp_path)
    assert listing.class_names == ("cat", "dog")
    assert {split: len(files.paths) for split, files in listing.splits.items()} == {
        "train": 16,
        "validation": 4,
        "test": 6,
    }


@pytest.mark.parametrize("inner", ["", "train/"])
def test_parts_with_the_same_classes_are_no_classes(tmp_path, inner):
    for part in ("fold1", "fold2"):
        classes(tmp_path, {"cat": 5, "dog": 5}, f"{part}/{inner}")
    assert "hold the same folders (cat, dog), so that they are no classes" in refusal(tmp_path)


def test_one_folder_of_the_same_name_in_each_class_is_no_part(tmp_path):
    """Tiny ImageNet's layout."""
    for label in ("n01", "n02"):
        for number in range(12):
            put(tmp_path / label / "images" / f"{number}.png", number=number)
    assert read_folder(tmp_path).class_names == ("n01", "n02")


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("imgs", "masks"),
        ("Images", "Masks"),
        ("image", "mask"),
        ("images", "labels"),
        ("images", "annotations"),
        ("JPEGImages", "SegmentationClass"),
        ("images", "ground_truth"),
    ],
)
def test_names_of_images_and_masks(tmp_path, images, masks):
    pairs(tmp_path, images, masks)
    listing = read_folder(tmp_path)
    assert (listing.task, listing.class_names) == ("segmentation", ("0", "1"))
    assert all(f"/{masks}/" in path for files in listing.splits.values() for path in files.masks or ())


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (("train", "trainannot"), ("test", "testannot")),
        (("train", "train_labels"), ("val", "val_labels")),
        (("train_images", "train_masks"), ("test_images", "test_masks")),
        (("Training/Images", "Training/Labels"), ("Testing/Images", "Testing/Labels")),
        (("images/training", "annotations/training"), ("images/validation", "annotations/validation")),
    ],
)
def test_splits_of_images_and_masks(tmp_path, train, test):
    pairs(tmp_path, *train)
    pairs(tmp_path, *test, count=3, first=50)
    listing = read_folder(tmp_path)
    assert listing.task == "segmentation"
    assert sum(len(files.paths) for files in listing.splits.values()) == 23
    held_out = "validation" if test[0].startswith(("val", "images/val")) else "test"
    assert all(path.startswith(test[0]) for path in names(listing, tmp_path)[held_out])
    assert len(listing.splits[held_out].paths) == 3


def voc(root):
    """Thirty images; twelve have masks, and the lists divide these."""
    for number in range(30):
        put(root / "JPEGImages" / f"{number:03}.png", number=number)
        put(root / "Annotations" / f"{number:03}.xml", b"<annotation/>")
    for number in range(12):
        put(root / "SegmentationClass" / f"{number:03}.png", mask_file((1, 255)[number % 2], palette=True))
        put(root / "SegmentationObject" / f"{number:03}.png", mask_file(1, palette=True))


def test_pascal_voc_by_its_lists(tmp_path):
    voc(tmp_path)
    for name, numbers in {"train": range(6), "val": range(6, 9), "trainval": range(9), "test": range(9, 14)}.items():
        text = "".join(f"{number:03}\n" for number in numbers)
        put(tmp_path / "ImageSets" / "Segmentation" / f"{name}.txt", text.encode())
    listing = read_folder(tmp_path)
    assert {split: len(files.paths) for split, files in listing.splits.items()} == {
        "train": 6,
        "validation": 3,
        "test": 3,
    }
    assert listing.notes["without a mask in the lists"] == 18


def test_pascal_voc_without_lists(tmp_path):
    voc(tmp_path)
    listing = read_folder(tmp_path)
    assert sum(len(files.paths) for files in listing.splits.values()) == 12
    assert listing.notes["without a mask"] == 18


@pytest.mark.parametrize(
    ("images", "masks", "says"),
    [
        ("photos", "masks", r"holds masks/ and photos/ with files of the same names, as images and masks do"),
        ("images", "outlines", r"holds images/ and outlines/ with files of the same names"),
    ],
)
def test_folders_that_look_like_images_and_masks(tmp_path, images, masks, says):
    pairs(tmp_path, images, masks)
    said = refusal(tmp_path)
    assert says in said
    assert "images/ and masks/" in said


def test_labels_that_are_no_images(tmp_path):
    for number in range(5):
        put(tmp_path / "images" / f"{number}.png", number=number)
        put(tmp_path / "labels" / f"{number}.txt", b"0 0.5 0.5 1 1")
    assert "labels' holds no image: masks are images of class numbers" in refusal(tmp_path)


def test_two_folders_of_masks(tmp_path):
    pairs(tmp_path, "images", "labels")
    pairs(tmp_path, "images", "annotations")
    assert "holds annotations, labels, one too many: segmentation is read from images/ and masks/" in refusal(tmp_path)


def test_classes_with_and_without_a_mask(tmp_path):
    classes(tmp_path, {"mask": 12, "no_mask": 12})
    assert read_folder(tmp_path).class_names == ("mask", "no_mask")
