"""Weight sharing: the weights of a kernel take few values, which are trained in their place.

Deep Compression (Han, Mao & Dally 2015), section 3: k-means with linear initialisation, which keeps the few large
weights; the gradient of a centroid is the sum of its weights' gradients (equation 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfcnn.compression.weights_file import as_stored


class Shared(NamedTuple):
    """A kernel of shared values.

    Attributes:
        centroids: float32 (k,), ascending.
        codes: int32 of the kernel's shape, 0 for a pruned weight and 1 ... k for the centroids.
    """

    centroids: np.ndarray
    codes: np.ndarray


def share(kernel: np.ndarray, bits: int) -> Shared:
    """Cluster the nonzero weights of a kernel into at most 2 ** bits - 1 values; code 0 is the pruned weights'."""
    weights = kernel[kernel != 0]
    centroids, labels = cluster(weights, 2**bits - 1)
    codes = np.zeros(kernel.shape, np.int32)
    codes[kernel != 0] = labels + 1
    return Shared(centroids, codes)


def cluster(weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """k-means of numbers, from centroids that are evenly spread over their range.

    Args:
        weights: float32 (n,).
        count: of the centroids; fewer come out where there are fewer distinct weights or a cluster is empty.

    Returns:
        The centroids, float32 ascending, and the number of each weight's, int (n,).
    """
    centroids, labels = np.unique(weights, return_inverse=True)
    if len(centroids) > count:
        from sklearn.cluster import KMeans

        start = np.linspace(weights.min(), weights.max(), count, dtype=np.float32)[:, None]
        means = KMeans(count, init=start, n_init=1, tol=0).fit(weights[:, None])
        used, labels = np.unique(means.labels_, return_inverse=True)
        order = np.argsort(means.cluster_centers_[used, 0])
        centroids = means.cluster_centers_[used, 0][order]
        labels = np.argsort(order)[labels]
    return centroids.astype(np.float32), labels


class SharedKernels:
    """The kernels of a network whose weights are shared, and the step that trains the shared values.

    Args:
        model: compiled; the optimiser is fresh.
        kernels: of the model. They take the shared values.
        bits: of a code.
    """

    def __init__(self, model: keras.Model, kernels: Sequence[keras.Variable], bits: int):
        self.model = model
        self.kernels = list(kernels)
        shared = [share(kernel.numpy(), bits) for kernel in self.kernels]
        self.codes = [tf.constant(part.codes) for part in shared]
        self.centroids = [keras.Variable(part.centroids, dtype="float32", name="centroids") for part in shared]
        numbers = {id(kernel) for kernel in self.kernels}
        self.others = [weight for weight in model.trainable_variables if id(weight) not in numbers]
        model.optimizer.build(self.centroids + self.others)
        self.place()

    def place(self) -> None:
        """Set each weight to its centroid."""
        for kernel, centroids, codes in zip(self.kernels, self.centroids, self.codes, strict=True):
            kernel.assign(tf.gather(tf.concat([[0.0], centroids.value], axis=0), codes))

    def train_step(self, batch: tuple[Any, Any]) -> dict[str, tf.Tensor]:
        """One step: the loss of a batch, and new centroids. The weights of other kinds are trained as usual."""
        inputs, targets = batch
        with tf.GradientTape() as tape:
            loss = self.model.compute_loss(inputs, targets, self.model(inputs, training=True), training=True)
        variables = [variable.value for variable in self.kernels + self.others]
        gradients = tape.gradient(loss, variables)
        count = len(self.kernels)
        sums = [
            tf.math.unsorted_segment_sum(gradient, codes, centroids.shape[0] + 1)[1:]
            for gradient, codes, centroids in zip(gradients[:count], self.codes, self.centroids, strict=True)
        ]
        self.model.optimizer.apply(sums + gradients[count:], self.centroids + self.others)
        self.place()
        return {"loss": loss}

    def round(self) -> None:
        """Round the shared values and all other weights to what the file holds."""
        for centroids in self.centroids:
            centroids.assign(as_stored("kernel", centroids.numpy()))
        self.place()
        kernels = {id(kernel) for kernel in self.kernels}
        for weight in self.model.weights:
            if id(weight) not in kernels:
                weight.assign(as_stored(weight.path, weight.numpy()))
