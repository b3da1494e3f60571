"""Builders of TensorFlow Datasets whose examples are drawn one by one, by number."""

from __future__ import annotations

import abc
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

Examples = Iterator[tuple[int, dict[str, Any]]]  # key, example


class DrawnBuilder(tfds.core.GeneratorBasedBuilder):
    """A data set described by the docstring of its module; subclasses draw an example and name its features."""

    SIZES: ClassVar[dict[str, int]]  # examples of each split
    SUPERVISED: ClassVar[tuple[str, str] | None] = None  # the features of input and target

    @abc.abstractmethod
    def features(self) -> dict[str, Any]:
        """The features of an example, by name."""

    @abc.abstractmethod
    def draw(self, split: int, number: int) -> dict[str, Any]:
        """Draw the `number`-th example of the `split`-th split."""

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=sys.modules[type(self).__module__].__doc__,
            features=tfds.features.FeaturesDict(self.features()),
            supervised_keys=self.SUPERVISED,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Examples]:
        return {name: self._generate_examples(split, size) for split, (name, size) in enumerate(self.SIZES.items())}

    def _generate_examples(self, split: int, size: int) -> Examples:
        for number in range(size):
            yield number, self.draw(split, number)
