"""A loaded data set: its facts, and the batches that training and evaluation read.

The order of `Data.train`:

    small examples in memory   rows of an epoch -> gather a batch -> augment it -> mix -> prefetch
    all others                 order of an epoch -> fetch -> decode, crop, augment each -> batch -> mix -> prefetch

Order is a function of (seed, epoch, position), augmentation of (seed, epoch, example), mixing of (seed, epoch, batch).
Where an epoch holds an example several times (`balanced`), augmentation is one of (seed, epoch, position), too.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.augmentation import mixup
from pipelines.augmentation.draws import draw_epoch, draw_example
from pipelines.augmentation.policy import Augmentation
from pipelines.balanced_order import BalancedOrder
from pipelines.errors import BadData, BadFile
from pipelines.preparation import Preparation
from pipelines.sources import Decoded, Encoded, Source, Stream, uncopied

AHEAD = 4  # batches to prefetch
NO_FACTS = {
    "fingerprint_of_positions",
    "bad",
    "batch_size",
    "seed",
    "shard",
    "balanced",
    "source",
    "preparation",
    "cached_evaluation",
}
# No function here needs AutoGraph's rewriting, an `if` on a tensor; reading them all would take half a second.
without_autograph = tf.autograph.experimental.do_not_convert


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set: its facts as plain values, and its batches.

    A batch is (inputs, targets). Inputs: float32 (batch, *image_shape), standardised. Targets, by task:

        classification   float32 (batch, num_classes), one-hot, or a mixture of two
        segmentation     int32 (batch, height, width), 0 ... num_classes - 1, or IGNORE_LABEL (255); of volumes
                         (batch, depth, height, width); see `with_mask_places`
        detection        {"boxes": float32 (batch, n, 4), xyxy in pixels; "labels": int32 (batch, n)}, padded with -1
        reconstruction   the inputs
    """

    name: str
    task: str
    image_shape: tuple[int, ...]  # height, width, channels; of sounds: length, channels; of volumes: depth, ...
    num_classes: int
    class_names: tuple[str, ...]
    sizes: dict[str, int]  # examples in train, validation and test
    value_range: tuple[float, float]  # of the raw values; becomes 0 ... 1
    white_level: int  # the 16-bit grey sample of a file that becomes 255
    dtype: str  # of the raw values
    mean: tuple[float, ...]  # of each channel, in 0 ... 1
    std: tuple[float, ...]
    fit: str  # "crop", "pad" or "squash": what evaluation does to an image of another aspect
    augmentation: Augmentation
    fingerprint: str  # of the examples and their order
    storage: str  # in words: where the examples are kept, and the memory that they take
    notes: dict[str, int]  # files that were converted, by what was odd: {"CMYK": 3}
    bad: tuple[BadFile, ...]  # the files that were left out
    batch_size: int
    seed: int
    source: Source
    preparation: Preparation
    cached_evaluation: frozenset[str]  # splits whose finished batches stay in memory
    shard: tuple[int, int] = (0, 1)  # index, count: the part of the rows of each training batch that this process reads
    balanced: BalancedOrder | None = None  # the order of training; None: each example once an epoch
    duplicates: dict[str, int] = dataclasses.field(default_factory=dict)  # {"test in train": 3}
    fingerprint_of_positions: str = ""  # of folders: that of earlier versions, which cut splits by position
    sample_rate: int | None = None  # of sounds, in Hz, where it is known

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split; the few examples left over differ from epoch to epoch."""
        return self.sizes["train"] // self.batch_size

    def facts(self) -> dict[str, Any]:
        """The plain values, as config.json keeps them."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in NO_FACTS]
        facts = {name: getattr(self, name) for name in names}
        return facts | {"augmentation": dataclasses.asdict(self.augmentation), "bad": len(self.bad)}

    def with_mask_places(self, places: Sequence[Sequence[int]]) -> Data:
        """These data with targets for a network whose map is smaller than the masks.

        Args:
            places: for each axis of the masks, in order, the places that the map shows.
        """
        chosen = tuple(tuple(map(int, axis)) for axis in places)
        return dataclasses.replace(self, preparation=dataclasses.replace(self.preparation, mask_places=chosen))

    def with_balanced_classes(self) -> Data:
        """These data with as many training examples of each class. Raises BadData where the classes are not at hand."""
        if self.task != "classification":
            raise BadData(f"--class-sampling balanced is for classification; '{self.name}' is loaded for {self.task}")
        labels = self.labels("train")
        if labels is None:
            raise BadData(
                f"--class-sampling balanced reads examples by number, but those of '{self.name}' are streamed: "
                f"raise --data-memory, or take --class-weights balanced"
            )
        return dataclasses.replace(self, balanced=BalancedOrder(labels, self.seed))

    def of_one_process(self) -> Data:
        """These data with whole batches, not with a process's part of them."""
        return dataclasses.replace(self, shard=(0, 1))

    @without_autograph
    def train(self, epochs: int = 1, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
        """The augmented batches of `epochs` epochs from `first_epoch` on, `steps_per_epoch` for each, in one dataset.

        The first `first_step` batches are left out, and their images are not read. What was read before changes no
        batch. With a `shard` (index, count) a batch is the `index`-th of its `count` equal parts; the other parts are
        not decoded, unless batches are mixed: an example may then need one of another part.
        """
        index, count = self.shard
        if count > 1 and (self.augmentation.mixup or self.augmentation.cutmix):
            whole = dataclasses.replace(self, shard=(0, 1)).train(epochs, first_epoch, first_step)
            part = slice(index * self._share, (index + 1) * self._share)
            return whole.map(lambda images, targets: (images[part], targets[part]))
        numbers = tf.data.Dataset.range(first_epoch, first_epoch + epochs)
        if self._batchwise:
            rows = numbers.flat_map(self._rows).skip(first_step)
            batches = uncopied(rows.map(functools.partial(self._batch, "train"), tf.data.AUTOTUNE))
        else:
            examples = numbers.flat_map(self._epoch_examples).skip(first_step * self._share)
            batches = self._collate(examples.map(self._prepare_training_example, tf.data.AUTOTUNE), self._share)
        if self.augmentation.mixup or self.augmentation.cutmix:
            first = first_epoch * self.steps_per_epoch + first_step
            batches = batches.enumerate(first).map(self._mix, tf.data.AUTOTUNE)
        return batches.prefetch(AHEAD)

    @without_autograph
    def evaluation(self, split: str = "test") -> tf.data.Dataset:
        """Every example of "train", "validation" or "test" once, in the order of the data, not augmented.

        Of "all", those of the three splits one after another.
        """
        if split == "all":
            train, validation, test = (self.evaluation(name) for name in ("train", "validation", "test"))
            return train.concatenate(validation).concatenate(test)
        if self._batchwise:
            rows = tf.data.Dataset.range(self.sizes[split]).batch(self.batch_size)
            batches = uncopied(rows.map(functools.partial(self._batch, split), tf.data.AUTOTUNE))
        else:
            prepare = functools.partial(self.preparation.prepare_example, draws=None)
            batches = self._collate(self._in_order(split).map(prepare, tf.data.AUTOTUNE), self.batch_size)
        if split in self.cached_evaluation:  # a cache belongs to one dataset
            return self._kept_batches.setdefault(split, batches.cache()).prefetch(AHEAD)
        return batches.prefetch(AHEAD)

    def labels(self, split: str = "train") -> np.ndarray | None:
        """The class of each example, int (examples,); None where it is not in memory, or examples have no class."""
        if isinstance(self.source, Stream) or self.task != "classification":
            return None
        return self.source.columns[split]["label"].numpy().astype("int64")

    @without_autograph
    def counts(self, split: str = "train") -> np.ndarray:
        """The examples, boxes or pixels of each class in a split: int64 (num_classes,)."""
        labels = self.labels(split)
        if labels is not None:
            return np.bincount(labels, minlength=self.num_classes)
        examples = self._in_order(split)
        if self.task == "segmentation":
            examples = examples.map(self.preparation.decode, tf.data.AUTOTUNE)
        counts = np.zeros(self.num_classes, np.int64)
        target = {"classification": "label", "detection": "labels", "segmentation": "mask"}[self.task]
        for values in examples.map(lambda example: example[target]).as_numpy_iterator():
            labels = np.asarray(values).ravel()
            counts += np.bincount(labels[(labels >= 0) & (labels < self.num_classes)], minlength=self.num_classes)
        return counts

    def order(self, epoch: tf.Tensor) -> tf.Tensor:
        """The numbers of the training examples of an epoch, a row a batch: int64 (steps, examples of this shard)."""
        return self._order(epoch)[0]

    @without_autograph
    def inputs(self, split: str, numbers: tf.Tensor) -> tf.Tensor:
        """The inputs of examples by number, not augmented: int64 (n,) -> float32 (n, *image_shape).

        Raises:
            BadData: the examples are streamed, and cannot be read by number.
        """
        source = self.source
        if isinstance(source, Stream):
            raise BadData(f"'{self.name}' is read by number, but its examples are streamed: raise --data-memory")
        if self._batchwise:
            return self._batch(split, numbers)[0]

        def prepare(number: tf.Tensor) -> tf.Tensor:
            return self.preparation.prepare_example(source.fetch(split, number), None)[0]

        return tf.map_fn(prepare, numbers, fn_output_signature=tf.TensorSpec(self.image_shape, tf.float32))

    @functools.cached_property
    def _kept_batches(self) -> dict[str, tf.data.Dataset]:
        """The datasets of `cached_evaluation`, by split; `dataclasses.replace` begins with none."""
        return {}

    @property
    def _batchwise(self) -> bool:
        """Whether a batch is augmented as a whole."""
        return isinstance(self.source, Decoded) and self.preparation.batchwise

    @property
    def _share(self) -> int:
        """Examples of a training batch that this process reads."""
        return self.batch_size // self.shard[1]

    def _mix(self, step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """MixUp and CutMix of batch number `step`, counted from the first epoch on."""
        images, targets = batch
        epoch, batch_number = step // self.steps_per_epoch, step % self.steps_per_epoch
        return mixup.mix(images, targets, self.seed, epoch, batch_number, self.augmentation)

    def _order(self, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The numbers of the examples of an epoch and of their draws: each (steps, examples of this shard).

        An example's draws have its number, unless it may come several times: then each place of the epoch has others.
        """
        examples = self.sizes["train"]
        places = tf.range(examples, dtype=tf.int64)
        if self.balanced is not None:
            return self._in_batches(self.balanced.of_epoch(epoch)), self._in_batches(places)
        key = tf.cast(tf.stack([tf.cast(self.seed, tf.int64), epoch]), tf.uint32)
        rows = self._in_batches(tf.random.experimental.index_shuffle(places, key, examples - 1))
        return rows, rows

    def _in_batches(self, numbers: tf.Tensor) -> tf.Tensor:
        """The numbers of an epoch, a row for each batch: (examples,) -> (steps, examples of this shard)."""
        rows = tf.reshape(numbers[: self.steps_per_epoch * self.batch_size], (self.steps_per_epoch, self.batch_size))
        return rows[:, self.shard[0] * self._share : (self.shard[0] + 1) * self._share]

    def _rows(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """The batches of an epoch as rows of the arrays in memory, with their draws if they are augmented."""
        rows, numbers = self._order(epoch)
        if not self.augmentation.changes_examples:
            return tf.data.Dataset.from_tensor_slices((rows,))
        return tf.data.Dataset.from_tensor_slices(
            (rows, tf.gather(draw_epoch(self.seed, epoch, self.sizes["train"]), numbers))
        )

    def _batch(self, split: str, rows: tf.Tensor, draws: tf.Tensor | None = None) -> tuple:
        """A batch of examples in memory by their rows."""
        assert isinstance(self.source, Decoded)
        examples = self.source.gather(split, rows)
        if "inputs" in examples:
            return examples["inputs"], examples["targets"]
        return self.preparation.prepare_batch(examples, draws)

    def _epoch_examples(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """The epoch's number, an example (its dict from a stream, else its number) and the number of its draws."""
        if isinstance(self.source, Stream):
            examples = self.source.examples("train", tf.cast(self.seed, tf.int64), epoch)
            examples = examples.take(self.steps_per_epoch * self.batch_size)
            index, count = self.shard
            if count > 1:
                part = examples.enumerate().filter(lambda place, _: place // self._share % count == index)
                examples = part.map(lambda _, example: example)
            return examples.map(lambda example: (epoch, example, example["index"]))
        pairs = tuple(tf.reshape(numbers, [-1]) for numbers in self._order(epoch))
        return tf.data.Dataset.from_tensor_slices(pairs).map(lambda example, number: (epoch, example, number))

    def _prepare_training_example(self, epoch: tf.Tensor, example: Any, number: tf.Tensor) -> tuple:
        if not isinstance(self.source, Stream):
            example = self.source.fetch("train", example)
        return self.preparation.prepare_example(example, draw_example(self.seed, epoch, number))

    def _collate(self, examples: tf.data.Dataset, size: int) -> tf.data.Dataset:
        examples = self._uncopied(examples)
        if self.task == "detection":  # the largest number of boxes in a stream is unknown
            return examples.padded_batch(size, padding_values=(0.0, {"boxes": -1.0, "labels": -1}))
        return examples.batch(size)

    def _in_order(self, split: str) -> tf.data.Dataset:
        """The examples of a split, perhaps encoded."""
        if isinstance(self.source, Stream):
            return self.source.examples(split)
        fetch = functools.partial(self.source.fetch, split)
        return self._uncopied(tf.data.Dataset.range(self.sizes[split]).map(fetch, tf.data.AUTOTUNE))

    def _uncopied(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """The same dataset, which copies no examples that are in memory."""
        source = self.source
        in_memory = isinstance(source, Decoded) or (isinstance(source, Encoded) and not source.files)
        return uncopied(dataset) if in_memory else dataset
