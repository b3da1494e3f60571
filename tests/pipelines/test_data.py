import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import naming

import pipelines
from pipelines import sources


def batches(data, *args, **kwargs):
    return list(data.train(*args, **kwargs).as_numpy_iterator())


def rows(data, epoch):
    """The training images of an epoch, one by one."""
    return np.concatenate([images for images, _ in batches(data, 1, epoch)])


@pytest.fixture(scope="module")
def digits():
    return pipelines.load("digits", batch_size=32)


@pytest.fixture(scope="module")
def plain():
    return pipelines.load("digits", batch_size=32, augmentation="none")


def test_facts(digits):
    assert digits.facts() == {
        "name": "digits",
        "task": "classification",
        "image_shape": (32, 32, 1),
        "num_classes": 10,
        "class_names": tuple("0123456789"),
        "sizes": {"train": 1257, "validation": 180, "test": 360},
        "mean": digits.mean,
        "std": digits.std,
    }
    json.dumps(digits.facts())


def test_splits_hold_every_scan_once_and_are_stratified(plain):
    from sklearn.datasets import load_digits

    scans = load_digits()
    data = pipelines.load("digits", image_size=8, augmentation="none")
    found = []
    for split, size in data.sizes.items():
        images, targets = (
            np.concatenate(part) for part in zip(*data.evaluation(split).as_numpy_iterator(), strict=True)
        )
        assert len(images) == size
        shares = targets.mean(0)
        np.testing.assert_allclose(shares, np.bincount(scans.target) / len(scans.target), atol=0.01)
        pixels = np.round((images * data.std[0] + data.mean[0]) * 16)
        found += [(*image.ravel().astype(int), label) for image, label in zip(pixels, targets.argmax(1), strict=True)]
    expected = [(*image.ravel().astype(int), label) for image, label in zip(scans.images, scans.target, strict=True)]
    assert sorted(found) == sorted(expected)


def test_an_epoch_is_a_permutation_and_the_next_is_another(plain):
    first, second = rows(plain, 0), rows(plain, 1)
    assert len(first) == plain.steps_per_epoch * 32 == 1248
    flat = {image.tobytes() for image in first}
    everything = {image.tobytes() for images, _ in plain.evaluation("train").as_numpy_iterator() for image in images}
    assert flat <= everything
    assert len(everything) - len(flat) <= len(everything) - 1248 + 9  # some scans are equal
    assert (first != second).any()


def test_order_and_augmentation_do_not_depend_on_the_epochs_before(digits):
    whole = batches(digits, 3)
    steps = digits.steps_per_epoch
    assert len(whole) == 3 * steps
    for resumed, expected in zip(batches(digits, 1, first_epoch=2), whole[2 * steps :], strict=True):
        np.testing.assert_array_equal(resumed[0], expected[0])
        np.testing.assert_array_equal(resumed[1], expected[1])


def test_the_seed_decides():
    first, same, other = (pipelines.load("digits", seed=seed).train() for seed in (3, 3, 4))
    first, same, other = (next(iter(dataset))[0].numpy() for dataset in (first, same, other))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_luck_belongs_to_the_example_and_not_to_its_place():
    """Augmentation is a function of (seed, epoch, example): another batch size moves no example's augmentation."""
    small, large = (rows(pipelines.load("digits", batch_size=size), 1) for size in (8, 64))
    common = {image.tobytes() for image in small} & {image.tobytes() for image in large}
    assert len(common) >= 1208


def test_training_images_are_augmented_and_evaluation_images_are_not(digits, plain):
    assert (rows(digits, 0) != rows(plain, 0)).any(axis=(1, 2, 3)).mean() > 0.99
    a, b = (next(iter(data.evaluation("test")))[0].numpy() for data in (digits, plain))
    np.testing.assert_array_equal(a, b)


def test_standardised_by_the_training_images():
    data = pipelines.load("digits", image_size=8)
    images = np.concatenate([images for images, _ in data.evaluation("train").as_numpy_iterator()])
    assert images.mean() == pytest.approx(0, abs=1e-3)
    assert images.std() == pytest.approx(1, abs=1e-3)


