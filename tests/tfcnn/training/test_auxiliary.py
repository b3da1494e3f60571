"""Auxiliary classifiers count in the loss of training, and nowhere else."""

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training.auxiliary import WEIGHTS, with_auxiliary
from tfcnn.training.callbacks import uncompiled
from tfcnn.training.compile import compile_model

CONFIG = Config(arch="googlenet", smoothing=0.0, l2=0.0)
IMAGES = np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype("float32")
TARGETS = np.eye(3, dtype="float32")[[0, 2, 1, 1]]


@pytest.fixture(scope="module")
def model():
    arguments = {"auxiliary": True, "width": 0.05, "depth": 0.1, "dropout": 0.0, "auxiliary_dropout": 0.0}
    network = with_auxiliary(tfcnn.build("googlenet", (16, 16, 1), 3, **arguments), CONFIG)
    compile_model(network, CONFIG, steps_per_epoch=1)
    network.run_eagerly = True  # tracing takes ten times as long
    return network


def cross_entropy(logits):
    logits = np.asarray(logits, "float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -(TARGETS * log_p).sum(-1).mean()


def test_the_loss_of_training_is_weighted_as_in_the_paper(model):
    outputs = model(IMAGES, training=True)
    first, *others = map(cross_entropy, outputs)
    loss = model.compute_loss(None, TARGETS, outputs)
    assert len(others) == 2
    assert float(loss) == pytest.approx(first + 0.3 * sum(others), rel=1e-5)


def test_the_weight_of_inception_v3_is_that_of_its_published_code():
    assert WEIGHTS["inception_v3"] == 0.4


def test_a_step_trains_every_head(model):
    heads = ("logits", "auxiliary1", "auxiliary2")
    before = {name: model.get_layer(name).get_weights()[0] for name in heads}
    results = model.train_on_batch(IMAGES, TARGETS, return_dict=True)
    assert set(results) == {"loss", "accuracy"}
    assert all((model.get_layer(name).get_weights()[0] != before[name]).any() for name in heads)


def test_evaluation_has_one_output(model):
    logits = model.predict_on_batch(IMAGES)
    assert logits.shape == (4, 3)
    results = model.evaluate(IMAGES, TARGETS, return_dict=True, verbose=0)
    assert results["loss"] == pytest.approx(cross_entropy(logits), rel=1e-5)


def test_the_heads_leave_the_model_that_is_kept(model, tmp_path):
    uncompiled(model).save(tmp_path / "model.keras")
    kept = tfcnn.load_model(tmp_path / "model.keras")
    assert kept.output_names == ["logits"]
    assert not [layer.name for layer in kept.layers if "auxiliary" in layer.name]
    np.testing.assert_allclose(kept.predict_on_batch(IMAGES), model.predict_on_batch(IMAGES), atol=1e-6)


def test_other_networks_with_several_outputs_are_refused():
    inputs = keras.Input((8, 8, 1))
    several = keras.Model(inputs, [keras.layers.Flatten(name="one")(inputs), keras.layers.Flatten(name="two")(inputs)])
    with pytest.raises(BadInput, match="lenet5 has the outputs one, two"):
        with_auxiliary(several, Config(arch="lenet5"))


def test_loaded_weights_are_refused():
    with tfcnn.cost.weightless():
        network = tfcnn.build("googlenet", (32, 32, 1), 10, auxiliary=True)
    with pytest.raises(BadInput, match=r"are for training from fresh weights: leave --weights x\.keras"):
        with_auxiliary(network, Config(arch="googlenet", weights="x.keras"))
