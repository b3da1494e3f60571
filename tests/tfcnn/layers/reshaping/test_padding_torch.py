"""Padding against torch.nn's padding layers."""

import numpy as np
import pytest

from tfcnn import layers

TORCH = {"zero": "ZeroPad", "replicate": "ReplicationPad", "reflect": "ReflectionPad", "circular": "CircularPad"}


@pytest.mark.torch
@pytest.mark.parametrize("mode", TORCH)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_equals_torch_on_random_cases(mode, rank, seed):
    import torch

    rng = np.random.default_rng(seed)
    shape = rng.integers(3, 7, size=rank)
    x = rng.normal(size=(2, *shape, 3)).astype("float32")
    amounts = tuple(tuple(int(a) for a in rng.integers(0, n, size=2)) for n in shape)
    oracle = getattr(torch.nn, f"{TORCH[mode]}{rank}d")([side for pair in reversed(amounts) for side in pair])
    expected = oracle(torch.from_numpy(x).movedim(-1, 1)).movedim(1, -1)
    actual = getattr(layers, f"Padding{rank}D")(amounts, mode)(x)
    np.testing.assert_array_equal(actual, expected)
