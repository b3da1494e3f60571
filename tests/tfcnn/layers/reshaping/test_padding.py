"""Padding by name, by number, and where it cannot be."""

import keras
import numpy as np
import pytest

from tfcnn.layers import Padding1D, Padding2D, Padding3D


def test_names_are_those_of_dumoulin_and_visin():
    assert Padding2D("none").amounts == ((0, 0), (0, 0))
    assert Padding2D("half", kernel_size=(3, 4)).amounts == ((1, 1), (1, 2))
    assert Padding2D("full", kernel_size=3, dilation_rate=(1, 2)).amounts == ((2, 2), (4, 4))
    assert Padding1D(2).amounts == ((2, 2),)
    assert Padding1D((1, 2)).amounts == ((1, 2),)
    assert Padding3D((1, 0, 2)).amounts == ((1, 1), (0, 0), (2, 2))


def test_replication_may_be_wider_than_the_map():
    x = np.array([[[1.0], [2.0]]], "float32")
    np.testing.assert_array_equal(np.ravel(Padding1D((3, 2), "replicate")(x)), [1, 1, 1, 1, 2, 2, 2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("half",), "kernel_size"),
        (("everything",), "none, half, full"),
        ((1, "mirror"), "zero, replicate, reflect, circular"),
        ((-1,), "0 or more"),
        (((1, 2, 3),), "2 axes"),
        ((((1, 1), (0, 2.5)),), "0 or more"),
    ],
)
def test_impossible_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        Padding2D(*arguments)


@pytest.mark.parametrize(("mode", "amount"), [("reflect", 4), ("circular", 5)])
def test_a_map_too_small_is_an_error_whether_its_size_is_known_or_not(mode, amount):
    layer = Padding2D(amount, mode)
    with pytest.raises(ValueError, match="axis of 4 pixels"):
        layer(np.ones((1, 4, 4, 1), "float32"))
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(Exception, match=r"less than|Expected|size|axis"):
        model.predict(np.ones((1, 4, 4, 1), "float32"), verbose=0)
