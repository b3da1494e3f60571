import math

import numpy as np
import pytest

from tests.tfcnn.detection.grid import iou_on_grid
from tfcnn.detection.boxes import box_area, box_iou, clip, decode, encode

RNG = np.random.default_rng(0)
PADDING = np.full((1, 4), -1.0)


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


def test_area_of_a_batch():
    np.testing.assert_array_equal(box_area(np.array([[[0, 0, 2, 3.5]], [[-1, 1, 3, 2]]])), [[7], [4]])


def test_displacements_are_those_of_the_paper():
    """Appendix C, one region: centre (20, 15), 20 x 10; its box: centre (25, 12), 40 x 5."""
    deltas = encode(np.array([5, 9.5, 45, 14.5]), np.array([10, 10, 30, 20]))
    np.testing.assert_allclose(deltas, [5 / 20, -3 / 10, math.log(2), math.log(0.5)], rtol=1e-12)


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_decoding_inverts_encoding(shape):
    count = math.prod(shape)
    truth = boxes(count).reshape(*shape, 4)
    regions = boxes(count).reshape(*shape, 4)
    np.testing.assert_allclose(decode(encode(truth, regions), regions), truth, atol=1e-12)


def test_float32_stays_float32():
    regions = boxes(3).astype("float32")
    deltas = encode(regions + np.float32(1), regions)
    assert (deltas.dtype, decode(deltas, regions).dtype, clip(regions, 8, 8).dtype) == ("float32",) * 3


def test_displacements_of_empty_boxes_and_regions_are_0():
    whole = np.array([[0, 0, 4.0, 4]])
    line = np.array([[3, 0, 3.0, 4]])
    assert not encode(np.concatenate([whole, PADDING, line]), np.concatenate([PADDING, whole, whole])).any()


def test_a_padded_region_stays_padding():
    np.testing.assert_array_equal(decode(np.array([[1, -2, 3.0, 9]]), PADDING), PADDING)


def test_a_side_grows_at_most_62_times():
    x1, y1, x2, y2 = decode(np.array([0, 0, 1000.0, -1000]), np.array([0, 0, 10.0, 10]))
    assert (x2 - x1, y2 - y1) == (pytest.approx(625), 0)


def test_clipping_leaves_padding():
    clipped = clip(np.array([[-3, 2, 9, 7.5], [-1, -1, -1, -1], [10, 11, 12, 13]]), height=6, width=8)
    np.testing.assert_array_equal(clipped, [[0, 2, 8, 6], [-1, -1, -1, -1], [8, 6, 8, 6]])
