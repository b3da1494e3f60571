"""TFRecords and tars of samples: the examples of a folder, in its order."""

import json
import tarfile

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from benchmarks.faults.image_files import encode
from pipelines.augmentation.policy import Augmentation
from pipelines.readers import tfrecords
from pipelines.readers.shards import find_shards
from tests.pipelines.files import put
from tests.pipelines.shards import (
    CLASSES,
    SPLITS,
    WRITERS,
    add,
    example,
    images,
    load,
    refusal,
    write_folder,
    write_tars,
    write_tfrecords,
)

pytestmark = pytest.mark.usefixtures("own_data_dir")


def batches(dataset):
    return [(inputs, targets) for inputs, targets in dataset.as_numpy_iterator()]


def assert_equal_batches(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


CROPPED = {"image_size": 16, "augmentation": Augmentation(hflip=0.5, scale=(0.25, 1.0))}


@pytest.fixture(scope="module")
def of_folder(tmp_path_factory):
    """The data of a folder of images of two heights, cropped at random; their training and test batches."""
    data = load(write_folder(tmp_path_factory.mktemp("folder"), 20), tmp_path_factory.mktemp("cache"), **CROPPED)
    return data, batches(data.train(2)), batches(data.evaluation("test"))


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("memory", [0, 2048], ids=["streamed", "in memory"])
def test_records_are_the_examples_of_the_folder(kind, memory, of_folder, tmp_path):
    """Fingerprint, facts, order, pixels; and what is left of a run that was stopped in its second epoch."""
    folder, training, test = of_folder
    records = load(WRITERS[kind](tmp_path / "records", 20), tmp_path / "cache", data_memory=memory, **CROPPED)
    assert records.fingerprint == folder.fingerprint
    for fact in ("class_names", "sizes", "mean", "std", "image_shape", "notes", "duplicates"):
        assert getattr(records, fact) == getattr(folder, fact)
    assert ("26 records read from the disk" in records.storage) == (memory == 0)
    assert_equal_batches(batches(records.train(2)), training)
    assert_equal_batches(batches(records.train(1, first_epoch=1, first_step=1)), training[5:])
    assert_equal_batches(batches(records.evaluation("test")), test)


@pytest.mark.parametrize("kind", WRITERS)
def test_small_records_in_memory_are_those_of_arrays(kind, tmp_path):
    arrays = {}
    for split in SPLITS:
        rows = list(images(split))
        key = split.replace("validation", "val")
        arrays[f"x_{key}"] = np.stack([tf.io.decode_png(content).numpy() for _, content, _ in rows])
        arrays[f"y_{key}"] = np.array([name for _, _, name in rows])
    np.savez(tmp_path / "arrays.npz", **arrays)
    expected = load(tmp_path / "arrays.npz", tmp_path, augmentation=Augmentation(hflip=0.5))
    data = load(WRITERS[kind](tmp_path / "records"), tmp_path, augmentation=Augmentation(hflip=0.5))
    assert "decoded in memory" in data.storage
    assert_equal_batches(batches(data.train(2)), batches(expected.train(2)))


def test_missing_splits_are_cut_by_content(tmp_path):
    """A pattern that leaves the other files out."""
    write_folder(tmp_path / "folder")
    for split in ("validation", "test"):
        (tmp_path / "folder" / split).rename(tmp_path / split)
    expected = load(tmp_path / "folder", tmp_path, batch_size=2)
    data = load(write_tfrecords(tmp_path / "records") / "train-*.tfrecord", tmp_path, batch_size=2)
    assert data.sizes == expected.sizes
    assert data.fingerprint == expected.fingerprint
    assert data.name == str(tmp_path / "records" / "train-*.tfrecord")


@pytest.mark.parametrize(
    "label",
    [
        lambda name: (".cls", b"%d\n" % CLASSES.index(name)),
        lambda name: (".json", json.dumps({"label": CLASSES.index(name), "other": [1]}).encode()),
        lambda name: (".json", json.dumps({"cls": str(CLASSES.index(name))}).encode()),
    ],
)
def test_numbers_of_classes_are_named_by_a_file(label, tmp_path):
    write_tars(tmp_path / "tars", label=label)
    assert load(tmp_path / "tars", tmp_path).class_names == ("0", "1")
    (tmp_path / "tars" / "classes.txt").write_text("wolf\nfox\nlynx\n")
    with pytest.raises(pipelines.BadData, match="class 'lynx' has no image in the training split"):
        load(tmp_path / "tars", tmp_path)
    (tmp_path / "tars" / "classes.txt").write_text("wolf\nfox\n")
    assert load(tmp_path / "tars", tmp_path).class_names == ("wolf", "fox")


def test_short_keys_and_names_as_labels(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "few.tfrecords")) as file:
        file.write(example(b"image", b"dog", keys=("image", "label")))
    (record,) = tfrecords.read_tfrecord(str(tmp_path / "few.tfrecords"))
    assert (record.name, record.label, record.text, record.part.length) == ("few/00000000", "dog", "", 5)


