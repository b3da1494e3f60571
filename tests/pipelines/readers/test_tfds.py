"""Any name of TensorFlow Datasets: its real builder writes examples that are made here."""

import dataclasses
import io
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

import pipelines
from pipelines.augmentation.policy import NAMES, Augmentation, Policy
from pipelines.sources import Cache

RNG = np.random.default_rng(0)


def batches(data, *args, **kwargs):
    return list(data.train(*args, **kwargs).as_numpy_iterator())


def jpeg(height, width, quality=95):
    """A smooth picture as a file."""
    small = RNG.integers(0, 256, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return io.BytesIO(file.getvalue())


@pytest.fixture
def flowers(prepare_data):
    def some(count):
        return [{"image": jpeg(40 + i, 60), "label": i % 102, "file_name": str(i)} for i in range(count)]

    return prepare_data("oxford_flowers102", train=some(24), validation=some(6), test=some(9))


@pytest.fixture
def pets(prepare_data):
    def some(count):
        box = tfds.features.BBox(0.0, 0.0, 1.0, 1.0)
        for i in range(count):
            mask = np.full((50, 60, 1), 2, np.uint8)
            mask[:, : 30 + i] = 1
            mask[0] = 3
            rest = {"species": 0, "file_name": str(i), "head_bbox": box}
            yield {"image": jpeg(50, 60), "label": i % 37, "segmentation_mask": mask} | rest

    return prepare_data("oxford_iiit_pet", train=some(20), test=some(5))


@pytest.fixture
def voc(prepare_data):
    def some(count):
        for i in range(count):
            box = tfds.features.BBox(ymin=0.1, xmin=0.2, ymax=0.5, xmax=0.6)
            rest = {"pose": 0, "is_truncated": False, "is_difficult": False}
            objects = [{"label": label, "bbox": box} | rest for label in range(i % 3 + 1)]
            yield {"image": jpeg(50, 100), "image/filename": str(i), "objects": objects} | {
                "labels": [0],
                "labels_no_difficult": [0],
            }

    return prepare_data("voc/2007", train=some(20), validation=some(4), test=some(6))


@pytest.fixture
def cifar(prepare_data):
    def some(count, first):
        shade = [np.full((32, 32, 3), first + i, np.uint8) for i in range(count)]
        return [{"id": str(i), "image": image, "label": i % 10} for i, image in enumerate(shade)]

    return prepare_data("cifar10", train=some(100, 0), test=some(20, 150))


def test_images_of_one_size_are_decoded_in_memory(cifar):
    data = pipelines.load("cifar10", batch_size=10, data_dir=cifar)
    train = batches(data, 2)
    test = list(data.evaluation("test").as_numpy_iterator())
    assert (data.name, data.image_shape, data.num_classes) == ("cifar10", (32, 32, 3), 10)
    assert "120 examples decoded in memory" in data.storage
    assert len(train) == 2 * data.steps_per_epoch == 18
    assert train[0][0].shape == (10, 32, 32, 3)
    assert sum(len(images) for images, _ in test) == data.sizes["test"] == 20


def test_missing_splits_are_cut_from_the_training_images(cifar):
    data = pipelines.load("cifar10", batch_size=10, data_dir=cifar, image_size=32, augmentation="none")
    assert data.sizes == {"train": 90, "validation": 10, "test": 20}
    shades = []
    for split in data.sizes:
        for inputs, _ in data.evaluation(split).as_numpy_iterator():
            shades += np.round((inputs[:, 0, 0, 0] * data.std[0] + data.mean[0]) * 255).astype(int).tolist()
    assert sorted(shades) == [*range(100), *range(150, 170)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("memory", "storage"),
    [(2048, "39 examples encoded in memory"), (0, "39 records streamed from the disk, 24 at a time in memory")],
)
def test_images_of_many_sizes(flowers, memory, storage):
    data = pipelines.load(
        "oxford_flowers102", image_size=48, batch_size=8, data_dir=flowers, data_memory=memory, augmentation="rand"
    )
    assert storage in data.storage
    train = batches(data, 2)
    test = list(data.evaluation("test").as_numpy_iterator())
    assert (data.image_shape, data.num_classes, data.steps_per_epoch) == ((48, 48, 3), 102, 3)
    assert [images.shape for images, _ in train] == [(8, 48, 48, 3)] * 6
    assert all(np.isfinite(images).all() for images, _ in train)
    assert (train[0][0] != train[3][0]).any()
    assert sum(len(images) for images, _ in test) == 9
    labels = np.concatenate([targets.argmax(1) for _, targets in train[:3]])
    assert sorted(labels) == list(range(24))  # each once


@pytest.mark.slow
@pytest.mark.parametrize("memory", [2048, 0])
def test_epochs_and_steps_can_be_left_out(flowers, memory):
    """A resumed run reads what the uninterrupted one would have read, whatever the seed of the process."""
    data = pipelines.load(
        "oxford_flowers102", image_size=40, batch_size=5, data_dir=flowers, data_memory=memory, augmentation="rand"
    )
    tf.random.set_seed(0)
    whole = batches(data, 3)
    tf.random.set_seed(1)
    resumed = batches(data, 2, first_epoch=1, first_step=2)
    assert len(whole) == 12
    assert len(resumed) == 6
    for (images, targets), (expected, labels) in zip(resumed, whole[6:], strict=True):
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(targets, labels)


@pytest.mark.slow
def test_what_is_kept_in_memory_changes_nothing(flowers):
    options = {"image_size": 24, "batch_size": 6, "data_dir": flowers, "seed": 5}
    cached = pipelines.load("oxford_flowers102", **options)
    preparation = dataclasses.replace(cached.preparation, cache=Cache(0))
    streamed = dataclasses.replace(cached, preparation=preparation)
    assert "24 of 24 training images kept once decoded" in cached.storage
    for (a, _), (b, _) in zip(batches(cached, 3), batches(streamed, 3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert cached.preparation.cache.table.size() == 24


def load_masks(pets):
    return pipelines.load("oxford_iiit_pet", task="segmentation", image_size=60, batch_size=4, data_dir=pets)


@pytest.mark.slow
def test_masks_are_padded_as_their_images(pets):
    """The pet is the left part; of the fitted image the mask is 255 where the image was padded."""
    data = load_masks(pets)
    assert data.class_names == ("pet", "background", "outline")
    inputs, masks = next(iter(data.evaluation("test").unbatch().batch(5)))
    assert (masks.shape, masks.dtype) == ((5, 60, 60), tf.int32)
    for i, mask in enumerate(sorted(masks.numpy(), key=lambda mask: (mask == 0).sum())):
        assert (mask[:5] == 255).all()  # 50 of 60 rows are the image's
        assert (mask[-5:] == 255).all()
        assert (mask[5] == 2).all()
        assert (mask[6:-5, : 30 + i] == 0).all()
        assert (mask[6:-5, 30 + i :] == 1).all()
    black = inputs.numpy() * data.std + data.mean
    assert np.abs(black[:, :4]).max() < 0.02  # the padding


@pytest.mark.slow
def test_masks_are_mirrored_with_their_images(pets):
    data = load_masks(pets)
    augmented = np.concatenate([masks for _, masks in batches(data, 2)])
    assert set(np.unique(augmented)) <= {0, 1, 2, 255}
    flipped = [(mask[30, 0], mask[30, -1]) for mask in augmented]
    assert {(0, 1), (1, 0)} <= set(flipped)


@pytest.mark.slow
def test_the_task_decides_what_the_target_is(pets):
    data = pipelines.load("oxford_iiit_pet", image_size=32, batch_size=4, data_dir=pets)
    assert (data.task, data.num_classes) == ("classification", 37)
    same = pipelines.load("oxford_iiit_pet", task="reconstruction", image_size=32, batch_size=4, data_dir=pets)
    inputs, targets = next(iter(same.train()))
    np.testing.assert_array_equal(inputs, targets)
    with pytest.raises(pipelines.BadData, match=r"serves classification, segmentation, reconstruction, not detection"):
        pipelines.load("oxford_iiit_pet", task="detection", data_dir=pets)


@pytest.mark.slow
@pytest.mark.parametrize("memory", [2048, 0])
def test_boxes(voc, memory):
    data = pipelines.load("voc/2007", image_size=100, batch_size=3, data_dir=voc, data_memory=memory)
    assert (data.task, data.num_classes, data.fit) == ("detection", 20, "pad")
    targets = next(iter(data.evaluation("test").unbatch().map(lambda _, targets: targets).padded_batch(6)))
    # 50 x 100 pixels are put into the middle of 100 x 100: y is moved by 25.
    box = (20, 0.1 * 50 + 25, 60, 0.5 * 50 + 25)
    boxes = targets["boxes"].numpy()[targets["labels"].numpy() >= 0]
    np.testing.assert_allclose(boxes[boxes.sum(1) > 0], np.tile(box, (12, 1)), atol=1e-3)
    for _, targets in batches(data, 2):
        boxes = targets["boxes"]
        labels = targets["labels"]
        assert ((boxes == -1).all(-1) == (labels == -1)).all()
        assert boxes.max() <= 100
        kept = boxes[labels >= 0]
        assert (kept[:, 2:] > kept[:, :2]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "augmentation", [Augmentation(translate=0.9), Augmentation(scale=(0.05, 0.1))], ids=["shifted", "cropped"]
)
def test_boxes_that_leave_the_image_take_their_labels_with_them(voc, augmentation):
    data = pipelines.load("voc/2007", image_size=100, batch_size=3, augmentation=augmentation, data_dir=voc)
    labels = [targets["labels"][i] for _, targets in batches(data, 2) for i in range(3)]
    present = [targets["boxes"][i] != -1 for _, targets in batches(data, 2) for i in range(3)]
    for kept, corners in zip(labels, present, strict=True):
        np.testing.assert_array_equal(kept != -1, corners.any(-1))
    assert any((kept == -1).all() for kept in labels)
    assert any((kept != -1).any() for kept in labels)


def test_sounds_get_one_length(prepare_data):
    def some(count):
        return [{"audio": np.full(8000 + 3000 * i, 1000, np.int16), "label": i % 12} for i in range(count)]

    folder = prepare_data("speech_commands", train=some(12), validation=some(2), test=some(2))
    data = pipelines.load("speech_commands", batch_size=4, data_dir=folder, mean=(0,), std=(1,))
    assert (data.image_shape, data.value_range) == ((16000, 1), (0, 32768))
    sounds = next(iter(data.evaluation("train").unbatch().batch(12)))[0].numpy()[..., 0]
    assert sorted((sounds != 0).sum(1)) == [8000, 11000, 14000] + [16000] * 9
    np.testing.assert_allclose(sounds[:, :8000], 1000 / 32768, rtol=1e-5)
    with pytest.raises(pipelines.BadData, match=r"16000x1 are no images and keep their shape: leave image_size out"):
        pipelines.load("speech_commands", image_size=20, data_dir=folder)


def test_labels_that_are_no_class(prepare_data):
    def some(count, label):
        return [{"image": np.zeros((28, 28, 1), np.uint8), "label": label} for i in range(count)]

    folder = prepare_data("kmnist", train=some(40, 1), test=some(5, -1))
    with pytest.raises(
        pipelines.BadData, match=r"5 of 5 labels in its test split are no class: -1, allowed 0 \.\.\. 9"
    ):
        pipelines.load("kmnist", data_dir=folder)


def test_labels_of_a_stream_that_are_no_class(prepare_data):
    def some(count, label):
        return [{"image": jpeg(20, 24), "label": label} for _ in range(count)]

    folder = prepare_data("food101", train=some(20, 1), validation=some(5, -1))
    with pytest.raises(
        pipelines.BadData, match=r"5 of 5 labels in its test split are no class: -1, allowed 0 \.\.\. 100"
    ):
        pipelines.load("food101", data_dir=folder, data_memory=0)


def test_an_empty_split(prepare_data):
    one = [{"image": np.zeros((28, 28, 1), np.uint8), "label": 1}]
    folder = prepare_data("fashion_mnist", train=one, test=one)
    with pytest.raises(pipelines.BadData, match=r"has no example in train\[90%:\], its validation split \(dataset\)"):
        pipelines.load("fashion_mnist", data_dir=folder)


def test_data_without_an_image_and_a_label(prepare_data):
    one = [{"title": "a", "description": "b", "label": 0}]
    folder = prepare_data("ag_news_subset", train=one, test=one)
    with pytest.raises(pipelines.BadData, match=r"title, .*no image, audio or volume with a label, a mask or boxes"):
        pipelines.load("ag_news_subset", data_dir=folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_small_images_in_memory_can_be_cropped(name, cifar):
    """And then moved: that of small images is by shares of their size."""
    data = pipelines.load("cifar10", batch_size=10, data_dir=cifar, augmentation=Policy(name, margin=0.25))
    assert [inputs.shape for inputs, _ in batches(data)] == [(10, 32, 32, 3)] * 9


@pytest.mark.slow
def test_data_larger_than_memory_stream_through_it(prepare_data):
    """Records of twice the allowed memory: three epochs later the process is no larger."""

    def some(count):
        for i in range(count):
            yield {"image": RNG.integers(0, 256, (96, 96, 3), np.uint8), "label": i % 10}

    folder = prepare_data("stl10", train=list(some(1500)), test=list(some(20)))
    program = """
import os, sys
import pipelines
data = pipelines.load("stl10", batch_size=50, image_size=96, data_dir=sys.argv[1], data_memory=20)
print(data.storage)
for _ in data.train(3):
    print(int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20)
"""
    # With an arena for each thread glibc keeps some 140 MB of freed records, which it reaches in twenty epochs.
    environment = os.environ | {"MALLOC_ARENA_MAX": "2"}
    process = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True, env=environment
    )
    storage, *resident = process.stdout.splitlines()
    assert "records streamed from the disk" in storage
    resident = [int(value) for value in resident]
    half = len(resident) // 2
    assert len(resident) == 81
    assert max(resident) - resident[0] < 69  # the buffers; the records alone are 41 MB, and decoded as much
    # The second half, if it were kept, is 60 MB; up to 20 were measured while other work was running.
    assert max(resident[half:]) - max(resident[:half]) < 40
