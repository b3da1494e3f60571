"""The builders of the drawn data sets: what is on the disk, and that it is drawn again to the same bytes."""

import logging
import zlib

import absl.logging
import numpy as np
import pytest

from pipelines.catalogue import prepare_builder
from pipelines.embedded import scenes, solids, tones
from pipelines.readers.features import MASK_CLASSES
from tests.pipelines.embedded.difficulties import SMALL

FIGURES = ["disc", "square", "triangle", "star", "ring", "cross"]
MEDIUM_SCENE, MEDIUM_TONE, MEDIUM_SOLID = (module.DIFFICULTIES[0] for module in (scenes, tones, solids))


@pytest.mark.parametrize(
    ("name", "types"),
    [
        (
            "shapes",
            {
                "image": ((96, 96, 3), np.uint8),
                "segmentation_mask": ((96, 96, 1), np.uint8),
                "instance_mask": ((96, 96, 1), np.uint8),
            },
        ),
        ("boxes", {"image": ((96, 96, 3), np.uint8)}),
        ("tones", {"audio": ((8000,), np.int16), "label": ((), np.int64)}),
        ("solids", {"volume": ((32, 32, 32, 1), np.uint8), "label": ((), np.int64)}),
        (
            "solids:1.1.0",
            {
                "volume": ((32, 32, 32, 1), np.uint8),
                "label": ((), np.int64),
                "segmentation_mask": ((32, 32, 32, 1), np.uint8),
            },
        ),
    ],
)
def test_facts(small, name, types):
    builder = small(name)
    assert builder.builder_config.name == "medium"
    assert set(builder.builder_configs) == {"easy", "medium", "hard"}
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == SMALL
    assert builder.info.dataset_size / 60 * 1500 < 35e6
    example = next(builder.as_dataset(split="validation").as_numpy_iterator())
    assert {key: (example[key].shape, example[key].dtype) for key in types} == types
    assert example.keys() - types.keys() <= {"objects"}


def test_class_names(small):
    features = {name: small(name).info.features for name in ("shapes", "boxes", "tones", "solids")}
    assert features["shapes"]["segmentation_mask"].names == ["background", *FIGURES]
    assert features["boxes"]["objects"].feature["label"].names == FIGURES
    assert features["tones"]["label"].num_classes == 10
    assert features["solids"]["label"].num_classes == 8


def test_examples_are_drawn_by_split_and_number(small, examples_of):
    for split, name in enumerate(small("tones").SIZES):
        for number, example in enumerate(examples_of("tones", name)):
            np.testing.assert_array_equal(example["audio"], small("tones").draw(split, number)["audio"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sizes", "classes"),
    [
        ("shapes", {"train": 800, "validation": 100, "test": 200}, None),
        ("boxes", {"train": 800, "validation": 100, "test": 200}, None),
        ("tones", {"train": 1000, "validation": 200, "test": 300}, 10),
        ("solids", {"train": 800, "validation": 100, "test": 200}, 8),
    ],
)
def test_sizes_and_balance(monkeypatch, tmp_path, name, sizes, classes):
    """All examples of a builder, the drawing left out."""
    mask = np.zeros((96, 96), np.uint8)
    blank = scenes.Scene(np.zeros((96, 96, 3), np.uint8), mask, mask, ())
    monkeypatch.setattr(scenes, "scene", lambda *_: blank)
    monkeypatch.setattr(tones, "recording", lambda *_: np.zeros(8000, np.int16))
    empty = np.zeros((32, 32, 32), np.uint8)
    monkeypatch.setattr(solids, "solid", lambda *_: (empty, empty > 0))
    builder = prepare_builder(f"{name}/easy", str(tmp_path))
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == sizes
    for split in sizes:
        if classes:
            labels = [example["label"] for example in builder.as_dataset(split=split).as_numpy_iterator()]
            counts = np.bincount(labels, minlength=classes)
            assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("number", [0, 7, 9])
@pytest.mark.parametrize("name", ["shapes", "boxes"])
def test_a_second_drawing_gives_the_stored_scene(examples_of, name, number):
    drawn = scenes.scene(MEDIUM_SCENE, 1, number)
    example = examples_of(name, "validation")[number]
    np.testing.assert_array_equal(example["image"], drawn.image)
    if name == "shapes":
        np.testing.assert_array_equal(example["segmentation_mask"][..., 0], drawn.classes)
        np.testing.assert_array_equal(example["instance_mask"][..., 0], drawn.instances)


@pytest.mark.parametrize("number", [0, 7, 9])
def test_a_second_synthesis_gives_the_stored_tone(examples_of, number):
    tone = examples_of("tones", "validation")[number]
    np.testing.assert_array_equal(tone["audio"], tones.recording(MEDIUM_TONE, tone["label"], 1, number))


@pytest.mark.parametrize("number", [0, 7, 9])
def test_a_second_drawing_gives_the_stored_solid(examples_of, number):
    solid = examples_of("solids", "validation")[number]
    np.testing.assert_array_equal(solid["volume"][..., 0], solids.volume(MEDIUM_SOLID, solid["label"], 1, number))


@pytest.mark.parametrize("number", [0, 7, 9])
def test_the_mask_is_the_solid_without_flipped_voxels(examples_of, number):
    solid = examples_of("solids:1.1.0", "validation")[number]
    volume = solid["volume"][..., 0] > 0
    mask = solid["segmentation_mask"][..., 0]
    assert set(np.unique(mask)) == {0, solid["label"] + 1}
    assert ((mask > 0) != volume).mean() == pytest.approx(MEDIUM_SOLID.flipped, rel=0.5)
    np.testing.assert_array_equal(volume, examples_of("solids", "validation")[number]["volume"][..., 0] > 0)


def test_masks_have_the_names_of_the_solids():
    assert MASK_CLASSES["solids"] == (("background", *solids.CLASSES), 0)


@pytest.mark.parametrize(("split", "number"), [(0, 1), (1, 0)])
def test_no_example_is_another(split, number):
    assert (scenes.scene(MEDIUM_SCENE, split, number).image != scenes.scene(MEDIUM_SCENE, 0, 0).image).any()
    assert (tones.recording(MEDIUM_TONE, 0, split, number) != tones.recording(MEDIUM_TONE, 0, 0, 0)).any()
    assert (solids.volume(MEDIUM_SOLID, 0, split, number) != solids.volume(MEDIUM_SOLID, 0, 0, 0)).any()


@pytest.mark.parametrize(
    ("draw", "checksum"),
    [
        (lambda: scenes.scene(MEDIUM_SCENE, 0, 0).image, 1984004224),
        (lambda: scenes.scene(MEDIUM_SCENE, 0, 0).instances, 2589128961),
        (lambda: tones.recording(MEDIUM_TONE, 8, 0, 8), 1287072327),
        (lambda: solids.volume(MEDIUM_SOLID, 4, 0, 4), 693087180),
    ],
    ids=["image", "instances", "tone", "solid"],
)
def test_the_bytes_are_those_of_every_other_machine(draw, checksum):
    """Pinned: a change of these numbers is a change of the data, which needs a new VERSION."""
    assert zlib.crc32(draw().tobytes()) == checksum


def test_reading_is_quiet(small, monkeypatch):
    """TFDS warns about its code once a process; here it would warn each time, if nothing stopped it."""
    monkeypatch.setattr(absl.logging, "log_first_n", lambda level, text, n, *args: absl.logging.log(level, text, *args))
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("absl")
    logger.addHandler(handler)
    try:
        next(iter(small("solids").as_dataset(split="test")))
        absl.logging.warning("another")
    finally:
        logger.removeHandler(handler)
    assert messages == ["another"]
