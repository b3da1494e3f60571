"""The precision of a run: what decides it, and what stays float32 in mixed precision."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfcnn
from tfcnn import losses
from tfcnn.config import Config
from tfcnn.training import fused_kernels
from tfcnn.training.compile import compile_model
from tfcnn.training.precision import choose_dtype_policy, use_dtype_policy


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "mixed_bfloat16"), ((7, 5), "mixed_float16"), ((6, 1), "float32")]
)
def test_automatic_precision_by_device(capability, expected, monkeypatch):
    assert choose_dtype_policy(Config(arch="lenet5")) == "float32"  # on this machine, which has no GPU
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a device"])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    assert choose_dtype_policy(Config()) == expected
    assert choose_dtype_policy(Config(precision="float32")) == "float32"


@pytest.mark.parametrize("features", [{"avx512_bf16"}, set()])
@pytest.mark.parametrize("onednn", [True, False])
def test_automatic_precision_on_cpus(features, onednn, monkeypatch):
    """bfloat16 where CPU, TensorFlow and network all gain by it."""
    monkeypatch.setattr(fused_kernels, "cpu_has", features.__contains__)
    monkeypatch.setattr(fused_kernels, "onednn", lambda: onednn)
    expected = "mixed_bfloat16" if features and onednn else "float32"
    for arch in ("vgg11", "resnet50", "unet", "densenet121"):
        assert choose_dtype_policy(Config(arch=arch)) == expected
    for arch in ("mobilenet", "xception", "lenet5", "nin", "resnet20", "densenet40", "unet3d"):
        assert choose_dtype_policy(Config(arch=arch)) == "float32"
    assert choose_dtype_policy(Config(arch="vgg11", precision="float32")) == "float32"


@pytest.mark.parametrize("arch", ["mobilenet", "mobilenet_v2", "mobilenet_v3_small", "xception", "nin", "resnet20"])
def test_light_networks_compute_in_bfloat16_where_they_gain_by_it(arch, monkeypatch):
    """At full width on AMD's CPUs, as measured (docs/training_step.md)."""
    monkeypatch.setattr(fused_kernels, "onednn", lambda: True)
    for features in ({"avx512_bf16", "AuthenticAMD"}, {"avx512_bf16", "GenuineIntel"}, {"AuthenticAMD"}):
        monkeypatch.setattr(fused_kernels, "cpu_has", features.__contains__)
        expected = "mixed_bfloat16" if len(features & {"avx512_bf16", "AuthenticAMD"}) == 2 else "float32"
        assert choose_dtype_policy(Config(arch=arch)) == expected
        assert choose_dtype_policy(Config(arch=arch, width=0.25)) == "float32"
        assert choose_dtype_policy(Config(arch="efficientnet_b0")) == "float32"


@pytest.mark.parametrize("feature", ["AuthenticAMD", "amx_bf16", "GenuineIntel"])
def test_narrow_networks_compute_in_bfloat16_where_they_gain_by_it(feature, monkeypatch):
    monkeypatch.setattr(fused_kernels, "cpu_has", {"avx512_bf16", feature}.__contains__)
    monkeypatch.setattr(fused_kernels, "onednn", lambda: True)
    expected = "float32" if feature == "GenuineIntel" else "mixed_bfloat16"
    assert choose_dtype_policy(Config(arch="unet", width=0.5)) == expected


def test_features_of_the_cpu_are_whole_words(tmp_path, monkeypatch):
    fused_kernels.cpu_has.cache_clear()
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags : fpu avx512_bf16\nbugs : spectre_v1\n")
    monkeypatch.setattr(fused_kernels, "Path", lambda name: cpuinfo)
    assert [fused_kernels.cpu_has(name) for name in ("avx512_bf16", "avx512_bf", "fpu", "amx")] == [
        True,
        False,
        True,
        False,
    ]
    fused_kernels.cpu_has.cache_clear()


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_what_is_float32_in_mixed_precision(precision):
    config = Config(arch="resnet20", precision=precision)
    with use_dtype_policy(config):
        model = tfcnn.build("resnet20", (32, 32, 3), 10, depth=0.34, width=0.25)
    compile_model(model, config, steps_per_epoch=10)
    assert model.output.dtype == "float32"
    assert {variable.dtype for variable in model.variables if "float" in variable.dtype} == {"float32"}
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) is (precision == "mixed_float16")
    for rows in losses.LOSSES.values():
        assert {make(0.0).dtype for make in rows.values()} == {"float32"}


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_statistics_of_batch_norm_are_float32_in_mixed_precision(precision):
    """Of values whose squares half precision cannot hold."""
    with use_dtype_policy(Config(arch="resnet20", precision=precision)):
        model = tfcnn.build("resnet20", (32, 32, 3), 10, depth=0.34, width=0.25)
    layer = next(layer for layer in model.layers if "BatchNormalization" in type(layer).__name__)
    assert layer.compute_dtype == precision.removeprefix("mixed_")
    x = np.random.default_rng(0).normal(400, 8, (8, 16, 16, layer.input.shape[-1]))
    x = tf.cast(x, layer.compute_dtype)
    exact = tf.cast(x, "float64").numpy()
    layer.momentum = 0.0
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, exact.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, exact.var((0, 1, 2)), rtol=1e-2)


def test_the_loss_scale_is_dynamic():
    config = Config(arch="lenet5", precision="mixed_float16")
    with use_dtype_policy(config):
        model = tfcnn.build("lenet5", (32, 32, 1), 10)
    compile_model(model, config, steps_per_epoch=10)
    optimizer = model.optimizer
    gradients = [tf.zeros(v.shape) for v in model.trainable_variables]
    optimizer.build(model.trainable_variables)
    before = float(optimizer.dynamic_scale)
    optimizer.step_counter.assign(optimizer.dynamic_growth_steps - 1)  # finite ones in a row
    optimizer.apply(gradients)
    assert float(optimizer.dynamic_scale) == 2 * before
    optimizer.apply([gradients[0] + math.inf, *gradients[1:]])
    assert float(optimizer.dynamic_scale) == before


def test_the_dtype_policy_is_restored():
    with use_dtype_policy(Config(precision="mixed_bfloat16")) as name:
        assert keras.config.dtype_policy().name == name == "mixed_bfloat16"
    with pytest.raises(ZeroDivisionError), use_dtype_policy(Config(precision="mixed_float16")):
        1 / 0  # noqa: B018
    assert keras.config.dtype_policy().name == "float32"
