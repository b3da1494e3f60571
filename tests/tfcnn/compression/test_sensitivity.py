import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfcnn.compression import sensitivity
from tfcnn.compression.sensitivity import measure
from tfcnn.visualize.sensitivity import draw_sensitivity


class Validation:
    """Data whose validation split is one batch."""

    def __init__(self, inputs, targets):
        self.batches = tf.data.Dataset.from_tensors((inputs, targets))

    def evaluation(self, split):
        assert split == "validation"
        return self.batches


def test_each_layer_is_pruned_alone():
    """Diagonal kernels, whose smallest weight decides for the first class, as equal logits do."""
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(4, name="first")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(4, name="second")(hidden))
    model.set_weights([np.diag([1, 2, 3, 4]), np.zeros(4), np.diag([10, 20, 30, 40]) + 0.1, np.zeros(4)])
    data = Validation(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32))
    accuracies = measure(model, data, [0, 0.75, 14 / 16, 1])
    assert accuracies == {name: [1, 1, 0.75, 0.25] for name in ("first/kernel", "second/kernel")}
    np.testing.assert_array_equal(model.layers[1].kernel.numpy(), np.diag([1, 2, 3, 4]))


def test_examples_beyond_the_largest_number_are_left_out(monkeypatch):
    inputs = keras.Input((2,))
    layer = keras.layers.Dense(2, kernel_initializer="identity", use_bias=False, name="only")
    model = keras.Model(inputs, layer(inputs))
    data = Validation(np.eye(2, dtype=np.float32)[[0, 0, 1]], np.eye(2, dtype=np.float32)[[0, 0, 0]])
    assert measure(model, data, [0]) == {"only/kernel": [pytest.approx(2 / 3)]}
    monkeypatch.setattr(sensitivity, "MOST_EXAMPLES", 2)
    assert measure(model, data, [0]) == {"only/kernel": [1]}


def test_the_picture(tmp_path):
    accuracies = {f"layer{number}": [0.9, 0.9 - 0.01 * number, 0.1] for number in range(30)}
    draw_sensitivity(accuracies, [0, 0.5, 0.95], tmp_path / "picture.png", title="lenet5 on digits")
    with Image.open(tmp_path / "picture.png") as picture:
        assert min(picture.size) > 500
