import keras
import numpy as np
import pytest

from tfcnn.compression.sharing import SharedKernels, cluster, share

RNG = np.random.default_rng(0)


def lloyd(weights, centroids):
    """k-means as a loop."""
    while True:
        labels = np.abs(weights[:, None] - centroids).argmin(-1)
        means = np.array([weights[labels == number].mean() for number in range(len(centroids))])
        if np.allclose(means, centroids, rtol=0, atol=1e-9):
            return means, labels
        centroids = means


def test_centroids_are_those_of_a_loop_from_a_linear_start():
    weights = RNG.uniform(-1, 1, 500).astype(np.float32)
    centroids, labels = cluster(weights, 15)
    means, expected = lloyd(weights.astype(float), np.linspace(weights.min(), weights.max(), 15))
    np.testing.assert_allclose(centroids, means, atol=1e-6)
    np.testing.assert_array_equal(labels, expected)


def test_few_distinct_weights_are_kept():
    centroids, labels = cluster(np.array([0.5, -1, 0.5], np.float32), 3)
    assert centroids.tolist() == [-1, 0.5]
    assert labels.tolist() == [1, 0, 1]


def test_pruned_weights_have_code_0():
    kernel = RNG.normal(size=(5, 7)).astype(np.float32)
    kernel[RNG.random((5, 7)) < 0.6] = 0
    shared = share(kernel, bits=2)
    assert len(shared.centroids) == 3
    np.testing.assert_array_equal(shared.codes == 0, kernel == 0)


def test_rounding_leaves_what_the_file_holds(small):
    model, kernel, _ = small
    bias = model.layers[-1].bias
    bias.assign([0.1, 0.2, 0.3])
    SharedKernels(model, [kernel], bits=2).round()
    for values in (kernel.numpy(), bias.numpy()):
        np.testing.assert_array_equal(values, values.astype(np.float16).astype(np.float32))


@pytest.fixture
def small():
    """A dense layer under SGD with rate 1, and a batch."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse")
    kernel = model.layers[-1].kernel
    values = RNG.normal(size=(4, 3)).astype(np.float32)
    values[0] = 0
    kernel.assign(values)
    return model, kernel, (RNG.normal(size=(8, 4)).astype(np.float32), RNG.normal(size=(8, 3)).astype(np.float32))


def test_the_gradient_of_a_centroid_is_the_sum_of_its_weights_gradients(small):
    model, kernel, (inputs, targets) = small
    shared = SharedKernels(model, [kernel], bits=2)
    before = shared.centroids[0].numpy()
    codes = shared.codes[0].numpy()
    errors = inputs @ kernel.numpy() + model.layers[-1].bias.numpy() - targets
    gradient = inputs.T @ errors * 2 / errors.size  # of the mean squared error
    shared.train_step((inputs, targets))
    sums = [gradient[codes == code].sum() for code in range(1, len(before) + 1)]
    np.testing.assert_allclose(shared.centroids[0].numpy(), before - sums, rtol=1e-5)
    np.testing.assert_array_equal(kernel.numpy(), np.concatenate([[0], shared.centroids[0].numpy()])[codes])
