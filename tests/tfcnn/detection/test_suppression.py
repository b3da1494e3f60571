import numpy as np
import pytest
import tensorflow as tf

from tests.tfcnn.detection.grid import iou_on_grid
from tfcnn.detection.suppression import suppress, suppress_by_class


def detections(seed, count):
    """Whole-numbered boxes that overlap, and distinct scores."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 12, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(4, 10, (count, 2))], axis=1)
    return boxes.astype(float), rng.permutation(count) / count


def loop(boxes, scores, threshold):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(iou_on_grid(boxes[i].astype(int), boxes[j].astype(int)) <= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_kept_are_those_of_the_loop_and_of_tensorflow(threshold):
    boxes, scores = detections(0, 40)
    kept = suppress(boxes, scores, threshold)
    assert kept.tolist() == loop(boxes, scores, threshold)
    yxyx = boxes[:, [1, 0, 3, 2]].astype("float32")
    of_tensorflow = tf.image.non_max_suppression(yxyx, scores.astype("float32"), len(boxes), threshold)
    assert kept.tolist() == of_tensorflow.numpy().tolist()


def test_of_equal_scores_the_earlier_stays():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [1, 0, 5, 4.0]])
    assert suppress(boxes, np.array([0.5, 0.5, 0.5]), 0.4).tolist() == [0]


def test_classes_do_not_suppress_each_other():
    boxes, scores = detections(1, 40)
    labels = np.arange(40) % 3
    expected = []
    for label in range(3):
        members = np.flatnonzero(labels == label)
        expected += [members[i] for i in loop(boxes[members], scores[members], 0.3)]
    kept = suppress_by_class(boxes, scores, labels, 0.3)
    assert kept.tolist() == sorted(expected, key=lambda i: -scores[i])


def test_nothing_of_nothing():
    nothing = np.zeros(0)
    for kept in (suppress(np.zeros((0, 4)), nothing, 0.5), suppress_by_class(np.zeros((0, 4)), nothing, nothing, 0.5)):
        assert (kept.dtype, kept.shape) == ("int64", (0,))
