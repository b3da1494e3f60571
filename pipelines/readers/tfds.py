"""The contents of a prepared TensorFlow Datasets builder: its input, its targets and the source of its examples."""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.catalogue import CHARACTERS
from pipelines.errors import BadData
from pipelines.pixels import FULL_SCALE, choose_white_level
from pipelines.readers import records
from pipelines.readers.features import Columns, choose_columns, is_picture, read_dataset, shape_of
from pipelines.readers.image_files import ImageFile
from pipelines.readers.mask_values import MaskValues, Numbering, number_values
from pipelines.sources import Contents, Decoded, Encoded, Source, Stream

READ_AT_ONCE = 256  # examples


def read_builder(
    builder: tfds.core.DatasetBuilder,
    name: str,
    task: str | None,
    memory: int,
    mask_values: Sequence[int] | None = None,
) -> Contents:
    """Read a prepared data set.

    Args:
        builder: its files are on the disk.
        name: as the user gave it.
        task: one that the data set serves; None: the first of classification, segmentation, detection.
        memory: bytes of examples that may be held in memory.
        mask_values: the value of each class in the masks, in order; default: see `mask_values.number_values`.

    Raises:
        BadData: it does not serve the task, has no training split or an empty one, labels that are no class, or images
            that cannot be used.
    """
    columns = choose_columns(builder, name, task)
    splits = _splits(builder, name)
    notes = {}
    if columns.task == "segmentation" and (mask_values is not None or not columns.class_names):
        numbering, masks = _number_mask_values(builder, splits, columns, name, mask_values)
        names = columns.class_names or tuple(map(str, range(numbering.classes)))
        columns = dataclasses.replace(columns, class_names=names, mask_table=numbering.table)
        notes = {numbering.note: masks} if numbering.note else {}
    sizes = {split: builder.info.splits[spec].num_examples for split, spec in splits.items()}
    for split, size in sizes.items():
        if not size:
            raise BadData(f"data set '{name}' has no example in {splits[split]}, its {split} split (--dataset)")
    prepared = _Prepared(builder, name, splits, sizes, columns)
    inputs = _read_images(prepared, memory) if prepared.pictures else _read_arrays(prepared, memory)
    if columns.task == "classification":
        _check_labels(inputs.source, prepared)
    return Contents(
        task=columns.task,
        class_names=columns.class_names,
        shape=inputs.shape,
        source=inputs.source,
        value_range=inputs.value_range,
        white_level=inputs.white_level,
        fingerprint=_fingerprint(builder, splits),
        characters=name.split("/")[0] in CHARACTERS,
        mask_table=columns.mask_table,
        notes=notes | inputs.notes,
        sample_rate=prepared.sample_rate,
    )


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """A data set on the disk, and what is used of it."""

    builder: tfds.core.DatasetBuilder
    name: str
    splits: dict[str, str]  # split -> TFDS slice
    sizes: dict[str, int]
    columns: Columns

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of an example, channels last; alpha is no channel."""
        shape = shape_of(self.builder.info.features[self.columns.names["image"]])
        return (*shape[:-1], min(shape[-1] or 3, 3)) if self.pictures else shape

    @property
    def sample_rate(self) -> int | None:
        """Of sounds, in Hz, as the builder or its feature of TFDS names it."""
        feature = self.builder.info.features[self.columns.names["image"]]
        return getattr(self.builder, "SAMPLE_RATE", None) or getattr(feature, "sample_rate", None)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.builder.info.features[self.columns.names["image"]].np_dtype)

    @property
    def pictures(self) -> bool:
        """Whether the inputs are image files of 8 bits a channel or of 16-bit grey."""
        return is_picture(self.builder.info.features[self.columns.names["image"]])

    @property
    def placed(self) -> bool:
        """Whether the targets are places in the image: boxes, masks."""
        return bool({"boxes", "mask"} & set(self.columns.names))

    @property
    def stored(self) -> int:
        """Bytes of the records."""
        bases = {spec.split("[")[0] for spec in self.splits.values()}
        return sum(self.builder.info.splits[base].num_bytes for base in bases)

    @property
    def decoded(self) -> float:
        """The memory that all examples take decoded, in bytes; infinite if their shapes differ."""
        lengths = [length for length in self.shape if length is not None]
        size = 1 if self.pictures else self.dtype.itemsize
        examples = sum(self.sizes.values())
        return float(examples * np.prod(lengths) * size) if len(lengths) == len(self.shape) else math.inf

    def datasets(self) -> dict[str, tf.data.Dataset]:
        """The examples of each split, image files encoded."""
        return {split: read_dataset(self.builder, spec, self.columns) for split, spec in self.splits.items()}

    def where(self, split: str) -> str:
        return f"the {split} split of data set '{self.name}'"


class _Inputs(NamedTuple):
    """The examples, and what their values mean."""

    source: Source
    shape: tuple[int | None, ...]
    value_range: tuple[float, float]
    white_level: int
    notes: dict[str, int]  # images that are converted, by what is odd about them


def _read_images(prepared: _Prepared, memory: int) -> _Inputs:
    """Images in files of 8 bits a channel or of 16-bit grey: encoded in memory, or a stream."""
    channels = prepared.shape[-1]
    assert channels is not None
    datasets = prepared.datasets()
    if min(prepared.stored, prepared.decoded) > memory:
        white_level, notes = choose_white_level(_find_samples(datasets))
        add = functools.partial(records.with_decoders, channels=channels, as_stored=prepared.placed)
        streams = {split: dataset.map(add, tf.data.AUTOTUNE) for split, dataset in datasets.items()}
        stream = Stream(streams, prepared.sizes, prepared.stored / sum(prepared.sizes.values()), memory)
        return _Inputs(stream, prepared.shape, (0, 255), white_level, notes)
    encoded = {}
    examined = {}
    for split, dataset in datasets.items():
        encoded[split], examined[split] = records.examine_split(
            _arrays(dataset), channels, prepared.placed, prepared.where(split)
        )
    white_level, remarks = choose_white_level([pair for images in examined.values() for pair in images.samples])
    notes = collections.Counter(remarks)
    for images in examined.values():
        notes.update(images.notes)
    shape = prepared.shape
    if any((images.shapes != shape[:2]).any() for images in examined.values()):  # None is no size; or one lies turned
        shape = (None, None, channels)
    return _Inputs(Encoded(encoded, examined["train"].shapes, files=False), shape, (0, 255), white_level, dict(notes))


def _find_samples(datasets: dict[str, tf.data.Dataset]) -> list[tuple[int, ...]]:
    """The least and largest sample of each image of 16-bit grey in a stream, which is read for it if it begins so."""

    def samples(dataset: tf.data.Dataset) -> list[tuple[int, ...]]:
        images = dataset.map(lambda example: example["image"]).as_numpy_iterator()
        files = map(records.examine_record, images)
        return [file.samples for file in files if isinstance(file, ImageFile) and file.samples]

    if not samples(datasets["train"].take(READ_AT_ONCE)):
        return []
    return [pair for dataset in datasets.values() for pair in samples(dataset)]


def _read_arrays(prepared: _Prepared, memory: int) -> _Inputs:
    """Sounds, volumes and images of other numbers, which must fit in memory."""
    dtype = prepared.dtype
    if prepared.decoded > memory:
        raise BadData(
            f"data set '{prepared.name}' has examples of {dtype} that take more than the {memory >> 20:,} MiB "
            f"allowed in memory (--data-memory)"
        )
    arrays = {split: _arrays(dataset) for split, dataset in prepared.datasets().items()}
    value_range: tuple[float, float] = (0, 255) if dtype == np.uint8 else (0, 32768)
    if dtype not in (np.uint8, np.int16):
        images = arrays["train"]["image"]
        value_range = (float(images.min()), float(images.max()))
    return _Inputs(Decoded(arrays), prepared.shape, value_range, FULL_SCALE, {})


def _arrays(dataset: tf.data.Dataset) -> dict[str, np.ndarray]:
    """All examples as arrays, the examples along their first axis; boxes padded with -1."""
    padding = {
        name: tf.constant("" if spec.dtype == tf.string else -1 if name in ("boxes", "labels") else 0, spec.dtype)
        for name, spec in dataset.element_spec.items()
    }
    batches = list(dataset.padded_batch(READ_AT_ONCE, padding_values=padding).as_numpy_iterator())
    columns = {name: [batch[name] for batch in batches] for name in padding}
    for name in {"boxes", "labels"} & set(columns):
        most = max(values.shape[1] for values in columns[name])
        columns[name] = [
            np.pad(v, [(0, 0), (0, most - v.shape[1])] + [(0, 0)] * (v.ndim - 2), constant_values=-1)
            for v in columns[name]
        ]
    return {name: np.concatenate(values) for name, values in columns.items()}


def _check_labels(source: Source, prepared: _Prepared) -> None:
    """Raise if a label is no class. TFDS writes none but -1, unknown; of a stream the first examples are checked."""
    classes = len(prepared.columns.class_names)
    for split, dataset in prepared.datasets().items():
        if isinstance(source, Stream):
            first = dataset.take(READ_AT_ONCE).map(lambda example: example["label"])
            labels = np.array(list(first.as_numpy_iterator()))
        else:
            labels = source.columns[split]["label"].numpy()
        outside = labels[(labels < 0) | (labels >= classes)]
        if len(outside):
            raise BadData(
                f"data set '{prepared.name}': {len(outside):,} of {len(labels):,} labels in its {split} split are no "
                f"class: {outside[0]}, allowed 0 ... {classes - 1} (--dataset)"
            )


def _number_mask_values(
    builder: tfds.core.DatasetBuilder,
    splits: dict[str, str],
    columns: Columns,
    name: str,
    mask_values: Sequence[int] | None,
) -> tuple[Numbering, int]:
    """The class of each value of the masks, and the number of masks. Raises BadData."""
    unnumbered = dataclasses.replace(columns, mask_table=None)
    values = MaskValues(
        records.find_mask_values(mask, f"mask {number} of {spec} in data set '{name}'")
        for spec in splits.values()
        for number, mask in enumerate(
            read_dataset(builder, spec, unnumbered).map(lambda example: example["mask"]).as_numpy_iterator()
        )
    )
    names = len(columns.class_names) or None
    if mask_values is not None and names not in (None, len(mask_values)):
        raise BadData(
            f"data set '{name}' has {names} classes of masks, but {len(mask_values)} values are listed (--mask-values)"
        )
    return number_values(values, f"data set '{name}'", listed=mask_values, names=names), values.masks


def _fingerprint(builder: tfds.core.DatasetBuilder, splits: dict[str, str]) -> str:
    """A digest of the name, version, split rule and the sizes of the record files."""
    facts: list[Any] = [builder.info.full_name, sorted(splits.items())]
    for name, split in sorted(builder.info.splits.items()):
        facts.append([name, split.num_bytes, list(split.shard_lengths)])
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def _splits(builder: tfds.core.DatasetBuilder, name: str) -> dict[str, str]:
    """TFDS slices for train, validation and test; a missing split is the end of the training split."""
    existing = builder.info.splits
    if "train" not in existing:
        raise BadData(f"data set '{name}' has no training split, only {', '.join(existing)} (--dataset)")
    held_out = [split for split in ("validation", "test") if split in existing]
    if len(held_out) == 2:
        return {"train": "train", "validation": "validation", "test": "test"}
    if held_out:  # it stays unseen until the end; validation comes from the training images
        return {"train": "train[:90%]", "validation": "train[90%:]", "test": held_out[0]}
    return {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}
