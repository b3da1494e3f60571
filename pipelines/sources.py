"""Where examples come from: decoded in memory, encoded in memory or in files, or a stream of records.

    Decoded   examples of one shape that fit in memory: arrays, from which a batch is gathered by index
    Encoded   image files, records in files, or records whose bytes fit in memory: read by index, decoded in parallel;
              as many decoded images as fit are kept from the first epoch on
    Stream    records that do not fit: read in their order, shuffled within a buffer

An example is a dict: "image" (pixels, samples or voxels), with "label", or "mask", or "boxes" and "labels".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.catalogue import mebibytes
from pipelines.errors import BadFile
from pipelines.pixels import FULL_SCALE
from pipelines.shared_memory import as_tensor, empty_aligned

SHUFFLE_BYTES = 2**24, 2**28  # of a stream's shuffle buffer: least, most


def uncopied(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same dataset, which reads the tensors that its functions use and its elements are slices of where they are.

    TensorFlow's rewriting of the graph of a dataset, which fuses steps, copies them into each iterator.
    """
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


def collect(batches: tf.data.Dataset, count: int) -> dict[str, np.ndarray]:
    """The columns of all batches, `count` examples together. They are written once: a list would be a second copy.

    Raises:
        ValueError: examples of several shapes.
    """
    columns: dict[str, np.ndarray] = {}
    start = 0
    for batch in batches.as_numpy_iterator():
        size = len(next(iter(batch.values())))
        for name, values in batch.items():
            if name not in columns:
                columns[name] = empty_aligned((count, *values.shape[1:]), values.dtype)
            if values.shape[1:] != columns[name].shape[1:]:
                raise ValueError(f"{name} has the shapes {columns[name].shape[1:]} and {values.shape[1:]}")
            columns[name][start : start + size] = values
        start += size
    return columns


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a data set holds, before any transformation."""

    task: str
    class_names: tuple[str, ...]
    shape: tuple[int | None, ...]  # of an example: height, width, channels; length, channels; depth, ..., channels
    source: Decoded | Encoded | Stream
    value_range: tuple[float, float]  # of the raw values; becomes 0 ... 1
    fingerprint: str
    white_level: int = FULL_SCALE  # the 16-bit grey sample of a file that becomes 255
    mask_table: tuple[int, ...] | None = None  # the class of each value of encoded masks; None: the value
    characters: bool = False  # images of written characters, which must not be mirrored
    bad: tuple[BadFile, ...] = ()  # files that were left out
    notes: dict[str, int] = dataclasses.field(default_factory=dict)  # files that were converted: {"CMYK": 3}
    duplicates: dict[str, int] = dataclasses.field(default_factory=dict)  # see `readers.duplicates`
    fingerprint_of_positions: str = ""  # of folders: that of earlier versions, which cut splits by position
    sample_rate: int | None = None  # of sounds, in Hz, where it is known


class Decoded:
    """Examples of one shape in memory.

    Args:
        splits: for each split a dict of arrays with the examples along their first axis. Their memory is shared where
            it can be: they must not change any more.
    """

    def __init__(self, splits: dict[str, dict[str, np.ndarray]]) -> None:
        self.columns = {
            split: {name: as_tensor(values) for name, values in columns.items()} for split, columns in splits.items()
        }
        self.sizes = {split: len(next(iter(columns.values()))) for split, columns in splits.items()}
        train = splits["train"]
        inputs = train["inputs"] if "inputs" in train else train["image"]
        self.shape = inputs.shape[1:]
        self.dtype = inputs.dtype.name  # of the raw examples
        self.bytes = sum(values.nbytes for columns in splits.values() for values in columns.values())

    def storage(self) -> str:
        """Where the examples are, in words."""
        return f"all {sum(self.sizes.values()):,} examples decoded in memory, {mebibytes(self.bytes)}"

    def gather(self, split: str, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples of a batch of rows."""
        return {name: tf.gather(values, rows) for name, values in self.columns[split].items()}

    def fetch(self, split: str, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """One example."""
        return self.gather(split, index) | {"index": index}

    def map(self, function: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]) -> Decoded:
        """The examples after a function of batches."""
        splits = {}
        for split, columns in self.columns.items():
            batches = tf.data.Dataset.from_tensor_slices(columns).batch(256).map(function)
            splits[split] = collect(uncopied(batches), self.sizes[split])
        return Decoded(splits)


