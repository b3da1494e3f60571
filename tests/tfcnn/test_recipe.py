import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfcnn
from tfcnn import recipe
from tfcnn.config import BadInput, Config


def test_schedule_is_a_linear_warm_up_and_a_cosine():
    config = Config(epochs=10, warmup_epochs=2)
    rates = recipe.schedule(config, 0.4, steps_per_epoch=5)
    for step in range(51):
        if step <= 10:
            expected = 0.004 + (0.4 - 0.004) * step / 10
        else:
            expected = 0.4 * 0.5 * (1 + math.cos(math.pi * (step - 10) / 40))
        assert float(rates(step)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_schedule_without_warm_up():
    rates = recipe.schedule(Config(epochs=4, warmup_epochs=0), 0.1, steps_per_epoch=5)
    assert [float(rates(step)) for step in (0, 10, 20)] == pytest.approx([0.1, 0.05, 0.0], abs=1e-6)


def test_schedule_that_is_warm_up_only():
    rates = recipe.schedule(Config(epochs=1, warmup_epochs=1), 0.1, steps_per_epoch=5)
    assert float(rates(4)) == pytest.approx(0.001 + 0.099 * 4 / 5)


@pytest.mark.parametrize("opt", ["adamw", "sgd"])
def test_weight_decay_shrinks_kernels_only(opt):
    model = tfcnn.build("resnet20", (32, 32, 3), 10, depth=0.34)
    recipe.compile_model(model, Config(opt=opt, weight_decay=0.5, lr=0.1, warmup_epochs=0), steps_per_epoch=100)
    for variable in model.trainable_variables:
        variable.assign(tf.ones(variable.shape))
    model.optimizer.apply([tf.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    for variable in model.trainable_variables:
        expected = 1 - 0.1 * 0.5 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, err_msg=variable.path)


def test_loss_is_smoothed_cross_entropy_of_logits():
    model = tfcnn.build("lenet5", num_classes=3)
    recipe.compile_model(model, Config(arch="lenet5", smoothing=0.3), steps_per_epoch=1)
    logits, target = np.array([[2.0, -1.0, 0.5]]), np.array([[0.0, 1.0, 0.0]])
    log_softmax = logits - np.log(np.exp(logits).sum())
    expected = -((0.7 * target + 0.1) * log_softmax).sum()
    assert float(model.loss(target, logits)) == pytest.approx(expected, rel=1e-5)


def test_default_learning_rate_knows_the_family():
    def peak(arch, **kwargs):
        return recipe.peak_learning_rate(Config(arch=arch, **kwargs))

    assert peak("vgg11") == peak("vgg16_bn") < peak("lenet5") < peak("mobilenet") == peak("resnet50")
    assert peak("vgg11", lr=0.7) == 0.7
    assert peak("mobilenet", opt="sgd") > peak("mobilenet")


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "mixed_bfloat16"), ((7, 5), "mixed_float16"), ((6, 1), "float32")]
)
def test_automatic_precision_by_device(capability, expected, monkeypatch):
    assert recipe.precision(Config()) == "float32"  # this machine has no GPU, or the test below would not be needed
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a device"])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    assert recipe.precision(Config()) == expected
    assert recipe.precision(Config(precision="float32")) == "float32"


def test_policy_is_restored():
    with recipe.policy(Config(precision="mixed_bfloat16")) as name:
        assert keras.config.dtype_policy().name == name == "mixed_bfloat16"
    with pytest.raises(ZeroDivisionError), recipe.policy(Config(precision="mixed_float16")):
        1 / 0  # noqa: B018
    assert keras.config.dtype_policy().name == "float32"


def test_a_network_with_several_outputs_is_refused():
    with tfcnn.cost.weightless():
        model = tfcnn.build("googlenet", (32, 32, 1), 10, auxiliary=True)
    with pytest.raises(BadInput, match="googlenet has the outputs logits, auxiliary1, auxiliary2"):
        recipe.compile_model(model, Config(arch="googlenet"), steps_per_epoch=1)
