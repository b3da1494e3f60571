"""Folders with PASCAL VOC's annotations."""

import numpy as np
import pytest
from PIL import Image

import pipelines
from benchmarks.faults.image_files import encode
from pipelines.readers.folder import read_folder
from tests.pipelines.files import names, picture, put, refusal

pytestmark = pytest.mark.usefixtures("own_data_dir")


def described(name="dog", box=(3, 2, 6, 4), rest=""):
    corners = "".join(f"<{key}>{v}</{key}>" for key, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox>{rest}</object>"


def annotation(*objects, width=8, height=6):
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>other.jpg</filename>{size}{''.join(objects)}</annotation>".encode()


def scenes(root, count=20, images="JPEGImages", annotations="Annotations"):
    """Images of 8 x 6 pixels with one dog or cat: pixels 3 to 6 across and 2 to 4 down, counted from 1."""
    for number in range(count):
        put(root / images / f"{number:03}.png", number=number)
        put(root / annotations / f"{number:03}.xml", annotation(described("dog" if number % 2 else "cat")))
    return root


def lists(root, **splits):
    for split, stems in splits.items():
        put(root / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{stem}\n" for stem in stems).encode())


def row_of(listing, name):
    """The boxes and labels of an image."""
    for files in listing.splits.values():
        for path, boxes, labels in zip(files.paths, files.boxes, files.box_labels, strict=True):
            if path.endswith(name):
                return boxes[labels >= 0], labels[labels >= 0]
    raise AssertionError(name)


@pytest.mark.parametrize("folders", [("JPEGImages", "Annotations"), ("images", "annotations")])
def test_corners_are_pixels_counted_from_1(tmp_path, folders):
    listing = read_folder(scenes(tmp_path, 20, *folders))
    assert (listing.task, listing.class_names) == ("detection", ("cat", "dog"))
    assert sum(len(files.paths) for files in listing.splits.values()) == 20
    boxes, labels = row_of(listing, "001.png")
    np.testing.assert_allclose(boxes, [[2 / 8, 1 / 6, 6 / 8, 4 / 6]], rtol=1e-6)
    assert labels.tolist() == [1]


def test_several_objects_their_parts_and_marks(tmp_path):
    scenes(tmp_path)
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    objects = [described("dog", rest=part), described("cat", (1, 1, 8, 6), "<difficult>1</difficult>")]
    put(tmp_path / "Annotations" / "003.xml", annotation(*objects))
    listing = read_folder(tmp_path)
    boxes, labels = row_of(listing, "003.png")
    np.testing.assert_allclose(boxes, [[2 / 8, 1 / 6, 6 / 8, 4 / 6], [0, 0, 1, 1]], rtol=1e-6)
    assert labels.tolist() == [1, 0]
    assert listing.notes == {"boxes marked as difficult, kept": 1}


def test_splits_of_the_lists(tmp_path):
    scenes(tmp_path, 8)
    (tmp_path / "Annotations" / "004.xml").unlink()
    lists(tmp_path, train=["000", "001", "004"], val=["002"], test=["003", "005"], dog_train=["006  1", "007 -1"])
    listing = read_folder(tmp_path)
    splits = names(listing, tmp_path)
    assert {split: [path[-7:-4] for path in paths] for split, paths in splits.items()} == {
        "train": ["000", "001"],
        "validation": ["002"],
        "test": ["003", "005"],
    }
    assert listing.notes == {"images that are not used, of no list or without annotations": 3}


@pytest.mark.parametrize("masks", ["SegmentationClass", "masks"])
def test_masks_come_first_and_boxes_are_served_when_asked_for(tmp_path, masks):
    scenes(tmp_path)
    for number in range(20):
        put(tmp_path / masks / f"{number:03}.png", encode(np.full((6, 8), number % 2, np.uint8), "PNG"))
    assert read_folder(tmp_path).task == "segmentation"
    assert read_folder(tmp_path, task="segmentation").task == "segmentation"
    assert read_folder(tmp_path, task="detection").task == "detection"


def test_classes_of_a_file(tmp_path):
    scenes(tmp_path)
    put(tmp_path / "classes.txt", b"dog\ncow\ncat\n")
    assert read_folder(tmp_path).class_names == ("dog", "cow", "cat")
    put(tmp_path / "classes.txt", b"dog\ncow\n")
    assert "classes.txt' does not name class 'cat' of an object in" in refusal(tmp_path)


def test_one_class_is_enough(tmp_path):
    scenes(tmp_path)
    for number in range(20):
        put(tmp_path / "Annotations" / f"{number:03}.xml", annotation(described("dog")))
    assert read_folder(tmp_path).class_names == ("dog",)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
HOSTILE = {
    "entities that grow": f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l11;</annotation>',
    "another file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
    "an external document type": '<!DOCTYPE annotation SYSTEM "http://127.0.0.1:1/x.dtd"><annotation/>',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_xml_is_refused(tmp_path, text):
    scenes(tmp_path)
    put(tmp_path / "Annotations" / "003.xml", text.encode())
    assert "003.xml' cannot be read as an annotation of PASCAL VOC: it declares a document type" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no element found"),
        (b"<annotation><object>", "no element found"),
        (b"<a>" * 100_000, "no element found"),
        (annotation(described(box=(1, 2, "x", 4))), "xmax is 'x', no number"),
        (annotation(described(box=(1, 2, "nan", 4))), "xmax is 'nan', no number"),
        (annotation("<object><name>dog</name></object>"), "xmin is 'missing', no number"),
        (annotation(described(name="")), "an object has no name"),
        (b"<annotation>" + b" " * 2**24 + b"</annotation>", "it is larger than 16 MiB"),
    ],
    ids=["empty", "cut", "deep", "text", "nan", "no box", "no name", "large"],
)
def test_faulty_annotations_are_one_line(tmp_path, content, reason):
    scenes(tmp_path, 3)
    put(tmp_path / "Annotations" / "001.xml", content or b" ")
    assert reason in refusal(tmp_path)


def test_an_annotation_without_its_image(tmp_path):
    scenes(tmp_path)
    (tmp_path / "JPEGImages" / "003.png").unlink()
    assert "003.xml' has no image of that name in" in refusal(tmp_path)


def test_a_listed_name_without_an_image(tmp_path):
    scenes(tmp_path, 4)
    lists(tmp_path, train=["000", "777"])
    assert "names 777, but there is no such image" in refusal(tmp_path)


def test_a_name_in_two_splits(tmp_path):
    scenes(tmp_path, 4)
    lists(tmp_path, train=["000", "001"], val=["001"])
    assert "names 001, which is of the train split already" in refusal(tmp_path)


def test_no_training_list_names_an_annotated_image(tmp_path):
    scenes(tmp_path, 4)
    put(tmp_path / "JPEGImages" / "bare.png", number=99)
    lists(tmp_path, train=["bare"], val=["001"])
    assert "no image of train.txt or trainval.txt in" in refusal(tmp_path)


def test_boxes_scale_with_their_images_of_various_sizes(tmp_path):
    """An image of 32 x 16 pixels is padded to a square and halved."""
    scenes(tmp_path)
    lists(tmp_path, train=[f"{number:03}" for number in range(10)], val=["010"], test=["011"])
    put(tmp_path / "JPEGImages" / "010.png", encode(np.asarray(Image.fromarray(picture(1)).resize((32, 16))), "PNG"))
    put(tmp_path / "Annotations" / "010.xml", annotation(described(box=(9, 5, 24, 12)), width=32, height=16))
    data = pipelines.load(str(tmp_path), task="detection", image_size=16, batch_size=2, augmentation="none")
    ((_, targets),) = list(data.evaluation("validation"))
    np.testing.assert_allclose(targets["boxes"][0], [[4, 6, 12, 10]], atol=1e-4)
    for _, targets in data.train(1):
        assert targets["boxes"].shape[1:] == (1, 4)
