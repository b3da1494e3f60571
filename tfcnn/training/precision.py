"""The number format of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from tfcnn.config import Config
from tfcnn.models.registry import family_of
from tfcnn.training import fused_kernels
from tfcnn.training.bias_gradients import correct_bias_gradients

# Families of dense convolutions: 1.2 to 1.7 times as fast in bfloat16 on CPUs that multiply in it
# (`python -m benchmarks.train_step`). Narrow ones are not everywhere: on an Intel CPU with AVX512_BF16 and without AMX
# a step in bfloat16 takes 1.4 times the processor time of float32 for U-Net of width 0.25, 1.6 for SegNet, 1.3 for
# FCN-8s, 1.4 for ResNet-18 (one thread); on AMD EPYC the same U-Net without batch norm takes 0.7 of float32's.
DENSE = {
    "alexnet",
    "deconvnet",
    "densenet",
    "dilated",
    "fcn",
    "googlenet",
    "inception_v3",
    "resnet",
    "segnet",
    "squeezenet",
    "unet",
    "vgg",
}
OF_32_PIXELS = {"resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "densenet40", "densenet_bc100"}
# Depthwise or 1x1 convolutions: 1.1 to 1.9 times as fast in bfloat16 on AMD EPYC, as networks for 32 pixels are (1.5 to
# 1.7); not tried on Intel's CPUs. Narrow ones (MobileNet of width 0.25: 0.8) and EfficientNet (0.94) are slower.
LIGHT = {"mobilenet", "mobilenet_v2", "mobilenet_v3", "nin", "xception"}


def choose_dtype_policy(config: Config) -> str:
    """The Keras dtype policy of a run: `config.precision`, or for "auto" one that suits the device.

    On a GPU mixed_bfloat16 from compute capability 8.0 on, mixed_float16 from 7.0 on; on a CPU that multiplies in
    bfloat16 mixed_bfloat16 for the networks that gain by it there (`DENSE`, `LIGHT`, `OF_32_PIXELS`); else float32.
    """
    if config.precision != "auto":
        return config.precision
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "mixed_bfloat16" if fused_kernels.multiplies_bfloat16() and _gains(config) else "float32"
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    if capability >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= (7, 0) else "float32"


def _gains(config: Config) -> bool:
    """Whether the network of a run trains faster in bfloat16, on a CPU that multiplies in it."""
    family = family_of(config.arch).module
    width = config.overrides["width"]  # of --arch-args, it may be a text, which the builder refuses
    narrow = isinstance(width, int | float) and width < 1
    amd = fused_kernels.cpu_has("AuthenticAMD")
    if family in LIGHT or config.arch in OF_32_PIXELS:
        return amd and not narrow
    return family in DENSE and (not narrow or amd or fused_kernels.cpu_has("amx_bf16"))


@contextlib.contextmanager
def use_dtype_policy(config: Config) -> Iterator[str]:
    """Within this context new layers have the dtype policy of the run; the context's value is its name.

    Gradients of biases are right in bfloat16 from then on.
    """
    correct_bias_gradients()
    before = keras.config.dtype_policy()
    name = choose_dtype_policy(config)
    keras.config.set_dtype_policy(name)
    try:
        yield name
    finally:
        keras.config.set_dtype_policy(before)


def clear_session() -> None:
    """Free the memory and the names of networks that are thrown away; Keras' function resets the policy as well."""
    dtype_policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(dtype_policy)
