"""Pooling with switches, unpooling, Lp and RoI pooling against PyTorch's, on random cases."""

import numpy as np
import pytest
import tensorflow as tf

from tfcnn import layers

pytestmark = pytest.mark.torch
CASES = [pytest.param(seed, rank, id=f"{rank}D-{seed}") for rank in (1, 2, 3) for seed in range(10)]
on_random_cases = pytest.mark.parametrize(("seed", "rank"), CASES)


def windows(rng, rank):
    """(pool size, strides)"""
    return [tuple(map(int, rng.integers(1, 4, rank))) for _ in range(2)]


def to_torch(x):
    """Channels first."""
    import torch

    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


def from_torch(tensor):
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


@on_random_cases
def test_max_pooling_and_unpooling(seed, rank):
    """PyTorch counts indices in one channel, (z H + y) W + x. Small integers as values: ties in most windows."""
    import torch

    rng = np.random.default_rng(seed)
    pool_size, strides = windows(rng, rank)
    strides = pool_size if seed % 2 == 0 else strides
    x = rng.integers(-2, 3, (2, *rng.integers(3, 9, rank), 3)).astype("float32")
    weight = rng.normal(size=x.shape).astype("float32")

    theirs = to_torch(x).requires_grad_()
    pool = getattr(torch.nn, f"MaxPool{rank}d")(pool_size, strides, return_indices=True)
    unpool = getattr(torch.nn, f"MaxUnpool{rank}d")(pool_size, strides)
    expected, indices = pool(theirs)
    placed = unpool(expected, indices, output_size=x.shape[1:-1])
    placed.backward(to_torch(weight))

    ours = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(ours)
        values, switches = getattr(layers, f"MaxPoolingWithArgmax{rank}D")(pool_size, strides)(ours)
        unpooling = getattr(layers, f"MaxUnpooling{rank}D")(pool_size, strides, output_size=x.shape[1:-1])
        y = unpooling([values, switches])
        total = tf.reduce_sum(y * weight)
    np.testing.assert_array_equal(values, from_torch(expected))
    np.testing.assert_array_equal(switches, from_torch(indices) * 3 + np.arange(3))
    np.testing.assert_array_equal(y, from_torch(placed))
    if all(p <= s for p, s in zip(pool_size, strides, strict=True)):  # PyTorch counts a cell's gradient once a window
        np.testing.assert_allclose(tape.gradient(total, ours), from_torch(theirs.grad), rtol=1e-6)


@on_random_cases
def test_max_pooling_of_nan(seed, rank):
    import torch

    rng = np.random.default_rng(seed)
    pool_size, strides = windows(rng, rank)
    x = rng.integers(-2, 3, (2, *rng.integers(3, 9, rank), 3)).astype("float32")
    x[rng.random(x.shape) < 0.3] = np.nan
    expected, indices = getattr(torch.nn, f"MaxPool{rank}d")(pool_size, strides, return_indices=True)(to_torch(x))
    values, places = getattr(layers, f"MaxPoolingWithArgmax{rank}D")(pool_size, strides)(x)
    np.testing.assert_array_equal(values, from_torch(expected))
    np.testing.assert_array_equal(places, from_torch(indices) * 3 + np.arange(3))


@on_random_cases
def test_lp_pooling(seed, rank):
    """PyTorch leaves out the absolute value: for an odd p its sum is a norm of inputs that are not negative."""
    import torch

    rng = np.random.default_rng(seed)
    pool_size, strides = windows(rng, rank)
    p = int(rng.integers(1, 5))
    x = rng.normal(size=(2, *rng.integers(3, 8, rank), 3)).astype("float32")
    x = x if p % 2 == 0 else np.abs(x)
    one = (lambda t: t[0]) if rank == 1 else (lambda t: t)  # LPPool1d takes integers only
    theirs = getattr(torch.nn, f"LPPool{rank}d")(p, one(pool_size), one(strides))(to_torch(x))
    ours = getattr(layers, f"LpPooling{rank}D")(pool_size, strides, p=p)(x)
    np.testing.assert_allclose(ours, from_torch(theirs), rtol=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_roi_pooling(seed):
    """PyTorch's adaptive pooling of the cells of a region has the same bins."""
    import torch

    rng = np.random.default_rng(seed)
    pool_size = tuple(map(int, rng.integers(1, 5, 2)))
    height, width = map(int, rng.integers(3, 20, 2))
    x = rng.normal(size=(2, height, width, 3)).astype("float32")
    corners = np.sort(rng.integers(0, [width, height], (2, 6, 2, 2)), axis=2) + np.array([[0, 0], [1, 1]])
    values = to_torch(x).requires_grad_()
    theirs = []
    for n, r in np.ndindex(2, 6):
        (x1, y1), (x2, y2) = corners[n, r]
        theirs.append(torch.nn.functional.adaptive_max_pool2d(values[n : n + 1, :, y1:y2, x1:x2], pool_size))
    theirs = torch.cat(theirs)
    ours_x = tf.Variable(x)
    with tf.GradientTape() as tape:
        ours = layers.RoIPooling2D(pool_size, 1)([ours_x, corners.reshape(2, 6, 4).astype("float32")])
        total = tf.reduce_sum(ours * ours)
    np.testing.assert_array_equal(tf.reshape(ours, (12, *pool_size, 3)), from_torch(theirs))
    (theirs * theirs).sum().backward()
    np.testing.assert_allclose(tape.gradient(total, ours_x), from_torch(values.grad), rtol=1e-5, atol=1e-5)
