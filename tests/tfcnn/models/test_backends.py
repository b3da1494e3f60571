"""The same networks on the JAX backend: the same weights give the same logits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfcnn import cost, models

ROOT = Path(__file__).resolve().parents[3]
SMALL = {
    "vgg": {"width": 0.05},
    "resnet": {"width": 0.125, "depth": 0.5},
    "mobilenet": {"width": 0.25, "depth": 0.2},
    "alexnet": {"width": 0.05},
    "nin": {"width": 0.25},
    "googlenet": {"width": 0.25, "depth": 0.2},
    "inception_v3": {"width": 0.1, "depth": 0.25},
    "squeezenet": {"width": 0.25},
    **{
        family: {"width": 0.25, "depth": 0.1} for family in ("densenet", "mobilenet_v2", "mobilenet_v3", "efficientnet")
    },
    "xception": {"width": 0.05, "depth": 0.1},
    "audio": {"width": 0.05},
    "voxnet": {"width": 0.25},
    "unet": {"width": 0.125, "depth": 0.5},
    "unet3d": {"width": 0.125, "depth": 0.5},
    "fcn": {"width": 0.02, "depth": 0.3, "form": "same"},
    "segnet": {"width": 0.05, "depth": 0.3},
    "deconvnet": {"width": 0.05, "depth": 0.3},
    "dilated": {"width": 0.02, "depth": 0.3},
    "autoencoder": {"width": 0.25},
}


def networks():
    """One small network a family, and every other name that differs in kind from it."""
    for family in models.FAMILIES:
        yield family.names[0], SMALL.get(family.module, {})
    yield "lenet5", {"form": "paper"}
    yield "resnet20", {"depth": 0.34}
    yield "resnet50", {"width": 0.125, "depth": 0.25, "form": "keras"}
    yield "xception", {"width": 0.05, "depth": 0.1, "form": "timm"}
    yield "alexnet_2012", {"width": 0.1}
    yield "googlenet", {"width": 0.25, "depth": 0.2, "form": "paper"}
    yield "inception_v3", {"width": 0.1, "depth": 0.25, "form": "torchvision"}
    yield "fcn8s", {"width": 0.02, "depth": 0.3}
    yield "unet3d", {"width": 0.125, "depth": 0.5, "convolution": "orthogonal"}
    yield "context_module", {"size": "large"}
    yield "conv_autoencoder", {"decoder": "unpooling"}


def forward(path):
    """Logits of every network for the weights and images in `path`; made and stored there if it does not exist."""
    rng, stored = np.random.default_rng(0), dict(np.load(path)) if path.exists() else {}
    known, logits = bool(stored), {}
    for number, (arch, overrides) in enumerate(networks()):
        rank = len(models.arguments(arch)["input_shape"]) - 1
        shape = {1: (1024, 1), 2: (32, 32, 1), 3: (16, 18, 20, 1)}[rank]
        model = models.build(arch, shape, 5, **overrides)
        if not known:
            weights = [w + 0.01 * abs(rng.normal(size=w.shape)) for w in model.get_weights()]
            stored |= {f"{number}/{i}": w.astype("float32") for i, w in enumerate(weights)}
        model.set_weights([stored[f"{number}/{i}"] for i in range(len(model.weights))])
        images = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
        logits[arch + str(overrides)] = model.predict_on_batch(images)
    if not known:
        np.savez(path, **stored)
    return logits


def counts():
    """Parameters of every network at its paper's size."""
    with cost.weightless():
        return {f"parameters of {arch}": models.build(arch).count_params() for arch in models.list_archs()}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backends")
    expected = forward(folder / "weights.npz")
    code = f"""
import runpy
from pathlib import Path
import keras, numpy as np
assert keras.backend.backend() == "jax"
folder = Path({str(folder)!r})
here = runpy.run_path({__file__!r})
np.savez(folder / "jax.npz", **here["forward"](folder / "weights.npz"), **here["counts"]())
"""
    # Compiling takes most of the time, and each network runs once: without XLA's optimisation a quarter of it.
    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), "XLA_FLAGS": quick}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return expected, dict(np.load(folder / "jax.npz"))


@pytest.mark.parametrize("name", [arch + str(overrides) for arch, overrides in networks()])
def test_jax_gives_the_same_logits(name, both):
    expected, found = (logits[name] for logits in both)
    assert np.isfinite(expected).all()
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


def test_every_network_builds_on_jax(both):
    found = {name: int(value) for name, value in both[1].items() if name.startswith("parameters of ")}
    assert found == counts()
