"""`digits`: 1,797 handwritten digits of 43 people, scanned, reduced to 8x8 pixels with 17 levels of grey.

E. Alpaydin & C. Kaynak, "Optical recognition of handwritten digits", UCI machine learning repository, 1998
(licence CC BY 4.0); the copy is the one that scikit-learn ships. It is a real but small and easy data set: a support
vector machine is right about 99 times in 100. Grey levels 0 ... 16 are spread over 0 ... 255.

Splits, stratified by class and always the same: train 1,257, validation 180, test 360.
"""

from __future__ import annotations

import numpy as np
import tensorflow_datasets as tfds

from pipelines.embedded.generation import Examples

SPLIT_SEED = 0


class Digits(tfds.core.GeneratorBasedBuilder):
    """Scikit-learn's digits as a TFDS builder: image uint8 (8, 8, 1), label 0 ... 9."""

    name = "digits"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Examples]:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        scans = load_digits()
        images = np.round(scans.images * (255 / 16)).astype(np.uint8)[..., None]
        rest, test = train_test_split(
            np.arange(len(images)), test_size=360, stratify=scans.target, random_state=SPLIT_SEED
        )
        train, validation = train_test_split(rest, test_size=180, stratify=scans.target[rest], random_state=SPLIT_SEED)
        splits = {"train": train, "validation": validation, "test": test}
        return {name: self._generate_examples(images, scans.target, rows) for name, rows in splits.items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Examples:
        for row in rows:
            yield int(row), {"image": images[row], "label": int(labels[row])}
