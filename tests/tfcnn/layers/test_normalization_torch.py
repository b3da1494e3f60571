"""Local response normalisation against PyTorch's layer."""

import numpy as np
import pytest

from tfcnn.layers import LocalResponseNormalization


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(10))
def test_equals_torch_on_random_cases(seed):
    import torch

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 4, 5, int(rng.integers(1, 13))), scale=3).astype("float32")
    how = {"alpha": rng.uniform(0.01, 1), "beta": rng.uniform(0.3, 1.5), "k": rng.uniform(0.5, 3)}
    size = int(rng.integers(1, 9))  # even sizes as well
    oracle = torch.nn.LocalResponseNorm(size, how["alpha"] * size, how["beta"], how["k"])
    expected = oracle(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(LocalResponseNormalization(size, **how)(x), expected, rtol=1e-4, atol=1e-5)
