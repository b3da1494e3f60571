import re

import numpy as np
import pytest
from PIL import Image

from benchmarks.faults.image_files import JPEG, encode
from pipelines.readers import image_files
from pipelines.readers.folder import read_folder
from tests.pipelines.files import classes, names, picture, put, refusal

pytestmark = pytest.mark.usefixtures("own_data_dir")


def mask(top, height=6, width=8, bottom=0):
    """A mask file: class `top` in its upper half."""
    pixels = np.full((height, width), bottom, np.uint8)
    pixels[: height // 2] = top
    return encode(pixels, "PNG")


def scenes(root, count=20, images="images", masks="masks", top=lambda number: number % 3):
    for number in range(count):
        put(root / images / f"{number:03}.png", number=number)
        put(root / masks / f"{number:03}.png", mask(top(number)))


def test_images_and_masks(tmp_path):
    scenes(tmp_path)
    listing = read_folder(tmp_path)
    assert (listing.task, listing.class_names, listing.channels) == ("segmentation", ("0", "1", "2"), 3)
    assert sum(len(files.paths) for files in listing.splits.values()) == 20
    for files in listing.splits.values():
        assert files.paths
        assert files.labels is None
        assert [p.replace("/images/", "/masks/") for p in files.paths] == files.masks
        assert set(files.mask_decoders) == {image_files.TF_IMAGE}


@pytest.mark.parametrize("places", ["{split}/images {split}/masks", "images/{split} masks/{split}"])
def test_masks_in_splits(tmp_path, places):
    for split, count in {"train": 6, "val": 3, "test": 2}.items():
        scenes(tmp_path, count, *places.format(split=split).split())
    splits = names(read_folder(tmp_path), tmp_path)
    assert {split: len(paths) for split, paths in splits.items()} == {"train": 6, "validation": 3, "test": 2}
    assert all("test" in path for path in splits["test"])


def test_images_beside_the_splits_are_counted(tmp_path):
    for split in ("train", "val", "test"):
        scenes(tmp_path / "a", 3, f"images/{split}", f"masks/{split}")
        classes(tmp_path / "b", {"x": 2, "y": 2}, split)
    put(tmp_path / "a" / "images" / "loose.png")
    put(tmp_path / "b" / "loose.png")
    for root in ("a", "b"):
        assert read_folder(tmp_path / root).notes == {"outside the split folders": 1}


def test_masks_pair_by_name_without_extension_at_any_depth(tmp_path):
    scenes(tmp_path)
    put(tmp_path / "images" / "deep" / "000.jpg", encode(picture(), "JPEG"))
    put(tmp_path / "masks" / "deep" / "000.png", mask(1))
    listing = read_folder(tmp_path)
    pairs = [pair for files in listing.splits.values() for pair in zip(files.paths, files.masks, strict=True)]
    assert (f"{tmp_path}/images/deep/000.jpg", f"{tmp_path}/masks/deep/000.png") in pairs
    assert len(pairs) == 21


def test_the_classes_of_masks_stand_in_classes_txt(tmp_path):
    scenes(tmp_path)
    (tmp_path / "classes.txt").write_text("sky\nlow grass\r\nroad\nnever seen\n\n")
    assert read_folder(tmp_path).class_names == ("sky", "low grass", "road", "never seen")


def test_255_is_ignored(tmp_path):
    scenes(tmp_path, top=lambda number: (1, 255)[number % 2])
    assert read_folder(tmp_path).class_names == ("0", "1")


def test_palette_masks_are_decoded_with_pillow(tmp_path):
    scenes(tmp_path)
    image = Image.fromarray(np.ones((6, 8), np.uint8))
    image.putpalette(bytes(range(256)) * 3)
    put(tmp_path / "masks" / "000.png", encode(image, "PNG"))
    listing = read_folder(tmp_path)
    decoders = {
        path: decoder
        for files in listing.splits.values()
        for path, decoder in zip(files.masks, files.mask_decoders, strict=True)
    }
    assert [path for path, decoder in decoders.items() if decoder == image_files.PILLOW] == [
        f"{tmp_path}/masks/000.png"
    ]


def test_the_fingerprint_is_also_of_the_masks(tmp_path):
    scenes(tmp_path)
    before = read_folder(tmp_path).fingerprint
    put(tmp_path / "masks" / "000.png", mask(2))
    assert read_folder(tmp_path).fingerprint != before


def spoil_missing_mask(root):
    (root / "masks" / "003.png").unlink()


def spoil_missing_image(root):
    (root / "images" / "003.png").unlink()


def spoil_two_images(root):
    put(root / "images" / "003.jpg", JPEG)


def spoil_size(root):
    put(root / "masks" / "003.png", mask(1, 5, 9))


def spoil_value(root):
    put(root / "masks" / "003.png", mask(7))
    (root / "classes.txt").write_text("a\nb\nc")


def spoil_binary(root):
    for path in (root / "masks").iterdir():
        put(path, mask(255, bottom=255))


def spoil_no_names(root):
    (root / "classes.txt").write_text("a\n\nb")


def spoil_names_twice(root):
    (root / "classes.txt").write_text("a\nb\na")


def spoil_encoding(root):
    (root / "classes.txt").write_bytes(b"caf\xe9\nb\n")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_missing_mask, r"images/003.png' has no mask of that name in '.*/masks' "),
        (spoil_missing_image, r"masks/003.png' has no image of that name in '.*/images' "),
        (spoil_two_images, r"images/003.jpg' and '.*/images/003.png' have one name"),
        (spoil_size, r"masks/003.png': a mask of 9×5 pixels, but its image has 8×6;"),
        (spoil_value, r"masks/003.png': class number 7 in a mask, but classes.txt names 0 ... 2;"),
        (spoil_binary, r"has class '0' alone; at least two are needed; in masks 255 is for pixels to ignore"),
        (spoil_no_names, r"classes.txt' must hold 2 ... 255 different names, one a line"),
        (spoil_names_twice, r"classes.txt' must hold 2 ... 255 different names, one a line"),
        (spoil_encoding, r"classes.txt' cannot be read: 'utf-8' codec"),
    ],
)
def test_masks_that_cannot_be_used(tmp_path, spoil, says):
    scenes(tmp_path)
    spoil(tmp_path)
    assert re.search(says, refusal(tmp_path))


