"""Optimisers with one kernel a variable give what Keras' optimisers give."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcnn.training.fused_optimizers import accelerate_optimizer


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(0.1),
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.5, epsilon=1e-3),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, gradient_accumulation_steps=2),
    ],
)
def test_optimizers(make):
    results = []
    for fast in (False, True):
        optimizer = make()
        variables = [keras.Variable(np.ones(shape, "float32")) for shape in ((3, 2), (4,))]
        assert not fast or accelerate_optimizer(optimizer)
        rng = np.random.default_rng(1)
        for _ in range(6):
            optimizer.apply([tf.constant(rng.normal(size=v.shape), tf.float32) for v in variables], variables)
        results.append([np.array(v) for v in (*variables, *optimizer.variables)])
    assert np.abs(results[0][0] - 1).min() > 1e-3
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_the_schedule_is_read_once_a_step():
    """Keras reads it for each variable with weight decay, and once more."""

    class Counting(keras.optimizers.schedules.LearningRateSchedule):
        reads = 0

        def __call__(self, step):
            self.reads += 1
            return 0.1 / (1 + keras.ops.cast(step, "float32"))

    counts = []
    values = []
    for fast in (False, True):
        rate = Counting()
        optimizer = keras.optimizers.AdamW(rate, weight_decay=0.1)
        variables = [keras.Variable(np.ones(3, "float32")) for _ in range(4)]
        assert not fast or accelerate_optimizer(optimizer)
        for _ in range(2):
            optimizer.apply([tf.ones(3)] * 4, variables)
        counts.append(rate.reads)
        values.append(np.array(variables[3]))
        assert float(optimizer.learning_rate) == pytest.approx(0.1 / 3)
    assert counts == [2 * 5, 2]
    np.testing.assert_allclose(*values, rtol=1e-5)


@pytest.mark.parametrize(
    "make", [keras.optimizers.Lion, keras.optimizers.SGD, lambda: keras.optimizers.Adam(amsgrad=True)]
)
def test_other_optimizers_stay(make):
    assert not accelerate_optimizer(make())
