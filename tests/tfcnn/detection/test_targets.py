"""The targets of regions."""

import numpy as np

from tfcnn.detection.targets import STD, region_targets

REGIONS = np.array([[0, 0, 10, 10], [2, 0, 12, 10], [40, 40, 60, 50], [-1, -1, -1, -1]], "float32")
BOXES = np.array([[0, 0, 10, 10], [-1, -1, -1, -1]], "float32")
LABELS = np.array([4, -1], "int32")


def test_classes_background_and_padding():
    targets, ious = region_targets(REGIONS, BOXES, LABELS, num_classes=6)
    assert targets[:, 0].tolist() == [4, 4, 6, -1]
    np.testing.assert_allclose(ious[:3], [1, 80 / 120, 0], rtol=1e-6)


def test_displacements_are_in_units_of_their_deviation():
    targets, _ = region_targets(REGIONS, BOXES, LABELS, num_classes=6)
    np.testing.assert_allclose(targets[1, 1:] * STD, [-0.2, 0, 0, 0], atol=1e-6)


def test_an_image_without_a_box_has_background_only():
    targets, ious = region_targets(REGIONS, np.full((1, 4), -1, "float32"), np.array([-1], "int32"), num_classes=6)
    assert targets[:, 0].tolist() == [6, 6, 6, -1]
    assert np.isfinite(targets).all()
    assert (ious <= 0).all()
