import numpy as np

from tests.tfcnn.detection.grid import iou_on_grid
from tfcnn.detection.boxes import box_iou

RNG = np.random.default_rng(0)


def boxes(count):
    corner = RNG.integers(0, 8, (count, 2))
    return np.concatenate([corner, corner + 1 + RNG.integers(0, 8, (count, 2))], axis=1)


def test_iou_is_that_of_the_pixels():
    first = boxes(4)
    second = boxes(5)
    expected = [[iou_on_grid(a, b) for b in second] for a in first]
    np.testing.assert_allclose(box_iou(first.astype(float), second.astype(float)), expected, rtol=1e-12)
    assert 0 < np.mean(expected) < 1


def test_iou_of_empty_boxes_is_0():
    assert box_iou(np.zeros((1, 4)), np.zeros((1, 4))) == 0
