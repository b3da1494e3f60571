"""A model for the tests of receptive fields."""

import keras


def chain(shape, *parts):
    """A model that applies layers or functions one after the other."""
    x = inputs = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)
