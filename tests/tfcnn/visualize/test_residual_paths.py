"""Networks without some of their blocks, and the gradients of single paths."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfcnn
from tests.tfcnn.visualize.small_networks import images
from tfcnn import graph
from tfcnn.visualize.residual_paths import (
    Parts,
    gradient_by_length,
    permute,
    plain_layers,
    residual_blocks,
    swap_at_random,
)

BLOCKS = 3


def draw_weights(model):
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.4, weight.shape) for weight in model.get_weights()])
    return model


def residual(convolutions, numbers=range(BLOCKS)):
    """A network of the blocks with these numbers; the shortcut comes first in every second one."""
    inputs = keras.Input((5, 5, 2))
    x = layers.ReLU()(inputs)  # a sum without its branch leaves the rectifier after it, which changes nothing more
    for number in numbers:
        branch = layers.ReLU()(convolutions[number](x))
        x = layers.ReLU()(layers.Add()([x, branch] if number % 2 else [branch, x]))
    return keras.Model(inputs, convolutions[-1](layers.GlobalAveragePooling2D()(x)))


def parts_of(model, find=residual_blocks):
    network = graph.read(model)
    return Parts(network, find(network))


@pytest.fixture
def convolutions():
    parts = [layers.Conv2D(2, 3, padding="same", name=f"conv{number}") for number in range(BLOCKS)]
    parts.append(layers.Dense(3))
    draw_weights(residual(parts))
    return parts


def test_without_a_block_the_network_is_the_one_of_the_others(convolutions):
    whole = residual(convolutions)
    parts = parts_of(whole)
    pixels = images(4, (5, 5, 2))
    for left_out in ([], [1], [0, 2]):
        others = residual(convolutions, [number for number in range(BLOCKS) if number not in left_out])
        expected = others(pixels).numpy()
        np.testing.assert_allclose(parts.outputs(pixels, left_out), expected, rtol=1e-5, atol=1e-6)


def test_the_paths_sum_to_the_gradient(convolutions):
    whole = residual(convolutions)
    parts = parts_of(whole)
    pixels = tf.constant(images(4, (5, 5, 2)))
    labels = np.array([0, 1, 2, 1])
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, whole(pixels))
    gradient = tape.gradient(losses, pixels)
    masks = map(np.array, itertools.product([False, True], repeat=BLOCKS))
    paths = [parts.path_gradients(pixels.numpy(), labels, mask) for mask in masks]
    np.testing.assert_allclose(sum(paths), gradient, rtol=1e-4, atol=1e-6)


def test_the_mean_over_all_paths_of_a_length_is_what_samples_estimate(convolutions):
    whole = residual(convolutions)
    parts = parts_of(whole)
    pixels = images(4, (5, 5, 2))
    labels = np.array([0, 1, 2, 1])
    ones = [parts.path_gradients(pixels, labels, mask) for mask in np.eye(BLOCKS, dtype=bool)]
    expected = np.mean([np.linalg.norm(gradients.reshape(4, -1), axis=1).mean() for gradients in ones])
    assert gradient_by_length(parts, pixels, labels, samples=60)[1] == pytest.approx(expected, rel=0.2)


def test_a_plain_network_without_a_layer():
    first, second, third = (layers.Conv2D(n, 3, padding="same", use_bias=False) for n in (4, 4, 3))
    normal, relu = layers.BatchNormalization(), layers.ReLU
    whole = keras.Sequential([keras.Input((6, 6, 2)), first, relu(), second, normal, relu(), third])
    draw_weights(whole)
    normal.set_weights([abs(weight) for weight in normal.get_weights()])
    parts = parts_of(whole, plain_layers)
    assert [unit.layers for unit in parts.units] == [[second, normal]]
    pixels = images(2, (6, 6, 2))
    expected = keras.Sequential([keras.Input((6, 6, 2)), first, relu(), third])(pixels).numpy()
    np.testing.assert_allclose(parts.outputs(pixels, [0]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_blocks_of_the_registry():
    """Three stages of 18 blocks; a VGG-16 has 13 convolutions, of which four widen the map."""
    assert len(parts_of(tfcnn.build("resnet110", (32, 32, 3), 10, width=0.25)).units) == 3 * 18
    vgg = tfcnn.build("vgg16_bn", (32, 32, 3), 10, width=0.125)
    assert len(parts_of(vgg, plain_layers).units) == 13 - 4


def test_a_network_without_blocks_is_refused():
    plain = graph.read(keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3)]))
    with pytest.raises(ValueError, match="no residual block"):
        residual_blocks(plain)
    with pytest.raises(ValueError, match="no convolution that keeps the shape"):
        plain_layers(plain)


def test_units_change_places(convolutions):
    whole = residual(convolutions)
    kernels = [layer.get_weights()[0] for layer in convolutions[:-1]]
    permute(parts_of(whole).units, [2, 0, 1])
    for layer, number in zip(convolutions, [2, 0, 1], strict=False):
        np.testing.assert_array_equal(layer.get_weights()[0], kernels[number])


def test_units_of_other_shapes_do_not_change_places():
    units = parts_of(tfcnn.build("resnet20", (16, 16, 3), 5, width=0.25)).units
    with pytest.raises(ValueError, match="has weights of"):
        permute(units, [8, *range(1, 8), 0])
    order = swap_at_random(units, 20, np.random.default_rng(0))
    assert sorted(order) == list(range(9))
    assert order != list(range(9))
    permute(units, order)