def test_resizing_is_that_of_pillow():
    small, large = (pipelines.load("digits", image_size=size) for size in (8, 20))
    before, after = (next(iter(data.evaluation("test")))[0][0, ..., 0].numpy() for data in (small, large))
    oracle = Image.fromarray(before).resize((20, 20), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(after, np.asarray(oracle), atol=1e-4)


def test_batches_have_the_promised_types(digits):
    images, targets = next(iter(digits.train()))
    assert (images.shape, images.dtype) == ((32, 32, 32, 1), tf.float32)
    assert (targets.shape, targets.dtype) == ((32, 10), tf.float32)
    assert (targets.numpy().sum(1) == 1).all()


def test_too_few_images_for_a_batch():
    with pytest.raises(pipelines.BadData, match=r"1257 training images, fewer than a batch of 2000 \(--batch-size\)"):
        pipelines.load("digits", batch_size=2000)


# Any name of TensorFlow Datasets: the real loading code on examples that TFDS generates.


@pytest.fixture
def mocked(tmp_path):
    """Loads a data set whose files say that it has `examples` examples in each of `splits`; TFDS generates them."""

    def load(name, examples, splits=("train", "test"), **kwargs):
        info = tfds.builder(name, data_dir=tmp_path).info
        folder = Path(info.data_dir)
        folder.mkdir(parents=True)
        template = naming.ShardedFileTemplate(folder, dataset_name=info.name, filetype_suffix="tfrecord")
        known = [tfds.core.SplitInfo(split, [examples], 1, template) for split in splits]
        info.set_splits(tfds.core.splits.SplitDict(known))
        info.write_to_directory(folder)
        with tfds.testing.mock_data(num_examples=examples, data_dir=str(tmp_path)):
            return pipelines.load(name, **kwargs)

    return load


def test_images_of_one_size_live_in_memory(mocked):
    data = mocked("mnist", 40, batch_size=10)
    train, test = batches(data, 2), list(data.evaluation("test").as_numpy_iterator())
    assert (data.name, data.image_shape, data.num_classes) == ("mnist", (32, 32, 1), 10)
    assert data.class_names == tuple("0123456789")
    assert len(train) == 2 * data.steps_per_epoch
    assert train[0][0].shape == (10, 32, 32, 1)
    assert sum(len(images) for images, _ in test) == data.sizes["test"]


def test_images_of_many_sizes_are_streamed(mocked):
    data = mocked("oxford_flowers102", 24, ("train", "validation", "test"), image_size=48, batch_size=8)
    train, test = batches(data, 2), list(data.evaluation("test").as_numpy_iterator())
    assert (data.image_shape, data.num_classes, data.steps_per_epoch) == ((48, 48, 3), 102, 3)
    assert data.mean == sources.PHOTO_MEAN
    assert [images.shape for images, _ in train] == [(8, 48, 48, 3)] * 6
    assert all(np.isfinite(images).all() for images, _ in train)
    assert (train[0][0] != train[3][0]).any()
    assert sum(len(images) for images, _ in test) == 24


def test_a_stream_is_a_function_of_seed_and_epoch(mocked, monkeypatch):
    monkeypatch.setattr("pipelines.data.IN_MEMORY", 0)
    data = mocked("cifar10", 30, ("train", "validation", "test"), batch_size=10)
    assert data.image_shape == (32, 32, 3)
    tf.random.set_seed(0)  # the seed of the process is none of the pipeline's
    whole = batches(data, 2)
    tf.random.set_seed(1)
    resumed = batches(data, 1, first_epoch=1)
    assert len(whole) == 6
    for (images, targets), (expected, labels) in zip(resumed, whole[3:], strict=True):
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(targets, labels)
    assert (whole[0][0] != whole[3][0]).any()


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (("train", "validation", "test"), {"train": 100, "validation": 100, "test": 100}),
        (("train", "test"), {"train": 90, "validation": 10, "test": 100}),
        (("train", "validation"), {"train": 90, "validation": 10, "test": 100}),
        (("train",), {"train": 80, "validation": 10, "test": 10}),
    ],
)
def test_missing_splits_are_cut_from_the_training_images(mocked, monkeypatch, splits, expected):
    monkeypatch.setattr("pipelines.data.IN_MEMORY", 0)  # a stream's sizes are those of the metadata
    assert mocked("cifar10", 100, splits).sizes == expected


@pytest.mark.parametrize("name", ["coco/2017", "ag_news_subset"])
def test_data_without_an_image_and_a_label(mocked, name):
    with pytest.raises(pipelines.BadData, match="not an image and a class label"):
        mocked(name, 4)
