"""Networks of a few weights, for the tests of what is seen inside them."""

import keras
import numpy as np
from keras import layers


def network(*parts, shape=(10, 9, 2), seed=0):
    """A model of layers one after the other, every weight drawn, biases too."""
    inputs = x = keras.Input(shape)
    for part in parts:
        x = part(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    return model


def classifier(seed=0, activation="relu", end=None):
    """Two convolutions with a pooling between, and a dense layer after the mean; the layers have names."""
    return network(
        layers.Conv2D(4, 3, activation=activation, name="first"),
        layers.MaxPooling2D(2, name="pooled"),
        layers.Conv2D(5, 2, activation=activation, name="second"),
        layers.GlobalAveragePooling2D(name="mean"),
        layers.Dense(3, activation=end, name="logits"),
        seed=seed,
    )


def images(count=2, shape=(10, 9, 2), seed=1):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")
