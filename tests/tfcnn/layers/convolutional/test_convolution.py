"""Convolution with any padding: sizes, names, errors, training in half precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcnn.layers import PaddedConv2D

MODES = ["zero", "replicate", "reflect", "circular"]


@pytest.mark.parametrize(("padding", "sizes"), [("none", (5, 6)), ("half", (7, 8)), ("full", (9, 10)), (3, (11, 12))])
def test_paddings_give_the_sizes_of_the_slides(padding, sizes):
    layer = PaddedConv2D(1, 3, padding=padding)
    assert layer(np.ones((1, 7, 8, 2), "float32")).shape == (1, *sizes, 1)


def test_other_names_of_the_paddings():
    assert PaddedConv2D(1, 3, padding="same").padding == "half"
    assert PaddedConv2D(1, 3, padding="valid").padding == "none"
    with pytest.raises(ValueError, match="use 'half'"):
        PaddedConv2D(1, 3, strides=2, padding="same")


def test_same_on_even_kernels_is_keras_same():
    x = np.random.default_rng(0).normal(size=(2, 6, 7, 3)).astype("float32")
    ours = PaddedConv2D(2, (4, 2), padding="same")
    theirs = keras.layers.Conv2D(2, (4, 2), padding="same")
    ours.build(x.shape), theirs.build(x.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"filters": 0, "kernel_size": 3}, "filters"),
        ({"filters": 4, "kernel_size": (3, 3, 3)}, "kernel_size"),
        ({"filters": 4, "kernel_size": 3, "strides": 0}, "strides"),
        ({"filters": 4, "kernel_size": 3, "groups": 3}, "groups"),
        ({"filters": 6, "kernel_size": 3, "groups": 3}, "4 channels"),
        ({"filters": 4, "kernel_size": 9}, "does not fit"),
    ],
)
def test_impossible_arguments_are_named(how, words):
    with pytest.raises(ValueError, match=words):
        PaddedConv2D(**how)(np.ones((1, 5, 5, 4), "float32"))


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("mode", MODES)
def test_every_padding_trains_in_half_precision_and_under_xla(policy, mode):
    layer = PaddedConv2D(2, 3, strides=2, dilation_rate=3, padding=2, padding_mode=mode, dtype=policy)
    images = tf.random.normal((2, 9, 9, 2))
    layer(images)

    def step():
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(tf.cast(layer(images), "float32") ** 2)
        return tape.gradient(loss, [images, layer.kernel.value])

    for a, b in zip(tf.function(step, jit_compile=True)(), step(), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=0.05, atol=0.05 * np.abs(b).max())
