"""Scores of each class against scikit-learn's, computed from the examples instead of their counts."""

import numpy as np
import pytest
from sklearn import metrics

from tfcnn.class_scores import class_scores, scores_text

NAMES = ["cat", "dog", "accuracy", "macro avg"]  # two are names of scikit-learn's averages


@pytest.fixture(scope="module")
def examples():
    """(true classes, predicted classes): imbalanced, a third of them wrong."""
    rng = np.random.default_rng(0)
    true_class = rng.choice(4, 300, p=[0.7, 0.2, 0.06, 0.04])
    return true_class, np.where(rng.random(300) < 0.3, rng.integers(0, 4, 300), true_class)


def scores_of(true_class, predicted):
    return class_scores(metrics.confusion_matrix(true_class, predicted, labels=range(4)), NAMES)


def test_balanced_accuracy(examples):
    expected = metrics.balanced_accuracy_score(*examples)
    assert scores_of(*examples)["balanced_accuracy"] == pytest.approx(expected)


def test_macro_f1(examples):
    assert scores_of(*examples)["macro_f1"] == pytest.approx(metrics.f1_score(*examples, average="macro"))


def test_each_class(examples):
    expected = metrics.precision_recall_fscore_support(*examples)
    scores = scores_of(*examples)
    for key, values in zip(("precision", "per_class", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([scores[key][name] for name in NAMES], values, atol=5e-5)


def test_a_share_of_nothing_is_none():
    """The third class is never predicted, the fourth has no example."""
    scores = scores_of([0, 0, 1, 2], [0, 1, 1, 1])
    assert scores["per_class"] == {"cat": 0.5, "dog": 1, "accuracy": 0, "macro avg": None}
    assert scores["precision"] == {"cat": 1, "dog": 0.3333, "accuracy": None, "macro avg": None}
    assert scores["f1"]["macro avg"] is None
    assert scores["balanced_accuracy"] == pytest.approx(0.5)
    assert scores_text(scores).splitlines()[-1].split() == ["macro", "avg", "-", "-", "-", "0"]
