"""Initialisers whose first output is known: bilinear up-sampling, and the identity of a context network."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcnn.arithmetic.integers import as_int, as_number


@keras.saving.register_keras_serializable(package="tfcnn")
class Bilinear(keras.initializers.Initializer):
    """Kernel of a transposed convolution that up-samples each map by linear interpolation.

    Long, Shelhamer & Darrell, "Fully convolutional networks for semantic segmentation", 2015: the kernel that its
    up-sampling layers start from. Up-sampling by `factor` takes kernel size 2 factor - factor % 2, strides=factor and
    padding="same"; away from the border the result is bilinear interpolation between pixel centres, exactly that of
    `keras.layers.UpSampling2D(factor, interpolation="bilinear")`. At the border zeros are mixed in.

    Works for kernels of Conv1DTranspose, Conv2DTranspose and Conv3DTranspose with as many filters as channels.

    Raises:
        ValueError: the number of filters is not the number of channels.

    Example:
        >>> import keras
        >>> layer = keras.layers.Conv2DTranspose(
        ...     21, 4, strides=2, padding="same", use_bias=False, kernel_initializer=Bilinear()
        ... )
        >>> layer(keras.ops.ones((1, 8, 8, 21))).shape
        TensorShape([1, 16, 16, 21])
    """

    def __call__(self, shape: tuple, dtype: str | None = None) -> Any:
        *sizes, filters, channels = shape
        if filters != channels:
            raise ValueError(f"each map is up-sampled to one map: {channels} channels cannot become {filters} filters")
        kernel = np.ones(())
        for size in sizes:
            factor = (size + 1) // 2
            centre = factor - 1 if size % 2 else factor - 0.5
            kernel = np.multiply.outer(kernel, 1 - np.abs(np.arange(size) - centre) / factor)
        return ops.convert_to_tensor(np.multiply.outer(kernel, np.eye(channels)), dtype or keras.config.floatx())


@keras.saving.register_keras_serializable(package="tfcnn")
class ContextIdentity(keras.initializers.Initializer):
    """Kernel that passes its maps on unchanged: only the middle tap, and each map to itself.

    Yu & Koltun, "Multi-scale context aggregation by dilated convolutions", 2016, section 3. Between layers of equal
    width it is their identity, `k(t, a, b) = 1 if t = 0 and a = b else 0`. Between layers of C_i and C_i+1 maps, which
    `classes` divides, it is the paper's equation for the large network: the maps are divided into `classes` groups, and

        k(t, a, b) = classes / C_i+1   if t = 0 and floor(a classes / C_i) = floor(b classes / C_i+1)
                     noise             elsewhere, normal with the deviation `stddev`

    so that a stack of such layers with the widths C, 2C, ..., 32C, C is the identity, up to the noise.

    Args:
        classes: C of the paper, the number of maps at both ends of the context network; by default the largest number
            that divides both widths of the kernel.
        stddev: of the noise that breaks the symmetry between the maps of a group; 0 for none. In the paper it is far
            below classes / C_i+1.
        seed: of the noise: an integer or a `keras.random.SeedGenerator`.

    Raises:
        ValueError: the widths are no multiples of classes, a size of the kernel is even, or stddev is below 0.

    Example:
        >>> import keras
        >>> layer = keras.layers.Conv2D(42, 3, dilation_rate=2, kernel_initializer=ContextIdentity(classes=21))
        >>> layer(keras.ops.ones((1, 8, 8, 21))).shape
        TensorShape([1, 4, 4, 42])
    """

    def __init__(self, classes: int | None = None, stddev: float = 0.0, seed: Any = None) -> None:
        if stddev < 0:
            raise ValueError(f"stddev must be 0 or more, got {stddev}")
        self.classes = None if classes is None else as_int(classes, "classes")
        self.stddev = as_number(stddev)
        self.seed = as_number(seed)
        self._noise = keras.initializers.RandomNormal(stddev=self.stddev, seed=self.seed)

    def __call__(self, shape: tuple, dtype: str | None = None) -> Any:
        *sizes, before, after = shape
        classes = self.classes or math.gcd(before, after)
        if before % classes or after % classes:
            raise ValueError(f"{before} and {after} maps cannot be divided into {classes} classes")
        if any(size % 2 == 0 for size in sizes):
            raise ValueError(f"a kernel of {tuple(sizes)} has no middle")
        groups_before = np.arange(before) * classes // before
        groups_after = np.arange(after) * classes // after
        same = np.zeros(shape, bool)
        same[tuple(size // 2 for size in sizes)] = groups_before[:, None] == groups_after
        dtype = dtype or keras.config.floatx()
        noise = self._noise(shape, dtype) if self.stddev else ops.zeros(shape, dtype)
        return ops.where(ops.convert_to_tensor(same), ops.cast(classes / after, dtype), noise)

    def get_config(self) -> dict[str, Any]:
        return {"classes": self.classes, "stddev": self.stddev, "seed": self._noise.get_config()["seed"]}
