"""The activations that gradients read, counted by hand."""

import keras
from keras import layers

from tfcnn import graph
from tfcnn.kept_activations import kept_activations


def kept_by(*applied, shape=(8, 8, 4)):
    """The names of the layers of a chain whose outputs are kept, "input" among them."""
    inputs = x = keras.Input(shape, name="input")
    names = {id(inputs): "input"}
    for layer in applied:
        x = layer(x)
        names[id(x)] = layer.name
    return [names[id(tensor)] for tensor in kept_activations(graph.read(keras.Model(inputs, x)))]


def test_convolution_batch_norm_and_relu():
    """Each reads its input or its output: of a block the convolution's output and the ReLU's remain."""
    convolution = layers.Conv2D(2, 3, name="convolution")
    norm = layers.BatchNormalization(name="norm")
    relu = layers.ReLU(name="relu")
    last = layers.Conv2D(2, 1, name="last")
    assert kept_by(convolution, norm, relu, last) == ["input", "convolution", "relu"]


def test_an_activation_within_a_layer_keeps_its_output():
    assert kept_by(layers.Conv2D(2, 3, activation="relu", name="both")) == ["input", "both"]


def test_means_and_moves_keep_nothing():
    assert kept_by(layers.ZeroPadding2D(), layers.AveragePooling2D(2), layers.Flatten()) == []


def test_activations_keep_their_input_or_output():
    assert kept_by(layers.Activation("swish", name="swish"), layers.Flatten()) == ["input"]
    assert kept_by(layers.Activation("tanh", name="tanh"), layers.Flatten()) == ["tanh"]


def test_a_layer_that_is_not_known_keeps_both():
    assert kept_by(layers.MaxPooling2D(2, name="pool")) == ["input", "pool"]


def test_a_sum_keeps_nothing_and_a_tensor_counts_once():
    inputs = keras.Input((8, 8, 4))
    left = layers.Conv2D(4, 1)(inputs)
    right = layers.Conv2D(4, 1)(inputs)
    model = keras.Model(inputs, layers.Add()([left, right]))
    assert [tensor is inputs for tensor in kept_activations(graph.read(model))] == [True]
