import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, jaccard_score, top_k_accuracy_score

from tfcnn import metrics, tasks
from tfcnn.detection.boxes import box_iou
from tfcnn.detection.metrics import mean_average_precision
from tfcnn.metrics import PSNR, MeanIoU, PixelAccuracy

RNG = np.random.default_rng(0)
CLASSES = 5
MASKS = RNG.integers(0, 4, (6, 7, 5)).astype("int32")  # no mask has class 4
MASKS[0, :3] = 255
LOGITS = RNG.normal(size=(6, 7, 5, CLASSES)).astype("float32")
LOGITS[..., :4] += 1.5 * np.eye(4)[np.where(MASKS == 255, 0, MASKS)]
KEPT = MASKS != 255


def updated(metric, *pairs):
    update = tf.function(metric.update_state)
    for y_true, y_pred in pairs:
        update(y_true, y_pred)
    return metric


@pytest.mark.parametrize("predicts_the_absent_class", [True, False])
def test_mean_iou_is_scikit_learns(predicts_the_absent_class):
    logits = LOGITS - (0 if predicts_the_absent_class else 100 * np.eye(CLASSES, dtype="float32")[4])
    metric = updated(MeanIoU(CLASSES), (MASKS[:2], logits[:2]), (MASKS[2:], logits[2:]))
    predicted = logits.argmax(-1)[KEPT]
    seen = sorted(set(MASKS[KEPT]) | set(predicted))
    assert (4 in seen) is predicts_the_absent_class
    each = jaccard_score(MASKS[KEPT], predicted, labels=seen, average=None)
    np.testing.assert_allclose(metric.per_class()[seen], each, rtol=1e-6)
    assert np.isnan(metric.per_class()).sum() == CLASSES - len(seen)
    assert float(metric.result()) == pytest.approx(each.mean(), rel=1e-5)
    metric.reset_state()
    assert np.isnan(metric.per_class()).all()


def test_any_class_may_be_the_ignored_one():
    metric = updated(MeanIoU(CLASSES, ignore_class=0), (MASKS, LOGITS))
    kept = KEPT & (MASKS != 0)
    each = jaccard_score(MASKS[kept], LOGITS.argmax(-1)[kept], labels=range(CLASSES), average=None)
    np.testing.assert_allclose(metric.per_class(), each, rtol=1e-6)


def test_pixel_accuracy_is_scikit_learns():
    metric = updated(PixelAccuracy(), (MASKS[:1], LOGITS[:1]), (MASKS[1:], LOGITS[1:]))
    assert float(metric.result()) == pytest.approx(accuracy_score(MASKS[KEPT], LOGITS.argmax(-1)[KEPT]))
    metric.reset_state()
    assert float(updated(metric, (np.full_like(MASKS, 255), LOGITS)).result()) == 0


def test_psnr_is_of_pixels():
    std, mean = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.5, 0.6])
    images, found = (RNG.uniform(size=(3, 6, 5, 3)) for _ in range(2))
    metric = updated(PSNR(tuple(std)), ((images - mean) / std, (found - mean) / std))
    expected = tf.image.psnr(images, found, max_val=1.0).numpy().mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    assert float(updated(PSNR(), (images, images)).result()) == pytest.approx(100)


def test_top_five():
    scores, labels = RNG.normal(size=(40, 8)).astype("float32"), RNG.integers(0, 8, 40)
    accuracy, top5 = metrics.metrics("classification", 8)
    targets = np.eye(8, dtype="float32")[labels]
    assert float(updated(top5, (targets, scores)).result()) == pytest.approx(
        top_k_accuracy_score(labels, scores, k=5, labels=range(8))
    )
    assert float(updated(accuracy, (targets, scores)).result()) == pytest.approx(
        accuracy_score(labels, scores.argmax(1))
    )
    assert [m.name for m in metrics.metrics("classification", 5)] == ["accuracy"]


@pytest.mark.parametrize("task", tasks.HEADLINES)
def test_the_headline_comes_first(task):
    assert metrics.metrics(task, 4)[0].name == tasks.HEADLINES[task].name


@pytest.mark.parametrize("metric", [MeanIoU(3), PixelAccuracy(), PSNR((0.5, 0.25))])
def test_round_trip(metric):
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_half_precision_policy():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        large = updated(
            PixelAccuracy(), *[(np.zeros((1, 300, 300), "int32"), np.ones((1, 300, 300, 2), "float16"))] * 2
        )
        assert float(large.result()) == 1
    finally:
        keras.config.set_dtype_policy("float32")


# Detection: pictures of 100 x 100, worked out by hand or by loops.

BOXES = [[0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60]]


def truth(*boxes, label=1):
    return {"boxes": list(boxes), "labels": [label] * len(boxes)}


def found(*pairs, label=1):
    return {"boxes": [box for box, _ in pairs], "scores": [s for _, s in pairs], "labels": [label] * len(pairs)}


