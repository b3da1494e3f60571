"""A loaded data set: its facts, and the batches that training and evaluation read.

One order, in `Data.train`:

    small examples in memory   rows of an epoch -> gather a batch -> augment it -> mix -> prefetch
    all others                 order of an epoch -> fetch -> decode, crop, augment each -> batch -> mix -> prefetch

Order is a function of (seed, epoch, position), augmentation of (seed, epoch, example), mixing of (seed, epoch, batch).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.augmentation import mixup
from pipelines.augmentation.draws import draw_epoch, draw_example
from pipelines.augmentation.policy import Augmentation
from pipelines.preparation import Preparation
from pipelines.sources import Decoded, Encoded, Stream

AHEAD = 4  # batches that are ready before they are asked for
# No function here has an `if` on a tensor that it would have to rewrite; reading them all takes half a second.
without_autograph = tf.autograph.experimental.do_not_convert


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set: its facts as plain values, and its batches.

    A batch is (inputs, targets). Inputs: float32 (batch, *image_shape), standardised. Targets, by task:

        classification   float32 (batch, num_classes), one-hot, or a mixture of two
        segmentation     int32 (batch, height, width), 0 ... num_classes - 1, or IGNORE_LABEL (255)
        detection        {"boxes": float32 (batch, n, 4), xyxy in pixels; "labels": int32 (batch, n)}, rows of -1: none
        reconstruction   the inputs
    """

    name: str
    task: str
    image_shape: tuple[int, ...]  # height, width, channels; of sounds length, channels; of volumes depth, ...
    num_classes: int
    class_names: tuple[str, ...]
    sizes: dict[str, int]  # examples in train, validation and test
    value_range: tuple[float, float]  # of the raw values; becomes 0 ... 1
    mean: tuple[float, ...]  # of each channel, in 0 ... 1
    std: tuple[float, ...]
    fit: str  # "crop" or "pad": how an image of another aspect gets its size in evaluation
    augmentation: Augmentation
    fingerprint: str  # of the examples and their order
    storage: str  # in words: where the examples are kept, and the memory that they take
    notes: dict[str, int]  # files that were converted, by what was odd: {"CMYK": 3}
    bad: tuple  # pipelines.readers.image_files.BadFile of each file that was left out
    batch_size: int
    seed: int
    _source: Decoded | Encoded | Stream
    _preparation: Preparation
    _cached_evaluation: frozenset[str]  # splits whose finished batches fit in memory
    shard: tuple[int, int] = (0, 1)  # index, count: the part of each training batch that this process reads, as of rows

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split; the few examples left over differ from epoch to epoch."""
        return self.sizes["train"] // self.batch_size

    def facts(self) -> dict[str, Any]:
        """The plain values, as config.json keeps them."""
        facts = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.name.startswith("_") and field.name not in ("batch_size", "seed", "bad", "shard")
        }
        return facts | {"augmentation": dataclasses.asdict(self.augmentation), "bad": len(self.bad)}

    @without_autograph
    def train(self, epochs: int = 1, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
        """The augmented batches of `epochs` epochs from `first_epoch` on, `steps_per_epoch` for each, in one dataset.

        Without the first `first_step` of them, whose images are not even read. The batches of an epoch are the same
        whether or not those before were read. With a `shard` (index, count) each is that part of its batch, `count` of
        which divide it; the others are not decoded, unless batches are mixed, whose examples are made of two.
        """
        index, count = self.shard
        if count > 1 and (self.augmentation.mixup or self.augmentation.cutmix):
            whole = dataclasses.replace(self, shard=(0, 1)).train(epochs, first_epoch, first_step)
            part = slice(index * self._share, (index + 1) * self._share)
            return whole.map(lambda images, targets: (images[part], targets[part]))
        numbers = tf.data.Dataset.range(first_epoch, first_epoch + epochs)
        if self._batchwise:
            rows = numbers.flat_map(self._rows).skip(first_step)
            batches = rows.map(functools.partial(self._batch, "train"), tf.data.AUTOTUNE)
        else:
            examples = numbers.flat_map(self._examples).skip(first_step * self._share)
            batches = self._batched(examples.map(self._training_example, tf.data.AUTOTUNE), self._share)
        if self.augmentation.mixup or self.augmentation.cutmix:
            steps, start = self.steps_per_epoch, first_epoch * self.steps_per_epoch + first_step

            def mix(step, batch):
                return mixup.mix(*batch, self.seed, step // steps, step % steps, self.augmentation)

            batches = batches.enumerate(start).map(mix, tf.data.AUTOTUNE)
        return batches.prefetch(AHEAD)

    @without_autograph
    def evaluation(self, split: str = "test") -> tf.data.Dataset:
        """Every example of "train", "validation" or "test" once, in its own order, not augmented."""
        if self._batchwise:
            rows = tf.data.Dataset.range(self.sizes[split]).batch(self.batch_size)
            batches = rows.map(functools.partial(self._batch, split), tf.data.AUTOTUNE)
        else:
            prepare = functools.partial(self._preparation.example, draws=None)
            batches = self._batched(self._in_order(split).map(prepare, tf.data.AUTOTUNE), self.batch_size)
        if split in self._cached_evaluation:
            batches = batches.cache()
        return batches.prefetch(AHEAD)

    @without_autograph
    def counts(self, split: str = "train") -> np.ndarray:
        """How often each class is in a split, in examples, boxes or pixels: int64 (num_classes,)."""
        examples = self._in_order(split)
        if self.task == "segmentation":
            examples = examples.map(self._preparation.decoded, tf.data.AUTOTUNE)
        counts = np.zeros(self.num_classes, np.int64)
        target = {"classification": "label", "detection": "labels", "segmentation": "mask"}[self.task]
        for values in examples.map(lambda example: example[target]).as_numpy_iterator():
            known = np.asarray(values).ravel()
            counts += np.bincount(known[(known >= 0) & (known < self.num_classes)], minlength=self.num_classes)
        return counts

    @property
    def _batchwise(self) -> bool:
        """Whether a batch is augmented as a whole."""
        return isinstance(self._source, Decoded) and self._preparation.batchwise

    @property
    def _share(self) -> int:
        """Examples of a training batch that this process reads."""
        return self.batch_size // self.shard[1]

    def _order(self, epoch):
        """The numbers of the examples of an epoch, a row for each batch: (steps, examples of this shard)."""
        examples = self.sizes["train"]
        key = tf.cast(tf.stack([tf.cast(self.seed, tf.int64), epoch]), tf.uint32)
        order = tf.random.experimental.index_shuffle(tf.range(examples, dtype=tf.int64), key, examples - 1)
        rows = tf.reshape(order[: self.steps_per_epoch * self.batch_size], (self.steps_per_epoch, self.batch_size))
        return rows[:, self.shard[0] * self._share : (self.shard[0] + 1) * self._share]

    def _rows(self, epoch):
        """The batches of an epoch as rows of the arrays in memory, each row with its draws."""
        rows = self._order(epoch)
        if not self.augmentation.changes_examples:
            return tf.data.Dataset.from_tensor_slices((rows,))
        return tf.data.Dataset.from_tensor_slices(
            (rows, tf.gather(draw_epoch(self.seed, epoch, self.sizes["train"]), rows))
        )

    def _batch(self, split, rows, draws=None):
        """A batch of examples in memory by their rows."""
        examples = self._source.gather(split, rows)
        if "inputs" in examples:
            return examples["inputs"], examples["targets"]
        return self._preparation.batch(examples, draws)

    def _examples(self, epoch):
        """An epoch as its number with examples of a stream, or with numbers of examples."""
        if isinstance(self._source, Stream):
            examples = self._source.examples("train", tf.cast(self.seed, tf.int64), epoch)
            examples = examples.take(self.steps_per_epoch * self.batch_size)
            index, count = self.shard
            if count > 1:
                mine = examples.enumerate().filter(lambda place, _: place // self._share % count == index)
                examples = mine.map(lambda _, example: example)
        else:
            examples = tf.data.Dataset.from_tensor_slices(tf.reshape(self._order(epoch), [-1]))
        return examples.map(lambda example: (epoch, example))

    def _training_example(self, epoch, example):
        if not isinstance(self._source, Stream):
            example = self._source.fetch("train", example)
        return self._preparation.example(example, draw_example(self.seed, epoch, example["index"]))

    def _batched(self, examples, size):
        if self.task == "detection":  # of a stream no example knows the largest number of boxes
            return examples.padded_batch(size, padding_values=(0.0, {"boxes": -1.0, "labels": -1}))
        return examples.batch(size)

    def _in_order(self, split):
        if isinstance(self._source, Stream):
            return self._source.examples(split)
        return tf.data.Dataset.range(self.sizes[split]).map(
            lambda index: self._source.fetch(split, index), tf.data.AUTOTUNE
        )
