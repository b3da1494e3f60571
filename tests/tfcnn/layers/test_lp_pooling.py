"""Lp pooling: against PyTorch's, at zero, and in half precision."""

import numpy as np
import pytest
import tensorflow as tf

from tfcnn import layers


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_is_pytorchs(seed, rank):
    """PyTorch leaves out the absolute value: for an odd p its sum is a norm of inputs that are not negative."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    pool, strides = (tuple(map(int, rng.integers(1, 4, rank))) for _ in range(2))
    p = int(rng.integers(1, 5))
    x = rng.normal(size=(2, *rng.integers(3, 8, rank), 3)).astype("float32")
    x = x if p % 2 == 0 else np.abs(x)
    if rank == 1:
        pool, strides = pool[0], strides[0]
    theirs = getattr(torch.nn, f"LPPool{rank}d")(p, pool, strides)(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    ours = getattr(layers, f"LpPooling{rank}D")(pool, strides, p=p)(x)
    np.testing.assert_allclose(ours, np.moveaxis(theirs.numpy(), 1, -1), rtol=1e-5)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_gradient_is_finite_at_zero(p):
    x = tf.zeros((1, 4, 4, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layers.LpPooling2D(p=p)(x))
    np.testing.assert_array_equal(tape.gradient(y, x), np.zeros(x.shape))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_squares_do_not_overflow_half_precision(dtype):
    y = layers.LpPooling2D(dtype=dtype)(tf.fill((1, 2, 2, 1), 1000.0))
    assert y.dtype == dtype
    assert float(y[0, 0, 0, 0]) == 2000.0
