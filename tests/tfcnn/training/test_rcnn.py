"""What R-CNN learns after its network, against scikit-learn on all examples at once and against loops."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from tests.tfcnn.detection.grid import iou_on_grid
from tfcnn.errors import TrainingFailed
from tfcnn.training import rcnn

RNG = np.random.default_rng(0)


def test_mining_ends_at_the_svm_of_all_negatives(monkeypatch):
    monkeypatch.setattr(rcnn, "FIRST_NEGATIVES", 50)
    positives = RNG.normal(1, 1, (60, 8))
    negatives = RNG.normal(-1, 1, (3000, 8))
    kernel, bias = rcnn.fit_svm(positives, negatives, seed=0)
    examples = np.concatenate([positives, negatives])
    whole = LinearSVC(C=rcnn.PENALTY, dual=False, class_weight={1: 2.0, 0: 1.0}, intercept_scaling=10.0)
    whole.fit(examples, np.arange(len(examples)) < len(positives))
    margins = whole.decision_function(examples)
    np.testing.assert_allclose(examples @ kernel + bias, margins, atol=0.05)
    assert (margins[60:] > rcnn.HARD).sum() > 50  # more than it began with


def test_features_beyond_the_memory():
    with pytest.raises(TrainingFailed, match=r"4,096 features of 1,000,000,000 regions take .* GiB"):
        rcnn.check_memory(10**9, 4096)


def test_the_regression_finds_a_linear_map():
    maps = RNG.normal(size=(200, 6))
    kernel = RNG.normal(size=(6, 4))
    estimate, bias = rcnn.fit_boxes(maps, maps @ kernel + [1, 2, 3, 4], np.arange(200) // 4)
    np.testing.assert_allclose(estimate, kernel, atol=0.02)
    np.testing.assert_allclose(bias, [1, 2, 3, 4], atol=0.02)


def regions_of_images(images):
    """Ten regions of each image, which are alike; no map explains their displacements."""
    numbers = np.repeat(np.arange(images), 10)
    maps = RNG.normal(size=(images, 80))[numbers] + 0.01 * RNG.normal(size=(len(numbers), 80))
    return maps, RNG.normal(size=(images, 4))[numbers], numbers


def test_the_regression_does_not_learn_images_by_heart():
    maps, deltas, numbers = regions_of_images(60)
    kernel, bias = rcnn.fit_boxes(maps, deltas, numbers)
    assert np.std(maps @ kernel + bias) < 0.3


def test_the_regression_of_two_images_has_the_papers_penalty():
    maps, deltas, numbers = regions_of_images(2)
    kernel, bias = rcnn.fit_boxes(maps, deltas, numbers)
    centred = maps - maps.mean(0)
    expected = np.linalg.solve(centred.T @ centred + 1000 * np.eye(80), centred.T @ deltas)
    np.testing.assert_allclose(kernel, expected, atol=1e-9)
    np.testing.assert_allclose(bias, deltas.mean(0) - maps.mean(0) @ expected, atol=1e-9)


def test_the_largest_iou_with_a_box_of_each_class():
    corners = RNG.integers(0, 10, (12, 2))
    rows = np.concatenate([corners, corners + RNG.integers(2, 9, (12, 2))], axis=1)
    regions, boxes = rows[:8], rows[8:]
    labels = np.array([2, 0, 2, 0])
    ious = rcnn.ious_with_classes(regions.astype("float32"), boxes.astype("float32"), labels, num_classes=3)
    for region, row in zip(regions, ious, strict=True):
        for label in range(3):
            of_class = [iou_on_grid(region, box) for box, other in zip(boxes, labels, strict=True) if other == label]
            assert row[label] == pytest.approx(max(of_class, default=0), abs=1e-6)


def test_heads_are_zero_for_a_class_without_an_example():
    values = RNG.normal(size=(40, 5)).astype("float32")
    labels = np.array([0] * 10 + [-1] * 30, "int32")
    ious = np.zeros((40, 2), "float32")
    ious[:10, 0] = 1
    targets = np.zeros((10, 5), "float32")
    features = rcnn.Features(values, labels, ious, RNG.normal(size=(10, 7)).astype("float32"), targets, np.arange(10))
    heads = rcnn.fit_heads(features, num_classes=2, seed=0)
    assert heads.svm_kernel.shape == (5, 3)
    assert heads.box_kernel.shape == (7, 8)
    assert not heads.svm_kernel[:, 1:].any()
    assert heads.svm_bias[1:].tolist() == [-1, 0]


def test_heads_score_features_as_the_svm_of_scaled_ones():
    values = np.concatenate([RNG.normal(1, 1, (30, 5)), RNG.normal(-1, 1, (300, 5))]).astype("float32")
    labels = np.array([0] * 30 + [-1] * 300, "int32")
    ious = np.array([[1.0]] * 30 + [[0.0]] * 300, "float32")
    features = rcnn.Features(
        values, labels, ious, np.zeros((0, 7), "float32"), np.zeros((0, 5), "float32"), np.arange(0)
    )
    heads = rcnn.fit_heads(features, num_classes=1, seed=0)
    scale = rcnn.NORM / np.linalg.norm(values, axis=1).mean()
    kernel, bias = rcnn.fit_svm(scale * values[:30], scale * values[30:], seed=0)
    np.testing.assert_allclose(
        values @ heads.svm_kernel[:, 0] + heads.svm_bias[0], scale * values @ kernel + bias, rtol=1e-3, atol=1e-4
    )
