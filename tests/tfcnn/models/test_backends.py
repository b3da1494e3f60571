"""The same networks on the JAX backend: the same weights give the same logits."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.export import SMALL
from tfcnn import cost, factory
from tfcnn.models import registry
from tfcnn.receptive_field import receptive_field

ROOT = Path(__file__).resolve().parents[3]


def networks():
    """One small network a family, and every other form whose operations it lacks."""
    for family in registry.FAMILIES:
        yield family.names[0], SMALL[family.module]
    yield "lenet5", {"form": "paper"}
    yield "alexnet_2012", {"width": 0.1}
    yield "fcn8s", {"width": 0.02, "depth": 0.3, "form": "same"}
    yield "unet3d", {"width": 0.125, "depth": 0.5, "convolution": "orthogonal"}
    yield "context_module", {"size": "large"}
    yield "conv_autoencoder", {"decoder": "unpooling"}


def shape_of(arch):
    rank = len(registry.arguments(arch)["input_shape"]) - 1
    return {1: (1024, 1), 2: (32, 32, 1), 3: (16, 18, 20, 1)}[rank]


def images_of(arch):
    """The inputs of a network: images, and regions of them for a detector."""
    images = np.random.default_rng(1).normal(size=(2, *shape_of(arch))).astype("float32")
    if registry.family_of(arch).task != "detection":
        return images
    return [images, np.array([[[0, 0, 20, 16], [8, 4, 32, 32], [-1] * 4]] * 2, "float32")]


def on_tensorflow(path):
    """Logits of every network, its weights moved off their initial values; they are stored in `path`."""
    rng = np.random.default_rng(0)
    stored = {}
    logits = {}
    for number, (arch, overrides) in enumerate(networks()):
        model = factory.build(arch, shape_of(arch), 5, **overrides)
        weights = [(w + 0.01 * abs(rng.normal(size=w.shape))).astype("float32") for w in model.get_weights()]
        model.set_weights(weights)
        stored |= {f"{number}/{i}": w for i, w in enumerate(weights)}
        logits[arch + str(overrides)] = model(images_of(arch), training=False).numpy()
    np.savez(path, **stored)
    return logits


def on_jax(path):
    """Logits of every network for the weights in `path`. JAX compiles an initial value of each shape: none is made."""
    import jax

    stored = np.load(path)
    logits = {}
    for number, (arch, overrides) in enumerate(networks()):
        with cost.weightless():
            model = factory.build(arch, shape_of(arch), 5, **overrides)
        values = {id(w): stored[f"{number}/{i}"] for i, w in enumerate(model.weights)}
        trainable = [values[id(w)] for w in model.trainable_variables]
        others = [values.get(id(w), np.zeros(w.shape, w.dtype)) for w in model.non_trainable_variables]  # or a seed
        forward = jax.jit(partial(model.stateless_call, training=False))
        logits[arch + str(overrides)] = forward(trainable, others, images_of(arch))[0]
    return logits


def of_the_graph():
    """The receptive field and the cost of MobileNet."""
    with cost.weightless():
        model = factory.build("mobilenet")
    return {"field": str(receptive_field(model)), "macs": cost.cost_table(model).macs}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backends")
    expected = on_tensorflow(folder / "weights.npz")
    code = f"""
import runpy
from pathlib import Path
import keras, numpy as np
assert keras.backend.backend() == "jax"
folder = Path({str(folder)!r})
here = runpy.run_path({__file__!r})
np.savez(folder / "jax.npz", **here["on_jax"](folder / "weights.npz"), **here["of_the_graph"]())
"""
    # Compiling takes most of the time, and each network runs once: without XLA's optimisation a quarter of it.
    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), "XLA_FLAGS": quick}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return expected, dict(np.load(folder / "jax.npz"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [arch + str(overrides) for arch, overrides in networks()])
def test_jax_gives_the_same_logits(name, both):
    expected, actual = (logits[name] for logits in both)
    assert np.isfinite(expected).all()
    assert expected.std() > 0
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


@pytest.mark.slow
def test_jax_gives_the_same_field_and_cost(both):
    assert (both[1]["field"], both[1]["macs"]) == ("315", 568_740_352)
