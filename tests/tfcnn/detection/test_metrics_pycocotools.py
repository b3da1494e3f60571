"""Average precision and its curves against pycocotools, on random detections with many overlaps."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tfcnn.detection.coco import as_results, write_results
from tfcnn.detection.metrics import mean_average_precision, precision_recall

CLASSES = 4


def truths_of_coco(truths):
    """The annotations as pycocotools holds them."""
    annotations = []
    for image, truth in enumerate(truths, start=1):
        boxes = np.reshape(truth["boxes"], (-1, 4))
        for (x1, y1, x2, y2), label in zip(boxes.tolist(), truth["labels"], strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(1, len(truths) + 1)],
        "annotations": annotations,
        "categories": [{"id": number + 1, "name": str(number)} for number in range(CLASSES)],
    }
    coco.createIndex()
    return coco


def precisions_of_coco(predictions, truths, most):
    """(thresholds, 101 recalls, classes): -1 for a class without a true box."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = truths_of_coco(truths)
        evaluation = COCOeval(coco, coco.loadRes(as_results(predictions, range(1, len(truths) + 1))), "bbox")
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [most]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, 0]


def random_detections(seed, whole_numbers):
    """Crowded images: some without a true box, some without a detection, some with more than 100 of a class.

    Scores have one decimal, so that most are equal to others; whole-numbered boxes have equal overlaps as well.
    """
    rng = np.random.default_rng(seed)
    predictions = []
    truths = []
    for image in range(12):
        count = 0 if image % 5 == 0 else int(rng.integers(1, 12))
        corner = rng.uniform(0, 12, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(3, 12, (count, 2))], axis=1)
        labels = rng.integers(0, CLASSES - 1, count)  # the last class has no true box
        copies = 0 if image % 4 == 1 else int(rng.integers(1, 9)) * (1 + 5 * (image == 2))
        near = np.repeat(boxes, copies, axis=0) + rng.normal(0, 1.2, (count * copies, 4))
        far = rng.uniform(0, 12, (4, 2)) if copies else np.zeros((0, 2))
        drawn = np.concatenate([near, np.concatenate([far, far + 6], axis=1)])
        drawn[:, 2:] = np.maximum(drawn[:, 2:], drawn[:, :2] + 1)
        if whole_numbers:
            boxes = np.round(boxes)
            drawn = np.round(drawn)
        named = np.concatenate([np.repeat(labels, copies), rng.integers(0, CLASSES, len(far))])
        scores = np.round(rng.random(len(drawn)), 1)
        predictions.append({"boxes": drawn, "scores": scores, "labels": named})
        truths.append({"boxes": boxes, "labels": labels})
    return predictions, truths


@pytest.mark.parametrize("most", [100, 7])
@pytest.mark.parametrize("whole_numbers", [True, False], ids=["whole numbers", "real numbers"])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_pycocotools(seed, whole_numbers, most):
    predictions, truths = random_detections(seed, whole_numbers)
    expected = precisions_of_coco(predictions, truths, most)
    result = mean_average_precision(predictions, truths, most=most)
    has_boxes = expected[0, 0] > -1
    assert result["map"] == pytest.approx(expected[:, :, has_boxes].mean(), abs=1e-6)
    assert result["ap50"] == pytest.approx(expected[0][:, has_boxes].mean(), abs=1e-6)
    for label in np.flatnonzero(has_boxes):
        assert result["per_class"][label] == pytest.approx(expected[:, :, label].mean(), abs=1e-6)
    assert set(result["per_class"]) == set(np.flatnonzero(has_boxes)) == {0, 1, 2}
    assert 0.05 < result["map"] < 0.9


def test_curves_are_those_of_pycocotools():
    """pycocotools keeps the best precision at each of 101 recalls or beyond."""
    predictions, truths = random_detections(0, whole_numbers=False)
    expected = precisions_of_coco(predictions, truths, 100)[4]
    for label, curve in precision_recall(predictions, truths, threshold=0.7).items():
        reached = [curve.precision[curve.recall >= recall - 1e-12] for recall in np.linspace(0, 1, 101)]
        best = [precision.max() if len(precision) else 0 for precision in reached]
        np.testing.assert_allclose(best, expected[:, label], atol=1e-6)
        assert curve.average_precision == pytest.approx(np.mean(best))
        assert (np.diff(curve.scores) <= 0).all()


def test_of_boxes_of_equal_overlap_the_last_is_taken():
    """The first detection overlaps both boxes alike, and the second one the first box alone."""
    truths = [{"boxes": [[0, 0, 10, 10], [4, 0, 14, 10]], "labels": [0, 0]}]
    predictions = [{"boxes": [[2, 0, 12, 10], [0, 0, 9, 10]], "scores": [0.9, 0.8], "labels": [0, 0]}]
    expected = precisions_of_coco(predictions, truths, 100)[0, :, 0].mean()
    assert expected == pytest.approx(1)
    assert mean_average_precision(predictions, truths)["ap50"] == pytest.approx(expected)


def test_results_are_read_by_pycocotools(tmp_path):
    predictions = [
        {"boxes": [[1, 2, 4, 6.5], [-1, -1, -1, -1]], "scores": [0.25, -1], "labels": [2, -1]},
        {"boxes": np.zeros((0, 4)), "scores": [], "labels": []},
        {"boxes": np.float32([[0, 0, 2, 3]]), "scores": np.float32([0.5]), "labels": np.int32([0])},
    ]
    write_results(tmp_path / "results.json", predictions, [1, 2, 3], category_ids=[1, 2, 4])
    with contextlib.redirect_stdout(io.StringIO()):
        read = truths_of_coco([{"boxes": [], "labels": []}] * 3).loadRes(str(tmp_path / "results.json"))
    expected = [(1, 4, [1, 2, 3, 4.5], 0.25), (3, 1, [0, 0, 2, 3], 0.5)]
    columns = ("image_id", "category_id", "bbox", "score")
    assert [tuple(row[name] for name in columns) for row in read.dataset["annotations"]] == expected
    assert json.loads((tmp_path / "results.json").read_text())[0].keys() == set(columns)
