"""Folders with COCO's annotations."""

import json

import numpy as np
import pytest

import pipelines
from benchmarks.faults.image_files import encode, exif
from pipelines.readers.folder import read_folder
from tests.pipelines.files import names, picture, put, refusal

pytestmark = pytest.mark.usefixtures("own_data_dir")
CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 9, "name": "unused"}]
BOX = {"id": 1, "image_id": 0, "category_id": 7, "bbox": [2, 1, 4, 3], "iscrowd": 0}


def images_of(count, height=6, width=8):
    return [{"id": i, "file_name": f"{i:03}.png", "height": height, "width": width} for i in range(count)]


def annotations(count=20, **replaced):
    """Each image has a dog or a cat, 4 x 3 pixels at (2, 1)."""
    boxes = [BOX | {"id": i + 1, "image_id": i, "category_id": 7 if i % 2 else 3} for i in range(count)]
    return {"images": images_of(count), "annotations": boxes, "categories": CATEGORIES} | replaced


def write(root, content, file="annotations.json", images="images", seed=0):
    """The annotations and their images, 8 x 6 pixels."""
    put(root / file, json.dumps(content).encode())
    for number, row in enumerate(content["images"]):
        put(root / images / row["file_name"], number=number + 100 * seed)
    return root


def test_boxes_are_shares_of_their_image_and_classes_follow_the_categories(tmp_path):
    rows = [
        BOX | {"image_id": 1},
        BOX | {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0, 0, 8, 1.5]},
        BOX | {"id": 3, "image_id": 2},
    ]
    listing = read_folder(write(tmp_path, annotations(20, annotations=rows)))
    assert (listing.task, listing.class_names) == ("detection", ("cat", "dog", "unused"))
    (place,) = [
        (files, files.paths.index(path))
        for files in listing.splits.values()
        for path in files.paths
        if path.endswith("001.png")
    ]
    files, row = place
    np.testing.assert_allclose(files.boxes[row], [[2 / 8, 1 / 6, 6 / 8, 4 / 6], [0, 0, 1, 1.5 / 6]], rtol=1e-6)
    assert files.box_labels[row].tolist() == [1, 0]


def test_an_image_without_boxes_has_padding_alone(tmp_path):
    listing = read_folder(write(tmp_path, annotations(20, annotations=[BOX])), task="detection")
    train = listing.splits["train"]
    assert sum(len(files.paths) for files in listing.splits.values()) == 20
    assert (train.boxes[-1] == -1).all()
    assert (train.box_labels[-1] == -1).all()


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations/instances_{split}2017.json", "{split}2017"),
        ("annotations/instances_{split}.json", "images/{split}"),
        ("annotations/{split}.json", "images"),
        ("{split}.json", "{split}"),
        ("{split}/_annotations.coco.json", "{split}"),
        ("{split}/labels.json", "{split}/images"),
    ],
)
def test_splits(tmp_path, file, images):
    for seed, (split, count) in enumerate({"train": 6, "val": 3, "test": 2}.items()):
        content = annotations(count)
        for row in content["images"]:
            row["file_name"] = f"{split}-{row['file_name']}"
        write(tmp_path, content, file.format(split=split), images.format(split=split), seed)
    if file.startswith("annotations"):
        put(tmp_path / "annotations" / "captions_train.json" if "instances" in file else tmp_path / "x.json", b"{}")
    splits = names(read_folder(tmp_path), tmp_path)
    assert {split: len(paths) for split, paths in splits.items()} == {"train": 6, "validation": 3, "test": 2}
    assert all("val-" in path for path in splits["validation"])


def test_boxes_are_cut_at_the_border_and_crowds_and_empty_ones_left_out(tmp_path):
    rows = [BOX | {"image_id": image} for image in range(20)]
    rows += [
        BOX | {"image_id": 0, "bbox": [6, 4, 10, 10]},
        BOX | {"image_id": 0, "bbox": [3, 3, 0, 2]},
        BOX | {"image_id": 0, "bbox": [9, 1, 4, 2]},
        BOX | {"image_id": 0, "iscrowd": 1},
    ]
    listing = read_folder(write(tmp_path, annotations(20, annotations=rows)))
    assert listing.notes == {
        "boxes of crowds, left out": 1,
        "boxes cut at the border of their image": 1,
        "boxes without an area in their image, left out": 2,
    }
    of_two = [
        files.boxes[files.box_labels[:, -1] >= 0] for files in listing.splits.values() if files.boxes.shape[1] > 1
    ]
    np.testing.assert_allclose(of_two[0][0, 1], [6 / 8, 4 / 6, 1, 1], rtol=1e-6)


