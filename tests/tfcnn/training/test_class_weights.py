"""Weights of the classes against scikit-learn's formula, and losses with them against NumPy."""

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tfcnn import losses
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training.class_weights import ClassWeighted, balanced_weights, describe_classes

WEIGHTS = [0.5, 2.0, 5.0]


def softmax_losses(labels, logits):
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -np.take_along_axis(log_p, labels[..., None], -1)[..., 0]


def draw(*shape):
    rng = np.random.default_rng(0)
    return rng.integers(0, 3, shape), rng.normal(size=(*shape, 3)).astype("float32")


def test_weights_are_scikit_learns():
    labels = np.repeat([0, 1, 2], [5, 20, 100])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(np.bincount(labels)), expected)


def test_a_class_without_an_example_weighs_one():
    assert balanced_weights([4, 0, 12]) == [2, 1, pytest.approx(2 / 3)]


def test_loss_of_a_batch():
    labels, logits = draw(16)
    loss = ClassWeighted(losses.loss("classification"), WEIGHTS)
    expected = np.mean(np.take(WEIGHTS, labels) * softmax_losses(labels, logits))
    assert float(loss(np.eye(3, dtype="float32")[labels], logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["bce", "hinge", "focal", "cross_entropy"])
def test_every_loss_of_classification(name):
    """One example at a time has its class's weight times its loss."""
    labels, logits = draw(8)
    plain = losses.loss("classification", name, smoothing=0.1)
    targets = np.eye(3, dtype="float32")[labels]
    expected = np.mean([WEIGHTS[k] * float(plain(targets[i, None], logits[i, None])) for i, k in enumerate(labels)])
    assert float(ClassWeighted(plain, WEIGHTS)(targets, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_pixels_that_are_ignored_have_no_weight(name):
    masks, logits = draw(2, 4, 4)
    masks[0, :2] = 255
    valid = masks != 255
    each = softmax_losses(np.where(valid, masks, 0), logits)
    if name == "focal":
        each *= (1 - np.exp(-each)) ** 2
    weights = np.take(WEIGHTS, np.where(valid, masks, 0))
    loss = ClassWeighted(losses.loss("segmentation", name), WEIGHTS)
    assert float(loss(masks, logits)) == pytest.approx((weights * each)[valid].mean(), rel=1e-5)


def test_loss_can_be_saved():
    labels, logits = draw(8)
    loss = ClassWeighted(losses.loss("classification", smoothing=0.1), WEIGHTS)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    targets = np.eye(3, dtype="float32")[labels]
    assert float(again(targets, logits)) == float(loss(targets, logits))


@pytest.mark.parametrize(
    "other", [{"class_sampling": "balanced"}, {"mixup": 0.2}, {"cutmix": 1.0}, {"loss": "dice"}, {"loss": "dice_ce"}]
)
def test_what_weights_cannot_be_combined_with(other):
    with pytest.raises(BadInput, match="--class-weights balanced"):
        Config(class_weights="balanced", **other)


def words(counts, weights=None, names=None, **flags):
    names = names or tuple("abcdefghijklmno"[: len(counts)])
    data = {"class_names": names, "task": "classification"}
    return describe_classes(Config(**flags), {"classes": {"counts": counts, "weights": weights}, "data": data})


def test_similar_classes_have_no_line():
    assert words([100, 150]) == ""


def test_imbalanced_classes_have_a_line_with_the_flags():
    expected = "'a' 100, 'b' 1,510 training examples, 15.1 to 1 (--class-weights balanced or --class-sampling balanced"
    assert words([100, 1510]).startswith(expected)


def test_of_many_classes_the_smallest_and_the_largest_are_named():
    assert words([20, *[30] * 12, 7]).startswith("'n' 7 to 'b' 30 training examples, 4.3 to 1")


def test_the_line_says_what_is_done():
    assert words([10, 30], balanced_weights([10, 30])).endswith(
        "; weights in the loss 0.667 to 2 (--class-weights balanced)"
    )
    assert "same share of an epoch" in words([10, 30], class_sampling="balanced")
