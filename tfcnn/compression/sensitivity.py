"""How much accuracy a network loses when one of its layers is pruned, without fine-tuning.

Han, Pool, Tran & Dally 2015, "Learning both Weights and Connections" (arXiv:1506.02626), figure 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfcnn.compression.pruning import kernels_of, masks_by_layer

if TYPE_CHECKING:
    from tfcnn.training.data import Data

SPARSITIES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
MOST_EXAMPLES = 1000
BATCH = 100


def measure(model: keras.Model, data: Data, sparsities: Sequence[float] = SPARSITIES) -> dict[str, list[float]]:
    """The accuracy on validation examples for each kernel and each sparsity of it.

    Args:
        model: a classifier; its weights are as before in the end.
        data: of the run; at most `MOST_EXAMPLES` validation examples are used.
        sparsities: to try.

    Returns:
        For each kernel, by its path, the accuracies in the order of `sparsities`.
    """
    batches = list(data.evaluation("validation").unbatch().take(MOST_EXAMPLES).batch(BATCH))
    return {kernel.path: _accuracies(model, kernel, batches, sparsities) for kernel in kernels_of(model)}


def _accuracies(model: keras.Model, kernel: keras.Variable, batches: Any, sparsities: Sequence[float]) -> list[float]:
    values = kernel.numpy()
    accuracies = []
    for sparsity in sparsities:
        (mask,) = masks_by_layer([values], [sparsity], [np.ones(values.shape, bool)])
        kernel.assign(values * mask)
        accuracies.append(_accuracy(model, batches))
    kernel.assign(values)
    return accuracies


def _accuracy(model: keras.Model, batches: Any) -> float:
    hits = [model.predict_on_batch(inputs).argmax(-1) == targets.numpy().argmax(-1) for inputs, targets in batches]
    return float(np.concatenate(hits).mean())
