import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcnn.losses import MulticlassHinge

RNG = np.random.default_rng(0)
SCORES = RNG.normal(scale=3, size=(6, 5))
LABELS = np.array([0, 4, 2, 2, 1, 3])
ONE_HOT = np.eye(5)[LABELS]


def loop(scores, labels, margin):
    return [
        sum(max(0.0, row[i] - row[label] + margin) for i in range(len(row)) if i != label)
        for row, label in zip(scores, labels, strict=True)
    ]


@pytest.mark.parametrize("margin", [1.0, 0.25])
def test_the_definition(margin):
    each = MulticlassHinge(margin, reduction=None, dtype="float64")(ONE_HOT, SCORES)
    np.testing.assert_allclose(each, loop(SCORES, LABELS, margin), rtol=1e-12)
    mean = MulticlassHinge(margin, dtype="float64")(ONE_HOT, SCORES)
    assert float(mean) == pytest.approx(np.mean(loop(SCORES, LABELS, margin)))


def test_gradient():
    scores = tf.Variable(SCORES)
    with tf.GradientTape() as tape:
        loss = MulticlassHinge(reduction="sum", dtype="float64")(ONE_HOT, scores)
    gradient = tape.gradient(loss, scores).numpy()
    for place in np.ndindex(SCORES.shape):
        moved = [SCORES.copy(), SCORES.copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        above, below = (sum(loop(m, LABELS, 1.0)) for m in moved)
        assert gradient[place] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_keras_hinge_is_not_it():
    """Why this loss exists: the worst class alone, and 0 where every wrong score is negative."""
    y_true, scores = np.array([[1, 0, 0]]), np.array([[-1.0, -5.0, -6.0]])
    assert float(MulticlassHinge()(y_true, scores)) == 0
    assert float(keras.losses.CategoricalHinge()(y_true, scores)) == 2
    scores = np.array([[0.0, 2.0, 1.0]])
    assert float(MulticlassHinge()(y_true, scores)) == 3 + 2
    assert float(keras.losses.CategoricalHinge()(y_true, scores)) == 3


def test_round_trip_and_training():
    loss = MulticlassHinge(margin=0.5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert again.margin == 0.5
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5)])
    model.compile("sgd", loss, jit_compile=True)
    x, y = SCORES.astype("float32"), ONE_HOT
    losses = [model.train_on_batch(x, y) for _ in range(20)]
    assert losses[-1] < losses[0]


def test_half_precision_scores():
    found = MulticlassHinge(dtype="float32")(ONE_HOT, tf.constant(SCORES, "bfloat16"))
    assert float(found) == pytest.approx(np.mean(loop(SCORES, LABELS, 1.0)), rel=0.02)


def test_margin_must_be_above_zero():
    with pytest.raises(ValueError, match="above 0, got 0"):
        MulticlassHinge(margin=0)
