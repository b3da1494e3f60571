"""The number format of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from tfcnn.config import Config
from tfcnn.models.registry import family_of
from tfcnn.training.fused_kernels import multiplies_bfloat16

# Families of dense convolutions: 1.2 to 1.7 times as fast in bfloat16 on CPUs that multiply in it. Depthwise
# convolutions, and networks for images of 32 pixels, are not (`python -m benchmarks.train_step`).
DENSE = (
    *("alexnet", "vgg", "googlenet", "inception_v3", "resnet", "densenet", "squeezenet"),
    *("unet", "fcn", "segnet", "deconvnet", "dilated"),
)
OF_32_PIXELS = (*(f"resnet{n}" for n in (20, 32, 44, 56, 110)), "densenet40", "densenet_bc100")


def precision(config: Config) -> str:
    """The Keras dtype policy of a run: `config.precision`, or what suits the device for "auto".

    On a GPU mixed_bfloat16 from compute capability 8.0 on, mixed_float16 from 7.0 on; on a CPU mixed_bfloat16 where it
    multiplies in it and the network is of `DENSE` and not `OF_32_PIXELS`; else float32.
    """
    if config.precision != "auto":
        return config.precision
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        dense = family_of(config.arch).module in DENSE and config.arch not in OF_32_PIXELS
        return "mixed_bfloat16" if dense and multiplies_bfloat16() else "float32"
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    if capability >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= (7, 0) else "float32"


@contextlib.contextmanager
def policy(config: Config) -> Iterator[str]:
    """Within this context new layers have the precision of the run; its name is the context's value."""
    before, name = keras.config.dtype_policy(), precision(config)
    keras.config.set_dtype_policy(name)
    try:
        yield name
    finally:
        keras.config.set_dtype_policy(before)
