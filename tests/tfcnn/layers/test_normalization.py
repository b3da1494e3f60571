"""Local response normalisation against TensorFlow's op and PyTorch's layer."""

import numpy as np
import pytest
import tensorflow as tf

from tfcnn.layers import LocalResponseNormalization


def case(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 4, 5, int(rng.integers(1, 13))), scale=3).astype("float32")
    return rng, x, {"alpha": rng.uniform(0.01, 1), "beta": rng.uniform(0.3, 1.5), "k": rng.uniform(0.5, 3)}


@pytest.mark.parametrize("seed", range(10))
def test_equals_tensorflow_on_random_cases(seed):
    rng, x, how = case(seed)
    radius = int(rng.integers(0, 5))
    expected = tf.nn.local_response_normalization(x, radius, how["k"], how["alpha"], how["beta"])
    actual = LocalResponseNormalization(2 * radius + 1, **how)(x)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_large_values_do_not_overflow_in_float16():
    """300 squared is above float16's largest number."""
    actual = LocalResponseNormalization(dtype="float16")(np.full((1, 2, 2, 8), 300, "float16"))
    exact = LocalResponseNormalization()(np.full((1, 2, 2, 8), 300, "float32"))
    np.testing.assert_allclose(actual, exact, rtol=2e-3)


@pytest.mark.parametrize("how", [{"size": 0}, {"k": 0}])
def test_impossible_arguments_are_named(how):
    with pytest.raises(ValueError, match=next(iter(how))):
        LocalResponseNormalization(**how)
