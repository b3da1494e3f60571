"""VoxNet: sizes, slopes and rates of section III.C, and its values against a NumPy loop."""

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.errors import BadInput


def test_sizes_and_rates():
    with cost.weightless():
        model = tfcnn.build("voxnet")
        features = tfcnn.build("voxnet", num_classes=0)
    rows = cost.cost_table(model).rows
    sizes = [row.output_shape for row in rows if row.kind in ("Conv3D", "MaxPooling3D", "Flatten", "Dense")]
    assert sizes == [(14, 14, 14, 32), (12, 12, 12, 32), (6, 6, 6, 32), (6912,), (128,), (40,)]
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.2, 0.3, 0.4]
    assert features.output_shape == (None, 32)


def test_values():
    model = tfcnn.build("voxnet", (16, 17, 18, 1), 3, width=0.25)
    weights = model.get_weights()
    weights[3] -= 2  # some maxima of the pooling are negative
    model.set_weights(weights)
    weights = iter([w.astype("float64") for w in weights])
    volume = np.random.default_rng(0).normal(size=(16, 17, 18, 1))

    def leaky(x):
        return np.where(x > 0, x, 0.1 * x)

    def convolve(x, stride):
        kernel = next(weights)
        bias = next(weights)
        k = kernel.shape[0]
        y = np.zeros((*((n - k) // stride + 1 for n in x.shape[:3]), kernel.shape[-1]))
        for place in np.ndindex(y.shape[:3]):
            window = x[tuple(slice(p * stride, p * stride + k) for p in place)]
            y[place] = np.tensordot(window, kernel, 4) + bias
        return leaky(y)

    x = convolve(convolve(volume, 2), 1)
    halves = [n // 2 * 2 for n in x.shape[:3]]
    x = x[: halves[0], : halves[1], : halves[2]].reshape(halves[0] // 2, 2, halves[1] // 2, 2, halves[2] // 2, 2, -1)
    x = x.max(axis=(1, 3, 5)).ravel()
    x = leaky(x @ next(weights) + next(weights))
    expected = x @ next(weights) + next(weights)
    actual = model.predict_on_batch(volume[None].astype("float32"))[0]
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_three_rates_or_one():
    with cost.weightless(), pytest.raises(BadInput, match="one rate or three"):
        tfcnn.build("voxnet", dropout=(0.2, 0.3))
