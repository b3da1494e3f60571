"""Layers that stand for others at the export compute the same."""

import keras
import numpy as np
import pytest

from tfcnn.export.rewriting import PoolingOfPlanes, has_unpooling, split_pooling
from tfcnn.model_files import replace_layers

KINDS = {"max": keras.layers.MaxPooling3D, "mean": keras.layers.AveragePooling3D}
REDUCE = {"max": np.max, "mean": np.mean}


def pool(volume, size, strides, padding, reduce):
    """A box at a time, without what lies outside."""
    sides = volume.shape[:3]
    if padding == "same":
        lengths = [-(-side // step) for side, step in zip(sides, strides, strict=True)]
        needed = zip(lengths, sides, size, strides, strict=True)
        before = [max((length - 1) * step + edge - side, 0) // 2 for length, side, edge, step in needed]
    else:
        lengths = [(side - edge) // step + 1 for side, edge, step in zip(sides, size, strides, strict=True)]
        before = [0, 0, 0]
    result = np.zeros((*lengths, volume.shape[3]))
    for place in np.ndindex(*lengths):
        starts = [index * step - pad for index, step, pad in zip(place, strides, before, strict=True)]
        box = tuple(slice(max(start, 0), start + edge) for start, edge in zip(starts, size, strict=True))
        result[place] = reduce(volume[box], axis=(0, 1, 2))
    return result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [((2, 2, 2), None, "valid"), ((3, 2, 4), (2, 1, 3), "valid"), ((3, 3, 2), (2, 2, 2), "same")],
)
def test_a_pooling_of_planes_is_that_of_boxes(kind, size, strides, padding):
    volume = np.random.default_rng(0).normal(size=(2, 7, 6, 9, 3)).astype("float32")
    layer = PoolingOfPlanes(KINDS[kind](size, strides, padding))
    expected = [pool(each, size, strides or size, padding, REDUCE[kind]) for each in volume]
    np.testing.assert_allclose(layer(volume), expected, rtol=1e-5, atol=1e-6)


def test_a_network_keeps_its_weights():
    inputs = keras.Input((4, 4, 4, 1))
    x = keras.layers.MaxPooling3D(2)(keras.layers.Conv3D(2, 3, padding="same")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    clone = replace_layers(model, split_pooling)
    volume = np.random.default_rng(0).normal(size=(2, 4, 4, 4, 1)).astype("float32")
    assert [type(layer).__name__ for layer in clone.layers] == ["InputLayer", "Conv3D", "PoolingOfPlanes", "Dense"]
    np.testing.assert_allclose(clone(volume), model(volume), atol=1e-6)


def test_a_network_without_such_layers_stays():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert replace_layers(model, split_pooling) is model
    assert not has_unpooling(model)
