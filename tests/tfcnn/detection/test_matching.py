import numpy as np

from tests.tfcnn.detection.grid import iou_on_grid
from tfcnn.detection.matching import match

PADDING = [-1, -1, -1, -1]


def random_boxes(rng, count):
    corner = rng.integers(0, 8, (count, 2))
    return np.concatenate([corner, corner + rng.integers(3, 9, (count, 2))], axis=1)


def test_matches_are_those_of_the_loop():
    rng = np.random.default_rng(0)
    regions = random_boxes(rng, 30)
    boxes = random_boxes(rng, 4)
    labels = np.array([2, 0, 1, 2])
    matches = match(regions.astype(float), boxes.astype(float), labels, background=3, threshold=0.4)
    for i, region in enumerate(regions):
        ious = [iou_on_grid(region, box) for box in boxes]
        best = ious.index(max(ious))
        assert matches.ious[i] == max(ious)
        assert matches.boxes[i].tolist() == boxes[best].tolist()
        assert matches.labels[i] == (labels[best] if max(ious) >= 0.4 else 3)
    assert 0 < (matches.labels == 3).sum() < 30


def test_a_region_at_the_threshold_stands_for_the_box():
    matches = match(np.array([[0, 0, 1, 2.0]]), np.array([[0, 0, 2, 2.0]]), np.array([0]), background=1, threshold=0.5)
    assert matches.labels.tolist() == [0]


def test_padding_is_no_box():
    boxes = np.array([PADDING, [0, 0, 4, 4], PADDING], float)
    matches = match(np.array([[0, 0, 4, 4], [7, 7, 9, 9]], float), boxes, np.array([-1, 2, -1]), background=3)
    assert matches.labels.tolist() == [2, 3]
    assert matches.boxes.tolist() == [[0, 0, 4, 4]] * 2


def test_a_padded_region_has_no_class():
    boxes = np.array([[0, 0, 4, 4.0]])
    assert match(np.array([PADDING], float), boxes, np.array([0]), background=1).labels.tolist() == [-1]


def test_without_a_true_box_all_is_background():
    for boxes in (np.zeros((0, 4)), np.array([PADDING], float)):
        matches = match(np.array([[0, 0, 4, 4.0]]), boxes, np.full(len(boxes), -1), background=5)
        assert matches.labels.tolist() == [5]
        assert matches.boxes.tolist() == [PADDING]
        assert matches.ious.tolist() == [0]


def test_without_a_region_nothing():
    matches = match(np.zeros((0, 4)), np.array([[0, 0, 4, 4.0]]), np.array([0]), background=1)
    assert [len(column) for column in matches] == [0, 0, 0]
