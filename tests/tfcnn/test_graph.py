"""The flat graph that costs and receptive fields are read from."""

import keras
import pytest
from keras import layers, ops

from tfcnn import graph


def test_models_inside_are_opened_with_the_tensors_of_each_application():
    inner_input = keras.Input((None, 3))
    conv = layers.Conv1D(3, 3)
    inner = keras.Model(inner_input, [conv(inner_input), layers.ReLU()(inner_input)])
    inputs = keras.Input((9, 3))
    first, second = inner(inputs)
    third, _ = inner(first)
    flat = graph.read(keras.Model(inputs, [third, ops.concatenate([second, second], axis=-1)]))
    kinds = [type(step.operation).__name__ for step in flat.steps]
    assert sorted(kinds) == ["Concatenate", "Conv1D", "Conv1D", "ReLU", "ReLU"]
    convs = [step for step in flat.steps if step.operation is conv]
    assert [step.outputs[0].shape for step in convs] == [(None, 7, 3), (None, 5, 3)]
    assert convs[0].inputs[0] is flat.inputs[0]
    assert convs[1].inputs[0] is convs[0].outputs[0]
    assert flat.outputs[0] is convs[1].outputs[0]
    assert flat.outputs[1].shape == (None, 9, 6)


def test_a_model_without_a_graph_is_named():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="mine has no graph to read"):
        graph.read(Subclassed(name="mine"))


@pytest.fixture
def branches():
    """A long branch and a short one that meet: (inputs, long, short)."""
    inputs = keras.Input((8, 8, 3))
    stem = layers.Conv2D(4, 1, name="stem")(inputs)
    long = layers.Conv2D(4, 1, name="second")(layers.Conv2D(4, 1, name="first")(stem))
    short = layers.Conv2D(4, 1, name="shortcut")(stem)
    return inputs, long, short


def names_in_order(model):
    return [layer.name for layer in graph.in_order(model)]


@pytest.mark.parametrize("long_first", [True, False])
def test_order_does_not_depend_on_the_order_of_a_sum(branches, long_first):
    inputs, long, short = branches
    model = keras.Model(inputs, layers.Add()([long, short] if long_first else [short, long]))
    assert names_in_order(model) == ["stem", "first", "second", "shortcut"]


def test_order_follows_that_of_a_concatenation(branches):
    inputs, long, short = branches
    model = keras.Model(inputs, layers.Concatenate()([short, long]))
    assert names_in_order(model) == ["stem", "shortcut", "first", "second"]


def test_order_opens_models_inside(branches):
    inputs, long, short = branches
    inner = keras.Model(inputs, layers.Concatenate()([short, long]))
    model = keras.Sequential([keras.Input((8, 8, 3)), inner, layers.Conv2D(1, 1, name="last")])
    assert names_in_order(model) == ["stem", "shortcut", "first", "second", "last"]
