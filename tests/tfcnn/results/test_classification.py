"""Scores of a classifier against scikit-learn's and against loops over the examples."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from tfcnn.calibration import bin_confidences, expected_calibration_error
from tfcnn.results import Classes, Evaluation, results_of

CLASSES = 12
NAMES = [f"class {number}" for number in range(CLASSES)]


class Logits:
    """The part of pipelines.dataset.Data that an evaluation uses: images (4, 3, 1) that are the logits."""

    image_shape = (4, 3, 1)
    mean = (0.5,)
    std = (0.25,)

    def __init__(self, strength=1.0):
        rng = np.random.default_rng(0)
        self.labels = rng.integers(0, CLASSES, 70)
        self.logits = rng.normal(size=(70, CLASSES)).astype("float32")
        self.logits += strength * rng.random((70, 1)).astype("float32") * np.eye(CLASSES, dtype="float32")[self.labels]

    def evaluation(self, split):
        images = self.logits.reshape(-1, 4, 3, 1)
        return tf.data.Dataset.from_tensor_slices((images, tf.one_hot(self.labels, CLASSES))).batch(32)


def evaluate(data, numbers=range(CLASSES)):
    model = keras.Sequential([keras.Input((4, 3, 1)), keras.layers.Flatten()])
    classes = Classes(NAMES, numbers)
    return Evaluation(model, data, "test", classes, results_of("classification").evaluate(model, data, "test", classes))


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(Logits(strength=4.0))


@pytest.fixture(scope="module")
def probabilities(evaluation):
    shares = np.exp(evaluation.data.logits.astype("float64"))
    return shares / shares.sum(1, keepdims=True)


def test_scores_are_those_of_scikit_learn(evaluation):
    labels = evaluation.data.labels
    logits = evaluation.data.logits
    first = logits.argmax(1)
    scores = evaluation.scores
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(labels, first))
    assert scores["top5"] == pytest.approx(metrics.top_k_accuracy_score(labels, logits, k=5, labels=range(CLASSES)))
    assert scores["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, first))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(labels, first, average="macro"))
    np.testing.assert_array_equal(scores["confusion"], metrics.confusion_matrix(labels, first, labels=range(CLASSES)))


def loop_calibration_error(confidences, hits, bins):
    """Equation 3 of Guo et al. (2017), example by example: bin m holds the confidences in ((m - 1) / M, m / M]."""
    error = 0.0
    for m in range(1, bins + 1):
        members = [i for i, share in enumerate(confidences) if (m - 1) / bins < share <= m / bins]
        if members:
            accuracy = sum(bool(hits[i]) for i in members) / len(members)
            confidence = sum(confidences[i] for i in members) / len(members)
            error += len(members) / len(confidences) * abs(accuracy - confidence)
    return error


def test_the_calibration_error_is_that_of_a_loop(evaluation, probabilities):
    hits = probabilities.argmax(1) == evaluation.data.labels
    expected = loop_calibration_error(probabilities.max(1), hits, 15)
    assert expected > 0.05
    assert evaluation.scores["ece"] == pytest.approx(expected)


def test_a_confidence_at_an_edge_belongs_to_the_bin_below():
    rng = np.random.default_rng(0)
    confidences = np.append(np.arange(1, 16) / 15, rng.random(50))
    hits = rng.random(65) < confidences
    rows = bin_confidences(confidences, hits)
    assert [row.examples for row in rows] == [
        sum((m - 1) / 15 < share <= m / 15 for share in confidences) for m in range(1, 16)
    ]
    assert expected_calibration_error(rows) == pytest.approx(loop_calibration_error(confidences, hits, 15))


def test_mistakes_are_the_wrong_examples_of_the_highest_confidence(evaluation, probabilities):
    labels = evaluation.data.labels
    wrong = [i for i in range(len(labels)) if probabilities[i].argmax() != labels[i]]
    expected = sorted(wrong, key=lambda i: -probabilities[i].max())[:12]
    assert len(wrong) > 12
    rows = evaluation.scores["mistakes"]
    assert [number for number, *_ in rows] == expected
    for number, true_name, predicted, probability in rows:
        assert (true_name, predicted) == (NAMES[labels[number]], NAMES[probabilities[number].argmax()])
        assert probability == pytest.approx(probabilities[number].max())


def test_classes_of_other_data_have_the_numbers_of_the_run(evaluation):
    data = evaluation.data
    turned = Logits(strength=4.0)
    turned.logits = np.roll(data.logits, 1, axis=1)
    numbers = [*range(1, CLASSES), 0]
    assert evaluate(turned, numbers).scores["ece"] == pytest.approx(evaluation.scores["ece"])


@pytest.mark.parametrize("strength", [4.0, 100.0])
def test_pictures_are_drawn_with_mistakes_and_without(strength, tmp_path):
    data = Logits(strength)
    data.logits += (strength == 100) * 100 * np.eye(CLASSES, dtype="float32")[data.labels]
    example = evaluate(data)
    assert bool(example.scores["mistakes"]) == (strength == 4)
    for name in ("mistakes", "reliability"):
        results_of("classification").pictures[name](example, tmp_path / f"{name}.png", "title")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_tables_have_a_row_for_each_class(evaluation):
    tables = {name: table(evaluation.scores) for name, table in results_of("classification").tables.items()}
    assert [row[0] for row in tables["classes"].rows] == NAMES
    assert [row[1:] for row in tables["confusion"].rows] == evaluation.scores["confusion"]
    assert len(tables["reliability"].rows) == 15
    assert all(len(row) == len(table.head) for table in tables.values() for row in table.rows)
