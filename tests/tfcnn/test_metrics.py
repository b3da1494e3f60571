import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, jaccard_score, top_k_accuracy_score

from tfcnn import metrics, tasks
from tfcnn.metrics import PSNR, MeanIoU, PixelAccuracy

RNG = np.random.default_rng(0)
CLASSES = 5
MASKS = RNG.integers(0, 4, (6, 7, 5)).astype("int32")  # no mask has class 4
MASKS[0, :3] = 255
LOGITS = RNG.normal(size=(6, 7, 5, CLASSES)).astype("float32")
LOGITS[..., :4] += 1.5 * np.eye(4)[np.where(MASKS == 255, 0, MASKS)]
KEPT = MASKS != 255


def update(metric, *pairs):
    """The metric after some batches, updated in a graph as `fit` does."""
    update_state = tf.function(metric.update_state)
    for y_true, y_pred in pairs:
        update_state(y_true, y_pred)
    return metric


@pytest.mark.parametrize("predicts_the_absent_class", [True, False])
def test_mean_iou_is_scikit_learns(predicts_the_absent_class):
    logits = LOGITS - (0 if predicts_the_absent_class else 100 * np.eye(CLASSES, dtype="float32")[4])
    metric = update(MeanIoU(CLASSES), (MASKS[:2], logits[:2]), (MASKS[2:], logits[2:]))
    predicted = logits.argmax(-1)[KEPT]
    classes = sorted(set(MASKS[KEPT]) | set(predicted))
    assert (4 in classes) is predicts_the_absent_class
    each = jaccard_score(MASKS[KEPT], predicted, labels=classes, average=None)
    np.testing.assert_allclose(metric.per_class()[classes], each, rtol=1e-6)
    assert np.isnan(metric.per_class()).sum() == CLASSES - len(classes)
    assert float(metric.result()) == pytest.approx(each.mean(), rel=1e-5)
    metric.reset_state()
    assert np.isnan(metric.per_class()).all()


def test_any_class_may_be_the_ignored_one():
    metric = update(MeanIoU(CLASSES, ignore_class=0), (MASKS, LOGITS))
    kept = KEPT & (MASKS != 0)
    each = jaccard_score(MASKS[kept], LOGITS.argmax(-1)[kept], labels=range(CLASSES), average=None)
    np.testing.assert_allclose(metric.per_class(), each, rtol=1e-6)


def test_pixel_accuracy_is_scikit_learns():
    metric = update(PixelAccuracy(), (MASKS[:1], LOGITS[:1]), (MASKS[1:], LOGITS[1:]))
    assert float(metric.result()) == pytest.approx(accuracy_score(MASKS[KEPT], LOGITS.argmax(-1)[KEPT]))


def test_the_pixel_accuracy_of_an_ignored_batch_is_0_after_a_reset():
    metric = update(PixelAccuracy(), (MASKS, LOGITS))
    metric.reset_state()
    assert float(update(metric, (np.full_like(MASKS, 255), LOGITS)).result()) == 0


def test_psnr_is_of_pixels():
    std = np.array([0.2, 0.5, 0.3])
    mean = np.array([0.4, 0.5, 0.6])
    images, outputs = (RNG.uniform(size=(3, 6, 5, 3)) for _ in range(2))
    metric = update(PSNR(tuple(std)), ((images - mean) / std, (outputs - mean) / std))
    expected = tf.image.psnr(images, outputs, max_val=1.0).numpy().mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_psnr_of_an_exact_image():
    images = RNG.uniform(size=(3, 6, 5, 3))
    assert float(update(PSNR(), (images, images)).result()) == pytest.approx(100)


SCORES = RNG.normal(size=(40, 8)).astype("float32")
LABELS = RNG.integers(0, 8, 40)
TARGETS = np.eye(8, dtype="float32")[LABELS]


def test_accuracy_is_scikit_learns():
    accuracy, _ = metrics.METRICS["classification"](8, (1.0,))
    expected = accuracy_score(LABELS, SCORES.argmax(1))
    assert float(update(accuracy, (TARGETS, SCORES)).result()) == pytest.approx(expected)


def test_top_five_is_scikit_learns():
    _, top5 = metrics.METRICS["classification"](8, (1.0,))
    expected = top_k_accuracy_score(LABELS, SCORES, k=5, labels=range(8))
    assert float(update(top5, (TARGETS, SCORES)).result()) == pytest.approx(expected)


def test_five_classes_have_no_top_five():
    assert [metric.name for metric in metrics.METRICS["classification"](5, (1.0,))] == ["accuracy"]


@pytest.mark.parametrize("task", tasks.TASKS)
def test_the_metric_of_the_history_comes_first(task):
    assert metrics.METRICS[task](4, (1.0,))[0].name == tasks.TASKS[task].watched.name


@pytest.mark.parametrize("metric", [MeanIoU(3), PixelAccuracy(), PSNR((0.5, 0.25))])
def test_round_trip(metric):
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


@pytest.fixture
def half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("half_precision")
def test_counts_beyond_half_precision():
    zeros = np.zeros((1, 300, 300), "int32")
    logits = np.ones((1, 300, 300, 2), "float16")
    assert float(update(PixelAccuracy(), (zeros, logits), (zeros, logits)).result()) == 1


def test_the_accuracy_of_regions_counts_the_background_and_leaves_padding_out():
    truth = np.zeros((2, 3, 5), "float32")
    truth[..., 0] = [[0, 2, -1], [1, 2, 0]]  # of two classes and the background
    outputs = np.zeros((2, 3, 11), "float32")
    for place, label in {(0, 0): 0, (0, 1): 2, (0, 2): 1, (1, 0): 0, (1, 1): 2, (1, 2): 1}.items():
        outputs[(*place, label)] = 1
    outputs[..., 3:] = 9  # displacements
    metric = update(metrics.RegionAccuracy(), (truth[:1], outputs[:1]), (truth[1:], outputs[1:]))
    assert float(metric.result()) == pytest.approx(3 / 5)