class Cache:
    """Decoded images by number, each kept when it is first decoded.

    Args:
        first: number of images to keep: 0 ... first - 1.
    """

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, "")

    def __call__(self, number: tf.Tensor, decode: Callable[[], tf.Tensor], channels: int) -> tf.Tensor:
        """The pixels of image `number`, uint8 (height, width, channels); `decode()` returns them the first time."""
        if not self.first:
            return decode()
        kept = self.table.lookup(number)

        def decode_and_keep() -> tf.Tensor:
            pixels = decode()

            def keep() -> tf.Tensor:
                with tf.control_dependencies([self.table.insert(number, tf.io.serialize_tensor(pixels))]):
                    return tf.identity(pixels)

            return tf.cond(number < self.first, keep, lambda: pixels)

        pixels = tf.cond(tf.strings.length(kept) > 0, lambda: tf.io.parse_tensor(kept, tf.uint8), decode_and_keep)
        return tf.ensure_shape(pixels, (None, None, channels))


class Encoded:
    """Encoded images by index, from memory or from files.

    Args:
        splits: for each split the columns: "image" and perhaps "mask", the bytes or the path of each; "offset" and
            "length" of images that are parts of files; "decoder" and "mask_decoder", as in
            `pipelines.readers.image_files`; and the targets.
        shapes: height and width of the training images, (examples, 2).
        files: whether the columns hold paths.
    """

    dtype = "uint8"  # of the decoded images

    def __init__(self, splits: dict[str, dict[str, Any]], shapes: np.ndarray, files: bool) -> None:
        self.columns = {
            split: {name: tf.constant(values) for name, values in columns.items()} for split, columns in splits.items()
        }
        self.sizes = {split: len(columns["image"]) for split, columns in splits.items()}
        self.shapes = shapes
        self.files = files
        self.columns["train"]["shape"] = tf.constant(shapes, tf.int32)
        self.bytes = sum(
            len(value) for columns in splits.values() for name in ("image", "mask") for value in columns.get(name, ())
        )

    def storage(self) -> str:
        """Where the examples are, in words."""
        if "offset" in self.columns["train"]:
            return f"{sum(self.sizes.values()):,} records read from the disk"
        if self.files:
            return f"{sum(self.sizes.values()):,} files read from the disk"
        return f"all {sum(self.sizes.values()):,} examples encoded in memory, {mebibytes(self.bytes)}"

    def fetch(self, split: str, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """One example, encoded. Of an image in a file it holds the path, so that a cached image is not read again."""
        example = {name: values[index] for name, values in self.columns[split].items()} | {"index": index}
        if self.files:
            example["image_path"] = example["image"]
            if "mask" in example:
                example["mask"] = tf.io.read_file(example["mask"])
        return example


class Stream:
    """Encoded records that do not fit in memory.

    Args:
        splits: for each split a tf.data.Dataset of examples, their images and masks encoded.
        sizes: examples of each split.
        record_bytes: of an encoded example, on average.
        memory: bytes that the stream may hold.
    """

    dtype = "uint8"  # of the decoded images

    def __init__(
        self, splits: dict[str, tf.data.Dataset], sizes: dict[str, int], record_bytes: float, memory: int
    ) -> None:
        self.splits = splits
        self.sizes = sizes
        least, most = SHUFFLE_BYTES
        self.buffer = max(1, min(int(max(least, min(most, memory)) / record_bytes), sizes["train"]))

    def storage(self) -> str:
        """Where the examples are, in words."""
        return f"{sum(self.sizes.values()):,} records streamed from the disk, {self.buffer:,} at a time in memory"

    def examples(self, split: str, *seeds: tf.Tensor) -> tf.data.Dataset:
        """The encoded examples of a split with their numbers as "index", shuffled if there are two int64 seeds."""
        dataset = self.splits[split].enumerate()
        if seeds:
            dataset = _shuffle(dataset, self.buffer, *seeds)
        return dataset.map(lambda index, example: example | {"index": index})


Source = Decoded | Encoded | Stream


def _shuffle(dataset: tf.data.Dataset, buffer: int, *seeds: tf.Tensor) -> tf.data.Dataset:
    """Shuffle by two int64 seeds alone; the order of `dataset.shuffle` also depends on the seed of the process."""
    variant = tf.raw_ops.ShuffleDatasetV3(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=buffer,
        seed=seeds[0] + 1,  # TensorFlow takes (0, 0) for a random seed
        seed2=seeds[1],
        seed_generator=tf.raw_ops.DummySeedGenerator(),
        output_types=tf.nest.flatten(tf.nest.map_structure(lambda spec: spec.dtype, dataset.element_spec)),
        output_shapes=tf.nest.flatten(tf.nest.map_structure(lambda spec: spec.shape, dataset.element_spec)),
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, dataset.element_spec)
