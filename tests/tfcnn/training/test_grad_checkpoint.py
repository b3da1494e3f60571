"""Gradient checkpointing changes memory and time, and no result."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfcnn import factory, graph, train
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training.fused_kernels import accelerate
from tfcnn.training.grad_checkpoint import checkpoint_gradients, divide

RNG = np.random.default_rng(0)


def chain(count):
    """A network of `count` equal layers, whose gradients read their outputs and no inputs."""
    inputs = x = keras.Input((4, 4, 8))
    for number in range(count):
        x = layers.ReLU(name=f"relu{number}")(x)
    return keras.Model(inputs, x)


def residual_network():
    """Batch norms, dropout, a model inside, a skip over several layers, and a layer that is applied twice."""
    inner_inputs = keras.Input((8, 8, 6))
    y = layers.Conv2D(6, 3, padding="same")(inner_inputs)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    inner = keras.Model(inner_inputs, y)
    inputs = keras.Input((8, 8, 3))
    first = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(layers.Conv2D(6, 3, padding="same")(inputs)))
    x = layers.Dropout(0.5, seed=1)(inner(first))
    shared = layers.Conv2D(6, 1)
    x = layers.ReLU()(shared(layers.ReLU()(shared(x))))
    x = layers.Dropout(0.3, seed=2)(layers.Add()([x, first]))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x)))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def after_two_steps(model, images, classes):
    """All variables after two steps: weights, moving statistics, seeds."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    step = tf.function(model.train_step, autograph=False)
    for _ in range(2):
        step((images, classes))
    return {variable.path: np.array(variable) for variable in model.variables}


def check_same(build, side, fused=True):
    images = tf.constant(RNG.normal(size=(4, side, side, 3)).astype("float32"))
    classes = tf.constant([0, 1, 2, 3])
    results = []
    for checkpointed in (False, True):
        keras.utils.clear_session()
        keras.utils.set_random_seed(3)
        model = build()
        if fused:
            accelerate(model)
        before = {variable.path: np.array(variable) for variable in model.variables}
        if checkpointed:
            assert len(checkpoint_gradients(model).segments) > 2
        results.append(after_two_steps(model, images, classes))
    expected, actual = results
    assert expected.keys() == actual.keys()
    for path, value in expected.items():
        np.testing.assert_allclose(actual[path], value, rtol=1e-4, atol=1e-6, err_msg=path)
    assert sum((expected[path] != before[path]).any() for path in before) == len(before)


@pytest.mark.parametrize("fused", [True, False])
def test_weights_statistics_and_seeds_are_those_of_plain_training(fused):
    check_same(residual_network, 8, fused)


def test_a_network_with_long_skips():
    def unet():
        model = factory.build("unet", input_shape=(16, 16, 3), num_classes=4, width=0.0625, batch_norm=True)
        return keras.Model(model.input, layers.GlobalAveragePooling2D()(model.output))

    check_same(unet, 16)


def test_mixed_precision_keeps_float32_weights():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = residual_network()
    finally:
        keras.config.set_dtype_policy("float32")
    checkpoint_gradients(model)
    images = RNG.normal(size=(4, 8, 8, 3)).astype("float32")
    variables = after_two_steps(model, images, np.arange(4))
    kernel = next(value for path, value in variables.items() if path.endswith("kernel"))
    assert kernel.dtype == np.float32
    assert (kernel != kernel.astype(tf.bfloat16.as_numpy_dtype).astype("float32")).any()


def test_the_graph_computes_all_segments_but_the_last_again():
    model = residual_network()
    plan = checkpoint_gradients(model)
    again = sum(isinstance(step.operation, layers.Conv2D) for part in plan.segments[:-1] for step in part.steps)

    @tf.function(autograph=False)
    def gradients(images):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(images, training=True))
        return tape.gradient(total, [weight.value for weight in model.trainable_variables])

    operations = gradients.get_concrete_function(tf.TensorSpec((2, 8, 8, 3))).graph.get_operations()
    assert sum(operation.type == "Conv2D" for operation in operations) == 5 + again


def test_inference_is_keras_own():
    model = residual_network()
    images = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    before = np.array(model(images, training=False))
    checkpoint_gradients(model)
    np.testing.assert_array_equal(model(images, training=False), before)


@pytest.mark.parametrize("count", [4, 16, 100])
def test_a_chain_keeps_as_many_as_the_paper_says(count):
    """Chen et al. 2016, section 3: k segments of n / k layers keep n / k + k activations, 2 sqrt(n) at best."""
    plan = divide(graph.read(chain(count)))
    one = 4 * 4 * 8 * 4
    best = min(k - 1 + -(-count // k) for k in range(1, count + 1))
    assert plan.all_bytes == count * one
    assert best * one <= plan.kept_bytes <= 2 * count**0.5 * one


def test_segments_hold_each_step_once_in_order():
    whole = graph.read(residual_network())
    plan = divide(whole)
    names = [step.operation.name for part in plan.segments for step in part.steps]
    assert names == [step.operation.name for step in whole.steps]


def test_a_network_that_gains_nothing_is_left_alone():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    assert len(checkpoint_gradients(model).segments) == 1
    assert "call" not in vars(model)


def test_detectors_are_refused():
    with pytest.raises(BadInput, match=r"fast_rcnn .* --grad-checkpoint"):
        train.check(Config(arch="fast_rcnn", dataset="boxes", grad_checkpoint=True))
