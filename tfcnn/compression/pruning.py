"""Gradual magnitude pruning: which weights are zero, and how they stay so.

Zhu & Gupta 2017, "To prune, or not to prune" (arXiv:1710.01878), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

RAMP = 0.6  # of the epochs, after which the sparsity is the final one


def sparsity_at(progress: float, final: float) -> float:
    """The sparsity after a share of the ramp: equation 1, from 0 on, fast at first.

    >>> [round(sparsity_at(progress, 0.8), 3) for progress in (0, 0.25, 0.5, 1)]
    [0.0, 0.463, 0.7, 0.8]
    """
    return final * (1 - (1 - progress) ** 3)


def count_kept(size: int, sparsity: float) -> int:
    """The weights of a kernel that are kept; a part of one counts as a whole.

    >>> count_kept(9216, sparsity=0.67)
    3042
    """
    return math.ceil(round(size * (1 - sparsity), 6))  # 1 - 0.67 is not 0.33 to the last bit


def masks_by_layer(
    kernels: Sequence[np.ndarray], sparsities: Sequence[float], before: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The largest weights of each kernel: bool, of the kernels' shapes.

    Args:
        kernels: of any shapes.
        sparsities: of each kernel.
        before: the masks so far; what they prune stays pruned.
    """
    return [
        _mask_of_largest(kernel, count_kept(kernel.size, sparsity), mask)
        for kernel, sparsity, mask in zip(kernels, sparsities, before, strict=True)
    ]


def masks_over_all(kernels: Sequence[np.ndarray], sparsity: float, before: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The weights of all kernels with the largest scores, as `masks_by_layer`.

    Layers differ in the size of their weights: one threshold for those of SqueezeNet prunes 88 % of the last 3x3
    convolutions where it prunes 20 % of the first 1x1. The score of a weight is its square as a share of the squares of
    those in its kernel that are not smaller (LAMP, Lee et al. 2021, arXiv:2010.07611, equation 3).
    """
    scores = np.concatenate([_scores(kernel.ravel()) for kernel in kernels])
    joined_before = np.concatenate([mask.ravel() for mask in before])
    mask = _mask_of_largest(scores, count_kept(scores.size, sparsity), joined_before)
    parts = np.split(mask, np.cumsum([kernel.size for kernel in kernels])[:-1])
    return [part.reshape(kernel.shape) for part, kernel in zip(parts, kernels, strict=True)]


def _scores(weights: np.ndarray) -> np.ndarray:
    order = np.argsort(np.abs(weights))
    squares = weights[order].astype(np.float64) ** 2
    sums = np.cumsum(squares[::-1])[::-1]
    scores = np.zeros(weights.size)
    scores[order] = squares / np.where(sums > 0, sums, 1)
    return scores


def _mask_of_largest(values: np.ndarray, count: int, before: np.ndarray) -> np.ndarray:
    """A mask of the `count` largest magnitudes; what `before` prunes comes last."""
    magnitudes = np.where(before, np.abs(values), -1).ravel()
    first = magnitudes.size - count
    mask = np.zeros(magnitudes.size, bool)
    if count:
        mask[np.argpartition(magnitudes, first)[first:]] = True
    return mask.reshape(values.shape)


def kernels_of(model: keras.Model) -> list[keras.Variable]:
    """The kernels of a network, in the order of its weights: what is pruned and shared."""
    return [weight for weight in model.weights if is_kernel(weight.path)]


def is_kernel(path: str) -> bool:
    """Whether a weight is a kernel, by its path: "conv1/kernel", "block/depthwise_kernel"."""
    return path.endswith("kernel")


class Masked(keras.constraints.Constraint):
    """A constraint that keeps pruned weights at zero; Keras' optimisers apply it at the end of each step.

    Args:
        kernel: to prune; its weights get this constraint over the one that it has.
    """

    def __init__(self, kernel: keras.Variable):
        self.inner = kernel.constraint
        self.mask = keras.Variable(np.ones(kernel.shape, np.float32), trainable=False, dtype="float32")
        self.kernel = kernel
        kernel.constraint = self

    def __call__(self, w: Any) -> Any:
        return (w if self.inner is None else self.inner(w)) * ops.convert_to_tensor(self.mask)

    def set(self, mask: np.ndarray) -> None:
        """Prune the weights where `mask`, bool, is false."""
        self.mask.assign(mask.astype(np.float32))
        self.kernel.assign(np.where(mask, self.kernel.numpy(), 0))

    def remove(self) -> None:
        """Give the kernel the constraint that it had."""
        self.kernel.constraint = self.inner