@pytest.mark.parametrize("spoil", [spoil_size, spoil_value])
def test_bad_masks_are_left_out_with_their_image(tmp_path, spoil):
    scenes(tmp_path)
    spoil(tmp_path)
    listing = read_folder(tmp_path, on_bad_image="skip")
    assert [one.path for one in listing.bad] == [f"{tmp_path}/masks/003.png"]
    assert sum(len(files.paths) for files in listing.splits.values()) == 19
    assert not any(path.endswith("003.png") for files in listing.splits.values() for path in files.paths)


# Values that are no class numbers


def test_masks_of_0_and_255_have_two_classes(tmp_path):
    scenes(tmp_path, top=lambda number: 255)
    listing = read_folder(tmp_path)
    assert listing.class_names == ("0", "1")
    assert listing.mask_table is not None
    assert (listing.mask_table[0], listing.mask_table[255]) == (0, 1)
    assert listing.notes == {"masks of 0 and 255: 255 is class 1, nothing is ignored": 20}


def test_masks_of_0_and_255_with_two_names(tmp_path):
    scenes(tmp_path, top=lambda number: 255)
    (tmp_path / "classes.txt").write_text("ground\nnucleus")
    listing = read_folder(tmp_path)
    assert listing.class_names == ("ground", "nucleus")
    assert listing.mask_table is not None


def test_values_of_masks_may_be_listed(tmp_path):
    scenes(tmp_path, top=lambda number: (0, 128, 255)[number % 3])
    listing = read_folder(tmp_path, mask_values=(0, 255, 128))
    assert listing.class_names == ("0", "1", "2")
    assert listing.mask_table is not None
    assert [listing.mask_table[value] for value in (0, 255, 128, 7)] == [0, 1, 2, 255]


def test_a_listed_numbering_is_another_data_set(tmp_path):
    scenes(tmp_path, top=lambda number: (0, 128)[number % 2])
    fingerprints = {read_folder(tmp_path, mask_values=values).fingerprint for values in ((0, 128), (128, 0))}
    assert len(fingerprints) == 2


def test_grey_edges_are_refused_with_their_values(tmp_path):
    scenes(tmp_path, top=lambda number: (255, 254, 128, 3)[number % 4])
    said = refusal(tmp_path)
    assert "hold values with gaps: 0 in 20, 3 in 5, 128 in 5, 254 in 5, 255 in 5 of 20 masks" in said
    assert "mask_values" in said


def test_all_grey_levels_are_refused(tmp_path):
    scenes(tmp_path, count=256, top=lambda number: number)
    said = refusal(tmp_path)
    assert "hold more than 64 values, as grey edges give: 0 in 256, " in said
    assert "and 250 more values" in said


def test_values_that_are_not_listed_are_refused(tmp_path):
    scenes(tmp_path, top=lambda number: (255, 128)[number % 2])
    said = refusal(tmp_path, mask_values=(0, 255))
    assert "0 in 20, 128 in 10, 255 in 10 of 20 masks, but mask_values lists 0, 255" in said


def test_gaps_are_as_good_as_names_say(tmp_path):
    scenes(tmp_path, top=lambda number: (0, 2)[number % 2])
    assert "values with gaps" in refusal(tmp_path)
    (tmp_path / "classes.txt").write_text("a\nb\nc")
    assert read_folder(tmp_path).class_names == ("a", "b", "c")


def test_as_many_names_as_listed_values(tmp_path):
    scenes(tmp_path, top=lambda number: 255)
    (tmp_path / "classes.txt").write_text("a\nb\nc")
    assert "names 3 classes, but 2 values are listed (mask_values)" in refusal(tmp_path, mask_values=(0, 255))


def test_pixels_that_are_ignored_are_counted(tmp_path):
    """Where some masks hold 0 and 1 and others 0 and 255, the latter show no class 1."""
    scenes(tmp_path, top=lambda number: 1 if number % 2 else 255)
    listing = read_folder(tmp_path)
    assert listing.class_names == ("0", "1")
    assert listing.notes == {"masks, of which 10 have pixels of 255, which are ignored": 20}
