"""From a data set's name to the batches that training and evaluation read.

One order: index -> fetch -> batch -> resize -> augment -> standardise -> prefetch. What fits in memory lives in one
uint8 tensor and a batch is gathered from it by index; what does not is streamed, decoded and resized in parallel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from pipelines.augment import augment, policy
from pipelines.catalogue import CHARACTERS, BadData, prepared_builder
from pipelines.sources import Memory, Stream

IN_MEMORY = 2**30  # bytes of decoded images that are held in memory
SMALLEST, USUAL = 32, 224  # default image size: of images of one size theirs, at least 32; of others 224


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set: its facts as plain values, and its batches.

    A batch is (images, targets): float32 (batch, height, width, channels), standardised, and one-hot float32
    (batch, num_classes).
    """

    name: str
    task: str
    image_shape: tuple[int, int, int]
    num_classes: int
    class_names: tuple[str, ...]
    sizes: dict[str, int]  # examples in train, validation and test
    mean: tuple[float, ...]  # of each channel, of pixels in 0 ... 1
    std: tuple[float, ...]
    batch_size: int
    _train: Callable
    _evaluation: Callable

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split; the few examples left over differ from epoch to epoch."""
        return self.sizes["train"] // self.batch_size

    def facts(self) -> dict[str, Any]:
        """The plain values, as config.json keeps them."""
        fields = ("name", "task", "image_shape", "num_classes", "class_names", "sizes", "mean", "std")
        return {name: getattr(self, name) for name in fields}

    def train(self, epochs: int = 1, first_epoch: int = 0) -> tf.data.Dataset:
        """The augmented batches of `epochs` epochs from `first_epoch` on, `steps_per_epoch` for each, in one dataset.

        Order is a function of (seed, epoch, position), augmentation of (seed, epoch, example): the batches of an epoch
        are the same whether or not the epochs before it were read.
        """
        epoch_numbers = tf.data.Dataset.range(first_epoch, first_epoch + epochs)
        return epoch_numbers.flat_map(self._train).prefetch(tf.data.AUTOTUNE)

    def evaluation(self, split: str = "test") -> tf.data.Dataset:
        """Every example of "train", "validation" or "test" once, in its own order, not augmented."""
        return self._evaluation(split).prefetch(tf.data.AUTOTUNE)


def load(
    name: str,
    *,
    image_size: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    augmentation: str = "light",
    hflip: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    data_dir: str | None = None,
) -> Data:
    """Load a classification data set.

    Args:
        name: "digits", or any name of TensorFlow Datasets with an image and a label ("mnist", "emnist/letters").
        image_size: side of the square images, in pixels. Default: the data's own where it is fixed, at least 32;
            224 where it varies.
        batch_size: examples a batch, at most the training split.
        seed: decides order and augmentation.
        augmentation: "none", "light" or "rand", as `policy.policy`.
        hflip: share of training images mirrored. Default: 0.5, and 0 for written characters.
        mean, std: of each channel, of pixels in 0 ... 1, to standardise with; their average where the images have
            another number of channels. Default: those of the training images.
        data_dir: folder of prepared data sets. Default: that of TensorFlow Datasets.

    Raises:
        BadData: unknown name; not on the disk and no network; no image and label; or too few examples.
    """
    builder = prepared_builder(name, data_dir)
    features = builder.info.features
    if not {"image", "label"} <= set(features) or not hasattr(features["label"], "names"):
        raise BadData(f"data set '{name}' has {', '.join(features)}, not an image and a class label (--dataset)")

    height, width, channels = features["image"].shape
    channels = channels or 3
    fixed = None not in (height, width)
    side = image_size or (max(height, width, SMALLEST) if fixed else USUAL)
    classes = features["label"].num_classes
    character = name.split("/")[0] in CHARACTERS
    augmentation = policy(augmentation, side=side, characters=character, hflip=hflip)
    resize = keras.layers.Resizing(side, side, crop_to_aspect_ratio=True, antialias=True, dtype="float32")

    splits = _splits(builder, name)
    examples = sum(builder.info.splits[spec].num_examples for spec in splits.values())
    if fixed and examples * height * width * channels <= IN_MEMORY:
        source = Memory(builder, splits)
    else:
        source = Stream(builder, splits, resize)
    if source.sizes["train"] < batch_size:
        raise BadData(
            f"data set '{name}' has {source.sizes['train']} training images, "
            f"fewer than a batch of {batch_size} (--batch-size)"
        )
    if mean is None or std is None:
        mean, std = source.statistics(channels)
    elif len(mean) != channels:
        mean, std = ((sum(values) / len(values),) * channels for values in (mean, std))

    def finish(images, labels):
        return (images / 255.0 - mean) / std, tf.one_hot(labels, classes)

    def train_batch(images, labels, luck):
        fill_mode = "CONSTANT" if character else "REFLECT"
        return finish(augment(resize(images), luck, augmentation, fill_mode=fill_mode), labels)

    def evaluation_batch(images, labels):
        return finish(resize(images), labels)

    return Data(
        name=name,
        task="classification",
        image_shape=(side, side, channels),
        num_classes=classes,
        class_names=tuple(features["label"].names),
        sizes=source.sizes,
        mean=tuple(mean),
        std=tuple(std),
        batch_size=batch_size,
        _train=lambda epoch: source.train(seed, epoch, batch_size).map(train_batch, tf.data.AUTOTUNE),
        _evaluation=lambda split: source.evaluation(split, batch_size).map(evaluation_batch, tf.data.AUTOTUNE),
    )


def _splits(builder, name: str) -> dict[str, str]:
    """TFDS slices for train, validation and test; what a data set lacks is cut off the end of its training split."""
    known = builder.info.splits
    if "train" not in known:
        raise BadData(f"data set '{name}' has no training split, only {', '.join(known)} (--dataset)")
    held_out = [split for split in ("validation", "test") if split in known]
    if len(held_out) == 2:
        return {"train": "train", "validation": "validation", "test": "test"}
    if held_out:  # what there is stays unseen until the end; validation comes from the training images
        return {"train": "train[:90%]", "validation": "train[90%:]", "test": held_out[0]}
    return {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}
