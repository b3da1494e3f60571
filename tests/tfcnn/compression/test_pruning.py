import keras
import numpy as np
import pytest

from tfcnn.compression.pruning import Masked, masks_by_layer, masks_over_all, sparsity_at
from tfcnn.layers.constraints import MaxNorm

RNG = np.random.default_rng(0)


def all_true(kernels):
    return [np.ones(kernel.shape, bool) for kernel in kernels]


@pytest.fixture
def kernels():
    return [RNG.normal(size=(3, 3, 2, 4)), 10 * RNG.normal(size=(20, 10))]


def test_the_schedule_is_equation_1():
    """Zhu & Gupta 2017, with initial sparsity 0, begun at step 0 and updated n times."""
    n = 40
    expected = [0.9 + (0 - 0.9) * (1 - t / n) ** 3 for t in range(n + 1)]
    np.testing.assert_allclose([sparsity_at(t / n, 0.9) for t in range(n + 1)], expected)


def test_each_layer_keeps_its_largest(kernels):
    masks = masks_by_layer(kernels, [0.5, 0.9], all_true(kernels))
    for kernel, mask, count in zip(kernels, masks, (36, 20), strict=True):
        magnitudes = np.abs(kernel)
        np.testing.assert_array_equal(mask, magnitudes >= np.sort(magnitudes.ravel())[-count])


def test_one_threshold_for_the_scores_of_all_kernels(kernels):
    """LAMP's equation 3 as a loop over the weights."""
    masks = masks_over_all(kernels, 0.75, all_true(kernels))
    squares = [kernel.ravel() ** 2 for kernel in kernels]
    scores = [np.array([square / layer[layer >= square].sum() for square in layer]) for layer in squares]
    threshold = np.sort(np.concatenate(scores))[-68]
    for layer_scores, mask in zip(scores, masks, strict=True):
        np.testing.assert_array_equal(mask.ravel(), layer_scores >= threshold)


@pytest.mark.parametrize("sparsity", [0, 1])
def test_bounds_of_the_sparsity(sparsity, kernels):
    assert [mask.mean() for mask in masks_by_layer(kernels, [sparsity] * 2, all_true(kernels))] == [1 - sparsity] * 2


def test_what_is_pruned_stays_pruned(kernels):
    before = masks_over_all(kernels, 0.5, all_true(kernels))
    grown = [np.where(mask, kernel, 99) for kernel, mask in zip(kernels, before, strict=True)]
    masks = masks_over_all(grown, 0.7, before)
    assert all((mask <= former).all() for mask, former in zip(masks, before, strict=True))


def test_a_weight_of_zero_comes_before_a_pruned_one():
    before = RNG.random((20, 20)) < 0.5
    (mask,) = masks_by_layer([np.zeros((20, 20))], [1 - before.mean()], [before])
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        keras.optimizers.AdamW(0.1),
        keras.optimizers.RMSprop(0.1, momentum=0.9),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_masks_hold_after_each_step(optimizer):
    """Momentum is there before the weights are pruned."""
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(5)(inputs))
    model.compile(optimizer=optimizer, loss="mse")
    batch = (RNG.normal(size=(8, 6)), RNG.normal(size=(8, 5)))
    kernel = model.layers[-1].kernel
    masked = Masked(kernel)
    model.train_on_batch(*batch)
    assert np.count_nonzero(kernel.numpy()) == kernel.numpy().size
    mask = RNG.random((6, 5)) < 0.4
    masked.set(mask)
    for _ in range(3):
        before = kernel.numpy()
        model.train_on_batch(*batch)
        np.testing.assert_array_equal(kernel.numpy() != 0, mask)
        assert (kernel.numpy() != before)[mask].all()


def test_the_constraint_of_a_kernel_holds_as_well():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    layer.kernel.constraint = MaxNorm(1.0, "convolution")
    inner = layer.kernel.constraint
    masked = Masked(layer.kernel)
    masked.set(np.array([[1, 0], [1, 1], [0, 1]], bool))
    np.testing.assert_allclose(masked(np.full((3, 2), 5.0)), np.array([[1, 0], [1, 1], [0, 1]]) / np.sqrt(3), rtol=1e-5)
    masked.remove()
    assert layer.kernel.constraint is inner
