"""What a classifier says of the examples of a split, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf


class Guesses(NamedTuple):
    """The guesses of a network, in the order of the examples.

    Attributes:
        true: int (examples,), the true class.
        first: int (examples,), the most probable class.
        confidence: float64 (examples,), the probability of the first guess.
        true_probability: float64 (examples,), that of the true class.
        better: int (examples,), the number of classes that are more probable than the true one.
    """

    true: np.ndarray
    first: np.ndarray
    confidence: np.ndarray
    true_probability: np.ndarray
    better: np.ndarray

    def confusion(self, classes: int) -> np.ndarray:
        """Counts, int (classes, classes); row: true class, column: first guess."""
        import numpy as np

        matrix = np.zeros((classes, classes), int)
        np.add.at(matrix, (self.true, self.first), 1)
        return matrix

    def top(self, guesses: int) -> float:
        """The share of the examples whose true class is among the first guesses."""
        return float((self.better < guesses).mean())

    def mistakes(self, most: int) -> list[int]:
        """The numbers of up to `most` wrong examples, that of the highest confidence first."""
        import numpy as np

        wrong = np.flatnonzero(self.first != self.true)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:most].tolist()


def read_guesses(model: keras.Model, dataset: tf.data.Dataset, numbers: Sequence[int]) -> Guesses:
    """The guesses of a network for batches of examples and one-hot targets.

    Args:
        model: gives logits.
        dataset: the batches.
        numbers: the model's class for each class of the targets.
    """
    import numpy as np

    model_class = np.array(numbers)
    parts = []
    for inputs, targets in dataset:
        logits = model.predict_on_batch(inputs)
        true = model_class[targets.numpy().argmax(-1)]
        rows = np.arange(len(logits))
        first = logits.argmax(-1)
        probabilities = softmax(logits)
        better = (logits > logits[rows, true][:, None]).sum(-1)
        parts.append((true, first, probabilities[rows, first], probabilities[rows, true], better))
    return Guesses(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 (batch, classes) of logits."""
    from scipy.special import softmax as scipy_softmax

    return scipy_softmax(logits.astype("float64"), axis=-1)
