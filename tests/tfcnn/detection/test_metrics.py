"""Average precision, worked out by hand or by loops."""

import numpy as np
import pytest

from tests.tfcnn.detection.grid import iou_on_grid
from tfcnn.detection.metrics import mean_average_precision, precision_recall

RNG = np.random.default_rng(0)
BOXES = [[0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60]]


def truth(*boxes, label=1):
    return {"boxes": list(boxes), "labels": [label] * len(boxes)}


def detections(*pairs, label=1):
    return {"boxes": [box for box, _ in pairs], "scores": [s for _, s in pairs], "labels": [label] * len(pairs)}


def test_ap_by_hand():
    """Right, wrong, right of two boxes: precision 1 up to recall 1/2 (51 points), then 2/3 (50 points)."""
    result = mean_average_precision(
        [detections((BOXES[0], 0.9), ([70, 70, 80, 80], 0.8), (BOXES[1], 0.7))], [truth(*BOXES[:2])], thresholds=(0.5,)
    )
    assert result["ap50"] == result["map"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_recall_that_is_not_reached_counts_zero():
    """One of three boxes: the recalls 0 to 0.33 are reached, 34 of 101."""
    result = mean_average_precision([detections((BOXES[0], 0.9))], [truth(*BOXES)])
    assert result["map"] == pytest.approx(34 / 101)


def test_a_box_is_taken_once():
    """The second detection of a box is wrong, and here comes before the right one of the other box."""
    result = mean_average_precision(
        [detections((BOXES[0], 0.9), (BOXES[0], 0.8), (BOXES[1], 0.7))], [truth(*BOXES[:2])], thresholds=(0.5,)
    )
    assert result["map"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_thresholds_are_averaged():
    """Intersection 10 x 7.2 of 10 x 10: IoU 0.72 passes 0.5 ... 0.7, five thresholds of ten."""
    result = mean_average_precision([detections(([0, 0, 10, 7.2], 0.5))], [truth(BOXES[0])])
    assert (result["map"], result["ap50"]) == (pytest.approx(0.5), 1.0)


def test_without_a_threshold_of_one_half_there_is_no_ap50():
    result = mean_average_precision([detections((BOXES[0], 1))], [truth(BOXES[0])], thresholds=(0.75,))
    assert np.isnan(result["ap50"])


def test_classes_are_averaged_and_those_without_a_box_left_out():
    predictions = [
        {"boxes": [BOXES[0], BOXES[1], BOXES[2]], "scores": [0.9, 0.9, 0.9], "labels": [1, 1, 7]},
        detections(),
    ]
    result = mean_average_precision(predictions, [truth(BOXES[0], BOXES[1]), truth(BOXES[2], label=2)])
    assert result["per_class"] == {1: pytest.approx(1.0), 2: 0.0}
    assert result["map"] == pytest.approx(0.5)


def test_truths_without_a_box_have_no_average():
    result = mean_average_precision([detections((BOXES[0], 0.9))], [truth()])
    assert np.isnan(result["map"])
    assert result["per_class"] == {}


def test_only_so_many_detections_of_an_image_count():
    many = detections(*(([70, 70, 80, 80], 0.9 - i / 1000) for i in range(100)), (BOXES[0], 0.1))
    assert mean_average_precision([many], [truth(BOXES[0])])["map"] == 0
    assert mean_average_precision([many], [truth(BOXES[0])], most=101)["map"] == pytest.approx(1 / 101)


def brute_force(predictions, truths, label, threshold):
    """The definition with loops, image by image and recall by recall."""
    ranked = []
    boxes = 0
    for image, (p, t) in enumerate(zip(predictions, truths, strict=True)):
        ranked += [(s, image, b) for b, s, c in zip(p["boxes"], p["scores"], p["labels"], strict=True) if c == label]
        boxes += sum(c == label for c in t["labels"])
    taken = set()
    hits = []
    for _, image, box in sorted(ranked, key=lambda row: -row[0]):
        t = truths[image]
        free = [
            (iou_on_grid(box, b), i)
            for i, (b, c) in enumerate(zip(t["boxes"], t["labels"], strict=True))
            if c == label and (image, i) not in taken
        ]
        best = max(free, key=lambda pair: (pair[0], -pair[1]), default=(0, None))
        hits.append(best[0] >= threshold)
        if hits[-1]:
            taken.add((image, best[1]))
    points = []
    for percent in range(101):
        precisions = [
            sum(hits[: n + 1]) / (n + 1) for n in range(len(hits)) if sum(hits[: n + 1]) * 100 >= percent * boxes
        ]
        points.append(max(precisions, default=0.0))
    return np.mean(points)


def test_ap_is_that_of_the_loops():
    def boxes(count):
        corner = RNG.integers(0, 12, (count, 2))
        size = RNG.integers(4, 12, (count, 2))
        return np.concatenate([corner, corner + size], axis=1).tolist()

    predictions = []
    truths = []
    scores = iter(RNG.permutation(200) / 200)
    for _ in range(6):
        n = RNG.integers(0, 5)
        true = {"boxes": boxes(n), "labels": RNG.integers(0, 3, n).tolist()}
        near = (np.array(true["boxes"]).reshape(-1, 4) + RNG.integers(-1, 2, (n, 4))).tolist()
        labels = true["labels"] + RNG.integers(0, 3, 3).tolist()
        predictions.append({"boxes": near + boxes(3), "scores": [next(scores) for _ in labels], "labels": labels})
        truths.append(true)
    result = mean_average_precision(predictions, truths)
    for label in range(3):
        expected = [brute_force(predictions, truths, label, t / 100) for t in range(50, 100, 5)]
        assert result["per_class"][label] == pytest.approx(np.mean(expected), rel=1e-9)
    assert 0.05 < result["map"] < 0.9


def test_as_many_predictions_as_truths():
    with pytest.raises(ValueError, match="predictions of 1 images, truths of 2"):
        mean_average_precision([detections()], [truth(), truth()])


def test_padding_is_neither_a_box_nor_a_detection():
    padding = [-1, -1, -1, -1]
    padded = {"boxes": [BOXES[0], padding], "labels": [1, -1]}
    result = mean_average_precision([padded | {"scores": [0.9, 0.95]}], [padded])
    assert (result["map"], result["per_class"]) == (1, {1: 1})


def test_curve_by_hand():
    """Right, wrong, right, of three boxes."""
    predictions = [detections((BOXES[0], 0.9), ([70, 70, 80, 80], 0.8), (BOXES[1], 0.7))]
    curve = precision_recall(predictions, [truth(*BOXES)])[1]
    assert curve.recall == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert curve.precision == pytest.approx([1, 1 / 2, 2 / 3])
    assert curve.scores.tolist() == [0.9, 0.8, 0.7]
    assert curve.average_precision == pytest.approx((34 + 33 * 2 / 3) / 101)


def test_a_class_without_detections_has_an_empty_curve():
    curve = precision_recall([detections()], [truth(BOXES[0])])[1]
    assert (len(curve.recall), len(curve.precision), curve.average_precision) == (0, 0, 0)
