import keras
import numpy as np
import pytest

from tfcnn.models.blocks import max_pool

RNG = np.random.default_rng(0)


def pooled_by_hand(x, size, stride):
    """Max pooling whose last window may hang over the end."""
    rows, columns = (-(-(side - size) // stride) + 1 for side in x.shape[1:3])
    result = np.empty((len(x), rows, columns, x.shape[3]), x.dtype)
    for i in range(rows):
        for j in range(columns):
            window = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
            result[:, i, j] = window.max((1, 2))
    return result


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("window", [(3, 2), (2, 2), (3, 3)])
@pytest.mark.parametrize("sides", [(7, 9), (8, 6), (7, 8), (9, 5)])
def test_the_last_window_may_hang_over_the_end(sides, window, unknown):
    inputs = keras.Input((None, None, 2) if unknown else (*sides, 2))
    model = keras.Model(inputs, max_pool(inputs, *window, ceil=True))
    x = np.maximum(RNG.normal(size=(2, *sides, 2)), 0).astype("float32")
    np.testing.assert_array_equal(model(x), pooled_by_hand(x, *window))


@pytest.mark.parametrize(("side", "layers"), [(31, 1), (32, 1), (None, 2)])
def test_known_maps_are_not_copied_into_a_border(side, layers):
    inputs = keras.Input((side, side, 2))
    model = keras.Model(inputs, max_pool(inputs, 3, 2, ceil=True))
    assert len(model.layers) == 1 + layers


@pytest.mark.parametrize("side", [31, 32, None])
def test_a_pooling_has_its_name_with_and_without_a_border(side):
    inputs = keras.Input((side, side, 2))
    assert keras.Model(inputs, max_pool(inputs, 3, 2, ceil=True, name="pool1")).layers[-1].name == "pool1"
