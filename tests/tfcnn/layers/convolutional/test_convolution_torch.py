"""Convolution with any padding against torch.nn.Conv*d, values and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tfcnn import layers

MODES = {"zero": "zeros", "replicate": "replicate", "reflect": "reflect", "circular": "circular"}


@pytest.mark.torch
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_equals_torch_on_random_cases(rank, seed):
    import torch

    rng = np.random.default_rng(100 * rank + seed)

    def draw(low, high):
        return tuple(int(n) for n in rng.integers(low, high, size=rank))

    kernel = draw(1, 4)
    strides = draw(1, 4)
    dilation = draw(1, 4)
    amounts = draw(0, 4)
    mode = rng.choice(list(MODES))
    groups = int(rng.choice([1, 1, 2, 3]))
    x = rng.normal(size=(2, *draw(7, 11), 2 * groups)).astype("float32")
    layer = getattr(layers, f"PaddedConv{rank}D")(
        3 * groups, kernel, strides, amounts, padding_mode=mode, dilation_rate=dilation, groups=groups
    )
    oracle = getattr(torch.nn, f"Conv{rank}d")(
        2 * groups, 3 * groups, kernel, strides, amounts, dilation, groups, padding_mode=MODES[mode]
    )
    layer.build(x.shape)
    weight = oracle.weight.detach().permute(*range(2, rank + 2), 1, 0).numpy()
    layer.set_weights([weight, oracle.bias.detach().numpy()])

    images = torch.from_numpy(x).movedim(-1, 1).requires_grad_()
    expected = oracle(images)
    upstream = rng.normal(size=expected.shape).astype("float32")
    expected.backward(torch.from_numpy(upstream))
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        actual = layer(inputs)
    gradients = tape.gradient(
        actual, [inputs, layer.kernel.value, layer.bias.value], tf.constant(np.moveaxis(upstream, 1, -1))
    )
    np.testing.assert_allclose(actual, expected.detach().movedim(1, -1), rtol=1e-3, atol=1e-4)
    expected_gradients = (
        images.grad.movedim(1, -1),
        oracle.weight.grad.permute(*range(2, rank + 2), 1, 0),
        oracle.bias.grad,
    )
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-3, atol=1e-4)