def test_the_split_is_in_the_name_of_the_file_or_of_the_folder(tmp_path):
    for name in ("a-train-0.tar", "imagenet_val-000.tar", "TEST.tar", "validation/0.tar", "train/1.tar", "x.tar"):
        put(tmp_path / name, b"tar")
    splits = {shard.path.removeprefix(f"{tmp_path}/"): shard.split for shard in find_shards(str(tmp_path))}
    assert splits == {
        "TEST.tar": "test",
        "a-train-0.tar": "train",
        "imagenet_val-000.tar": "validation",
        "train/1.tar": "train",
        "validation/0.tar": "validation",
        "x.tar": "train",
    }


def test_a_folder_of_images_with_an_archive_is_one_of_images(tmp_path):
    put(tmp_path / "cats" / "1.png")
    put(tmp_path / "photos.tar", b"tar")
    assert find_shards(str(tmp_path)) == []


def test_a_bad_image_is_refused_or_left_out(tmp_path):
    write_tars(tmp_path / "tars")
    with tarfile.open(tmp_path / "tars" / "train-001.tar", "w") as tar:
        add(tar, "broken.png", encode(np.zeros((8, 8, 3), np.uint8), "PNG")[:-8])
        add(tar, "broken.cls", b"cat")
    assert "broken.png at 512' (class 'cat'): corrupt" in refusal(tmp_path / "tars", tmp_path)
    data = load(tmp_path / "tars", tmp_path, on_bad_image="skip")
    assert (data.sizes, len(data.bad)) == (SPLITS, 1)


def test_other_tasks_are_refused(tmp_path):
    write_tars(tmp_path / "tars")
    assert "serves classification, reconstruction, not segmentation" in refusal(
        tmp_path / "tars", tmp_path, task="segmentation"
    )
    assert load(tmp_path / "tars", tmp_path, task="reconstruction").task == "reconstruction"


@pytest.mark.slow
def test_twenty_thousand_records_have_the_order_of_arrays(tmp_path, monkeypatch):
    """Read by their place, while nothing stays in memory."""
    monkeypatch.setitem(SPLITS, "train", 20_000)
    write_tars(tmp_path / "records")
    data = load(tmp_path / "records", tmp_path, batch_size=500, data_memory=0, augmentation="none", image_size=8)
    assert "20,010 records read from the disk" in data.storage
    rows = list(images("train"))
    pixels = np.stack([tf.io.decode_png(content).numpy() for _, content, _ in rows])
    order = np.concatenate([numbers for numbers in data.order(tf.constant(0, tf.int64)).numpy()])
    np.testing.assert_array_equal(np.sort(order), np.arange(20_000))
    first = batches(data.train(1, first_step=36))
    assert len(first) == 4
    for step, (inputs, targets) in enumerate(first, start=36):
        chosen = order[500 * step : 500 * (step + 1)]
        np.testing.assert_allclose((inputs * data.std + data.mean) * 255, pixels[chosen], atol=0.01)
        np.testing.assert_array_equal(targets.argmax(-1), chosen >= 10_000)