def test_ap_by_hand():
    """Right, wrong, right of two boxes: precision 1 up to recall 1/2 (51 points), then 2/3 (50 points)."""
    result = mean_average_precision(
        [found((BOXES[0], 0.9), ([70, 70, 80, 80], 0.8), (BOXES[1], 0.7))], [truth(*BOXES[:2])], thresholds=(0.5,)
    )
    assert result["ap50"] == result["map"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_recall_that_is_not_reached_counts_zero():
    """One of three boxes: the recalls 0 to 0.33 are reached, 34 of 101."""
    result = mean_average_precision([found((BOXES[0], 0.9))], [truth(*BOXES)])
    assert result["map"] == pytest.approx(34 / 101)


def test_a_box_is_taken_once():
    """The second detection of a box is wrong, and here comes before the right one of the other box."""
    result = mean_average_precision(
        [found((BOXES[0], 0.9), (BOXES[0], 0.8), (BOXES[1], 0.7))], [truth(*BOXES[:2])], thresholds=(0.5,)
    )
    assert result["map"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_thresholds_are_averaged():
    """Intersection 10 x 7.2 of 10 x 10: IoU 0.72 passes 0.5 ... 0.7, five thresholds of ten."""
    result = mean_average_precision([found(([0, 0, 10, 7.2], 0.5))], [truth(BOXES[0])])
    assert (result["map"], result["ap50"]) == (pytest.approx(0.5), 1.0)
    assert np.isnan(mean_average_precision([found((BOXES[0], 1))], [truth(BOXES[0])], thresholds=(0.75,))["ap50"])


def test_classes_are_averaged_and_those_without_a_box_left_out():
    predictions = [
        {"boxes": [BOXES[0], BOXES[1], BOXES[2]], "scores": [0.9, 0.9, 0.9], "labels": [1, 1, 7]},
        found(),
    ]
    result = mean_average_precision(predictions, [truth(BOXES[0], BOXES[1]), truth(BOXES[2], label=2)])
    assert result["per_class"] == {1: pytest.approx(1.0), 2: 0.0}
    assert result["map"] == pytest.approx(0.5)
    empty = mean_average_precision([found((BOXES[0], 0.9))], [truth()])
    assert np.isnan(empty["map"])
    assert empty["per_class"] == {}


def test_only_so_many_detections_of_an_image_count():
    many = found(*(([70, 70, 80, 80], 0.9 - i / 1000) for i in range(100)), (BOXES[0], 0.1))
    assert mean_average_precision([many], [truth(BOXES[0])])["map"] == 0
    assert mean_average_precision([many], [truth(BOXES[0])], most=101)["map"] == pytest.approx(1 / 101)


def iou(a, b):
    """Counted on the grid of whole numbers."""
    pixels = [{(x, y) for x in range(q[0], q[2]) for y in range(q[1], q[3])} for q in (a, b)]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


def brute_force(predictions, truths, label, threshold):
    """The definition with loops, image by image and recall by recall."""
    ranked, boxes = [], 0
    for image, (p, t) in enumerate(zip(predictions, truths, strict=True)):
        ranked += [(s, image, b) for b, s, c in zip(p["boxes"], p["scores"], p["labels"], strict=True) if c == label]
        boxes += sum(c == label for c in t["labels"])
    taken, hits = set(), []
    for _, image, box in sorted(ranked, key=lambda row: -row[0]):
        t = truths[image]
        free = [
            (iou(box, b), i)
            for i, (b, c) in enumerate(zip(t["boxes"], t["labels"], strict=True))
            if c == label and (image, i) not in taken
        ]
        best = max(free, key=lambda pair: (pair[0], -pair[1]), default=(0, None))
        hits.append(best[0] >= threshold)
        if hits[-1]:
            taken.add((image, best[1]))
    points = []
    for percent in range(101):
        reached = [
            sum(hits[: n + 1]) / (n + 1) for n in range(len(hits)) if sum(hits[: n + 1]) * 100 >= percent * boxes
        ]
        points.append(max(reached, default=0.0))
    return np.mean(points)


def test_ap_is_brute_force():
    def boxes(count):
        corner, size = RNG.integers(0, 12, (count, 2)), RNG.integers(4, 12, (count, 2))
        return np.concatenate([corner, corner + size], axis=1).tolist()

    predictions, truths = [], []
    scores = iter(RNG.permutation(200) / 200)
    for _ in range(6):
        true = {"boxes": boxes(n := RNG.integers(0, 5)), "labels": RNG.integers(0, 3, n).tolist()}
        near = (np.array(true["boxes"]).reshape(-1, 4) + RNG.integers(-1, 2, (n, 4))).tolist()
        labels = true["labels"] + RNG.integers(0, 3, 3).tolist()
        predictions.append({"boxes": near + boxes(3), "scores": [next(scores) for _ in labels], "labels": labels})
        truths.append(true)
    result = mean_average_precision(predictions, truths)
    for label in range(3):
        expected = [brute_force(predictions, truths, label, t / 100) for t in range(50, 100, 5)]
        assert result["per_class"][label] == pytest.approx(np.mean(expected), rel=1e-9)
    assert 0.05 < result["map"] < 0.9


def test_iou_of_boxes():
    first, second = (RNG.integers(0, 8, (n, 4)) for n in (4, 5))
    for boxes in (first, second):
        boxes[:, 2:] += boxes[:, :2] + 1
    expected = [[iou(a, b) for b in second] for a in first]
    np.testing.assert_allclose(box_iou(first.astype(float), second.astype(float)), expected, rtol=1e-12)
    assert box_iou(np.zeros((1, 4)), np.zeros((1, 4))) == 0


def test_as_many_predictions_as_truths():
    with pytest.raises(ValueError, match="predictions of 1 images, truths of 2"):
        mean_average_precision([found()], [truth(), truth()])
