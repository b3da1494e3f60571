"""The 2.5-D convolution and the 3-D convolution that it abbreviates."""

import keras
import numpy as np
import pytest

from tfcnn.layers import OrthogonalPlanesConv3D


def test_the_sum_is_a_3d_convolution_with_a_kernel_that_is_zero_off_the_planes():
    layer = OrthogonalPlanesConv3D(2, 3, padding="same")
    x = np.random.default_rng(0).normal(size=(1, 5, 6, 7, 3)).astype("float32")
    actual = layer(x)
    kernel = np.zeros((3, 3, 3, 3, 2), "float32")
    axial, coronal, sagittal, bias = layer.get_weights()
    kernel[1:2] += axial
    kernel[:, 1:2] += coronal
    kernel[:, :, 1:2] += sagittal
    np.testing.assert_allclose(actual, keras.ops.conv(x, kernel, 1, "same") + bias, rtol=1e-4, atol=1e-5)


def test_concatenated_maps_stand_plane_by_plane():
    layer = OrthogonalPlanesConv3D(2, 3, merge="concatenate", use_bias=False)
    x = np.random.default_rng(0).normal(size=(1, 5, 6, 7, 1)).astype("float32")
    actual = np.asarray(layer(x))
    axial = layer.get_weights()[0]
    np.testing.assert_allclose(actual[..., :2], keras.ops.conv(x[:, 1:-1], axial, 1, "valid"), rtol=1e-4, atol=1e-5)
    assert actual.shape == (1, 3, 4, 5, 6)


def test_the_planes_start_differently():
    layer = OrthogonalPlanesConv3D(2, 3)
    layer.build((None, 5, 5, 5, 1))
    axial, coronal, sagittal, _ = (np.ravel(w) for w in layer.get_weights())
    assert not np.allclose(axial, coronal)
    assert not np.allclose(coronal, sagittal)


def test_an_unknown_merge_is_named():
    with pytest.raises(ValueError, match="sum, concatenate"):
        OrthogonalPlanesConv3D(2, 3, merge="max")
