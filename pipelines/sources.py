"""Where batches come from: all examples in memory, or a stream from the disk.

Both give the same two things. `train(seed, epoch, batch_size)`: one epoch of (images, labels, luck) batches, whole
ones only, in an order that is a function of (seed, epoch, position); `evaluation(split, batch_size)`: every example
of a split once, in its own order, as (images, labels). Images are uint8 or float32 in 0 ... 255.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.augment import draws

SHUFFLE_BUFFER = 4096  # examples of a stream among which the next is drawn
# Channel statistics of ImageNet's training photographs, for a stream, which is not measured before training.
PHOTO_MEAN, PHOTO_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Memory:
    """Images of one size in one uint8 tensor a split; a batch is gathered by index."""

    def __init__(self, builder, splits: dict[str, str]):
        self.images, self.labels = {}, {}
        for split, spec in splits.items():
            read = tfds.ReadConfig(try_autocache=False)
            examples = list(builder.as_dataset(split=spec, read_config=read).as_numpy_iterator())
            self.images[split] = tf.constant(np.stack([example["image"] for example in examples]))
            self.labels[split] = tf.constant([example["label"] for example in examples], tf.int64)
        self.sizes = {split: len(labels) for split, labels in self.labels.items()}

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, standard deviation) of each channel of the training images, of pixels in 0 ... 1."""
        pixels = self.images["train"].numpy().reshape(-1, channels) / 255
        return tuple(pixels.mean(0).round(4).tolist()), tuple(pixels.std(0).clip(1e-3).round(4).tolist())

    def train(self, seed: int, epoch: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        examples = self.sizes["train"]
        key = tf.cast(tf.stack([tf.cast(seed, tf.int64), epoch]), tf.uint32)
        order = tf.random.experimental.index_shuffle(tf.range(examples), key, examples - 1)
        luck = draws(seed, epoch, examples)
        images, labels = self.images["train"], self.labels["train"]
        rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)
        return rows.map(lambda row: (tf.gather(images, row), tf.gather(labels, row), tf.gather(luck, row)))

    def evaluation(self, split: str, batch_size: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((self.images[split], self.labels[split])).batch(batch_size)


class Stream:
    """Images of any size, read from the disk, decoded and resized one by one in parallel."""

    def __init__(self, builder, splits: dict[str, str], resize):
        self.sizes = {split: builder.info.splits[spec].num_examples for split, spec in splits.items()}
        read = tfds.ReadConfig(try_autocache=False)
        self.examples = {
            split: builder.as_dataset(split=spec, read_config=read).map(lambda e: (e["image"], e["label"]))
            for split, spec in splits.items()
        }
        self.resize = resize

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, standard deviation) of each channel: those of photographs, or their average for other channels."""
        if channels == 3:
            return PHOTO_MEAN, PHOTO_STD
        return (sum(PHOTO_MEAN) / 3,) * channels, (sum(PHOTO_STD) / 3,) * channels

    def train(self, seed: int, epoch: tf.Tensor, batch_size: int) -> tf.data.Dataset:
        luck = draws(seed, epoch, self.sizes["train"])
        examples = _shuffled(self.examples["train"].enumerate(), SHUFFLE_BUFFER, tf.cast(seed, tf.int64), epoch)
        examples = examples.map(lambda i, e: (self.resize(e[0]), e[1], luck[i]), tf.data.AUTOTUNE)
        return examples.batch(batch_size, drop_remainder=True)

    def evaluation(self, split: str, batch_size: int) -> tf.data.Dataset:
        examples = self.examples[split].map(lambda image, label: (self.resize(image), label), tf.data.AUTOTUNE)
        return examples.batch(batch_size)


def _shuffled(dataset: tf.data.Dataset, buffer: int, *seeds: tf.Tensor) -> tf.data.Dataset:
    """`dataset.shuffle`, whose order would also depend on the seed of the process, by two int64 seeds alone."""
    variant = tf.raw_ops.ShuffleDatasetV3(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=buffer,
        seed=seeds[0] + 1,  # (0, 0) would mean a random seed
        seed2=seeds[1],
        seed_generator=tf.raw_ops.DummySeedGenerator(),
        output_types=tf.nest.flatten(tf.nest.map_structure(lambda spec: spec.dtype, dataset.element_spec)),
        output_shapes=tf.nest.flatten(tf.nest.map_structure(lambda spec: spec.shape, dataset.element_spec)),
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, dataset.element_spec)