def test_a_missing_image_is_a_bad_file(tmp_path):
    write(tmp_path, annotations(30))
    (tmp_path / "images" / "004.png").unlink()
    assert "004.png': no such file" in refusal(tmp_path)
    listing = read_folder(tmp_path, on_bad_image="skip")
    assert [file.path[-7:] for file in listing.bad] == ["004.png"]


def test_an_image_of_another_size_than_annotated_is_a_bad_file(tmp_path):
    write(tmp_path, annotations(20))
    put(tmp_path / "images" / "004.png", encode(picture(4, 8, 6), "PNG"))
    assert "6×8 pixels, but its annotations are of 8×6" in refusal(tmp_path)


def test_a_turned_image_is_a_bad_file(tmp_path):
    write(tmp_path, annotations(20, images=[{"id": i, "file_name": f"{i:03}.png"} for i in range(20)]))
    put(tmp_path / "images" / "004.png", encode(picture(4), "PNG", exif=exif(3)))
    assert "EXIF orientation, which its boxes may not share" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"annotations": [BOX | {"image_id": 77}]}, "annotation 1 is of image 77, which is not among its images"),
        ({"annotations": [BOX | {"category_id": 1}]}, "annotation 1 is of category 1, which is not among"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3]}]}, r"annotation 1 has bbox [1, 2, 3], not x, y, width, height"),
        ({"annotations": [BOX | {"bbox": [1, 2, 3, float("nan")]}]}, "not x, y, width, height"),
        ({"annotations": [{"id": 5}]}, "annotation 5 has no image_id"),
        ({"annotations": [3]}, "an annotation has no image_id"),
        ({"annotations": []}, "no image of the training split of"),
        ({"categories": []}, "has no categories"),
        ({"categories": [*CATEGORIES, {"id": 3, "name": "cow"}]}, "has category 3 twice"),
        ({"categories": [*CATEGORIES, {"id": 4, "name": "cat"}]}, "has two categories 'cat'"),
        ({"images": [{"id": 0, "file_name": "../../x.png"}]}, "'../../x.png', which lies outside its folder"),
        ({"images": [{"id": 0, "file_name": "/x.png"}]}, "'/x.png', which lies outside its folder"),
        ({"images": [{"id": 0}]}, "image 0 has no file_name"),
        ({"images": images_of(1) * 2}, "has image 0 twice"),
        ({"images": []}, "has no images"),
    ],
)
def test_contradictions_are_one_line(tmp_path, replaced, message):
    write(tmp_path, annotations(20))
    (tmp_path / "annotations.json").write_text(json.dumps(annotations(20, **replaced)))
    assert message in refusal(tmp_path, task="detection")


def test_images_that_no_folder_holds(tmp_path):
    put(tmp_path / "annotations.json", json.dumps(annotations(3)).encode())
    assert "names the image '000.png', which no folder of" in refusal(tmp_path)


def test_other_categories_in_another_split(tmp_path):
    write(tmp_path, annotations(5), "train.json")
    write(tmp_path, annotations(5, categories=[*CATEGORIES, {"id": 1, "name": "cow"}]), "val.json")
    assert "val.json' has other categories than" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b'{"images": [', b"[" * 100_000, b"{}", b"\xff\xfe"])
def test_a_file_that_is_no_annotation_is_refused_where_boxes_are_wanted_and_else_passed_over(tmp_path, content):
    for label in ("one", "other"):
        for number in range(10):
            put(tmp_path / label / f"{number}.png", number=number + 50 * (label == "one"))
    put(tmp_path / "notes.json", content)
    assert read_folder(tmp_path).task == "classification"
    assert "notes.json'" in refusal(tmp_path, task="detection")


def test_a_folder_without_boxes_says_what_is_expected(tmp_path):
    for label in ("one", "other"):
        put(tmp_path / label / "0.png")
    assert "holds no boxes: expected a .json file of images, annotations and categories" in refusal(
        tmp_path, task="detection"
    )


def test_boxes_scale_with_their_image(tmp_path):
    """Images of 8 x 6 pixels are padded to 8 x 8 and doubled: one row of padding above."""
    write(tmp_path, annotations(20))
    data = pipelines.load(str(tmp_path), task="detection", image_size=16, batch_size=2, augmentation="none")
    assert (data.task, data.image_shape, data.num_classes) == ("detection", (16, 16, 3), 3)
    assert data.counts("train").sum() == data.sizes["train"]
    for _, targets in data.evaluation("validation"):
        np.testing.assert_allclose(targets["boxes"][0], [[4, 4, 12, 10]], atol=1e-4)


def test_boxes_serve_no_other_task(tmp_path):
    write(tmp_path, annotations(20))
    assert pipelines.load(str(tmp_path), task="reconstruction", batch_size=2).task == "reconstruction"
    with pytest.raises(pipelines.errors.BadData):
        pipelines.load(str(tmp_path), task="classification", batch_size=2)
