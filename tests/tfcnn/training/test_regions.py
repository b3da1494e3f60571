"""Batches of regions."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from tfcnn.detection.boxes import decode
from tfcnn.detection.targets import STD
from tfcnn.training.regions import RegionData, choose_regions, mirror

RNG = np.random.default_rng(0)


def choose_slowly(ious, draws, count):
    """The objects of the smallest draws, a quarter of `count` at most; then backgrounds."""
    objects = sorted((draw, place) for place, (iou, draw) in enumerate(zip(ious, draws, strict=True)) if iou >= 0.5)
    background = sorted(
        (draw, place) for place, (iou, draw) in enumerate(zip(ious, draws, strict=True)) if 0 <= iou < 0.5
    )
    objects = objects[: round(count / 4)]
    return {place for _, place in objects + background[: count - len(objects)]}


@pytest.mark.parametrize("count", [4, 8, 30])
def test_the_choice_of_regions(count):
    ious = RNG.uniform(0, 1, (3, 20)).astype("float32")
    ious[0, :18] = 0.9  # hardly any background
    ious[1] = 0.1  # no object
    ious[2, 12:] = -1  # padding
    draws = RNG.uniform(size=ious.shape).astype("float32")
    indices, valid = (tensor.numpy() for tensor in choose_regions(tf.constant(ious), tf.constant(draws), count))
    assert indices.shape == valid.shape == (3, count)
    for row in range(3):
        expected = choose_slowly(ious[row], draws[row], count)
        assert valid[row].sum() == len(expected)
        assert set(indices[row][valid[row]].tolist()) == expected


def test_mirroring_moves_regions_and_targets_with_the_image():
    images = RNG.normal(size=(2, 4, 10, 1)).astype("float32")
    regions = np.array([[[1, 0, 4, 2]], [[1, 0, 4, 2]]], "float32")
    targets = np.array([[[3, 0.5, 0.25, 1, 2]], [[3, 0.5, 0.25, 1, 2]]], "float32")
    (new_images, new_regions), new_targets = mirror((images, regions), targets, tf.constant([True, False]))
    np.testing.assert_array_equal(new_images[0], images[0, :, ::-1])
    np.testing.assert_array_equal(new_images[1], images[1])
    assert new_regions.numpy().tolist() == [[[6, 0, 9, 2]], [[1, 0, 4, 2]]]
    assert new_targets.numpy().tolist() == [[[3, -0.5, 0.25, 1, 2]], [[3, 0.5, 0.25, 1, 2]]]


@pytest.fixture(scope="module")
def data():
    """`few_boxes` with four proposals for each image, which are no search's."""
    plain = pipelines.load(
        "few_boxes", task="detection", batch_size=8, augmentation="none", dataset_module="tests.few_boxes"
    )
    fields = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    data = RegionData(**fields, regions=6)
    for split, size in data.sizes.items():
        corners = np.random.default_rng(size).uniform(0, 40, (size, 4, 2))
        data.proposals.put(split, list(np.concatenate([corners, corners + 40], axis=2).astype("float32")))
    return data


def batches(dataset, count):
    return [tf.nest.map_structure(lambda value: value.numpy(), batch) for batch in dataset.take(count)]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True))


def test_a_resumed_run_sees_the_batches_of_the_uninterrupted_one(data):
    whole = batches(data.train(2), 6)
    assert same(whole[3:], batches(data.train(1, first_epoch=1), 3))
    assert same(whole[2:], batches(data.train(2, first_step=2), 4))


def test_epochs_differ(data):
    assert not same(batches(data.train(1), 1), batches(data.train(1, first_epoch=1), 1))


def test_the_true_boxes_are_among_the_training_regions_alone(data):
    def largest_ious(split, with_truth):
        return data.matched(split, with_truth).ious.numpy().max(axis=1)

    assert (largest_ious("validation", True) == 1).all()
    assert (largest_ious("validation", False) < 1).all()


def test_validation_is_the_same_each_time(data):
    assert same(batches(data.evaluation("validation"), 2), batches(data.evaluation("validation"), 2))


def test_targets_fit_their_regions(data):
    """The displacement of each object leads to a true box of its class, mirrored or not."""
    truths = data.proposals.truths(data, "train")
    boxes = {label: [] for label in range(data.num_classes)}
    for truth in truths:
        for box, label in zip(truth["boxes"], truth["labels"], strict=True):
            x1, y1, x2, y2 = box
            boxes[int(label)] += [(x1, y1, x2, y2), (96 - x2, y1, 96 - x1, y2)]
    (((_, regions), targets),) = batches(data.train(1), 1)
    objects = (targets[..., 0] >= 0) & (targets[..., 0] < data.num_classes)
    assert objects.sum() >= 8
    for region, (label, *deltas) in zip(regions[objects], targets[objects], strict=True):
        moved = decode(np.array(deltas) * STD, region)
        assert np.abs(np.array(boxes[int(label)]) - moved).max(axis=1).min() < 1e-2
