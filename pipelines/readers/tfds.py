"""The contents of a prepared TensorFlow Datasets builder: its input, its targets and the source of its examples."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from pipelines.catalogue import CHARACTERS
from pipelines.errors import BadData
from pipelines.readers import image_files
from pipelines.readers.mask_values import MaskValues, Numbering, apply_table, number_values, table_of
from pipelines.sources import Contents, Decoded, Encoded, Source, Stream

MASKS = ("segmentation_mask", "segmentation_label")
# Masks without names for their values: the names of the classes, and the value of the first.
MASK_CLASSES = {"oxford_iiit_pet": (("pet", "background", "outline"), 1)}
SECOND = 16_000  # samples: sounds of various lengths are cut or padded to a second of speech
READ_AT_ONCE = 256  # examples


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which features of a data set are used; "image" is the network's input, also if it is a sound or a volume."""

    task: str
    names: dict[str, str]  # image, label, mask -> feature; boxes -> the feature with bbox and label
    class_names: tuple[str, ...]
    mask_table: tuple[int, ...] | None = None  # the class of each value of the masks; None: the value


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
        BadData: it does not serve the task, has no training split or an empty one, or labels that are no class.
    """
    columns = _columns(builder, name, task)
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
    feature = builder.info.features[columns.names["image"]]
    shape = _shape(feature)
    dtype = np.dtype(feature.np_dtype)
    bases = {spec.split("[")[0] for spec in splits.values()}
    stored = sum(builder.info.splits[base].num_bytes for base in bases)
    value_range: tuple[float, float] = (0, 255) if dtype == np.uint8 else (0, 32768)
    source: Source
    if _decoded_bytes(shape, dtype, sum(sizes.values())) <= memory:
        source = _read_decoded(builder, splits, columns)
        if dtype not in (np.uint8, np.int16):
            images = source.columns["train"]["image"].numpy()
            value_range = (float(images.min()), float(images.max()))
    elif dtype != np.uint8:
        raise BadData(
            f"data set '{name}' has examples of {dtype} that take more than the {memory >> 20:,} MiB "
            f"allowed in memory (--data-memory)"
        )
    elif stored <= memory:
        source = _read_encoded(builder, splits, columns)
    else:
        datasets = {
            split: _dataset(builder, spec, columns, encoded=True).map(_with_decoder) for split, spec in splits.items()
        }
        source = Stream(datasets, sizes, stored / sum(sizes.values()), memory)
    if columns.task == "classification":
        _check_labels(source, columns, name)
    return Contents(
        task=columns.task,
        class_names=columns.class_names,
        shape=shape,
        source=source,
        value_range=value_range,
        fingerprint=_fingerprint(builder, splits),
        characters=name.split("/")[0] in CHARACTERS,
        mask_table=columns.mask_table,
        notes=notes,
    )


def _decoded_bytes(shape: tuple[int | None, ...], dtype: np.dtype, examples: int) -> float:
    """The memory that all examples take decoded, in bytes; infinite if their shapes differ."""
    lengths = [length for length in shape if length is not None]
    return float(examples * np.prod(lengths) * dtype.itemsize) if len(lengths) == len(shape) else math.inf


def _read_decoded(builder: tfds.core.DatasetBuilder, splits: dict[str, str], columns: Columns) -> Decoded:
    arrays = {split: _arrays(_dataset(builder, spec, columns)) for split, spec in splits.items()}
    for values in arrays.values():
        if "mask" in values:
            values["mask"] = apply_table(values["mask"], columns.mask_table)
    return Decoded(arrays)


def _read_encoded(builder: tfds.core.DatasetBuilder, splits: dict[str, str], columns: Columns) -> Encoded:
    arrays = {split: _arrays(_dataset(builder, spec, columns, encoded=True)) for split, spec in splits.items()}
    arrays = {split: _with_decoders(values) for split, values in arrays.items()}
    shapes = [Image.open(io.BytesIO(image)).size[::-1] for image in arrays["train"]["image"]]
    return Encoded(arrays, np.array(shapes), files=False)


def _columns(builder: tfds.core.DatasetBuilder, name: str, task: str | None) -> Columns:
    """The features for `task`, or for the first task that the data set serves."""
    features = dict(builder.info.features)
    served = {}
    picture = "image" if "image" in features else next((key for key in features if key.startswith("image_")), None)
    label = features.get("label")
    if isinstance(label, tfds.features.ClassLabel):
        for key in ("image", "audio", "volume"):
            if key in features:
                served["classification"] = Columns(
                    "classification", {"image": key, "label": "label"}, tuple(label.names)
                )
                break
    mask = next((key for key in MASKS if key in features), None)
    if picture and mask:
        names = tuple(getattr(features[mask], "names", None) or ())
        table = None
        if not names and name.split("/")[0] in MASK_CLASSES:
            names, first = MASK_CLASSES[name.split("/")[0]]
            table = table_of(range(first, first + len(names)))
        served["segmentation"] = Columns("segmentation", {"image": picture, "mask": mask}, names, table)
    objects = next((key for key in features if {"bbox", "label"} <= set(_inner(features[key]))), None)
    if picture and objects:
        names = tuple(_inner(features[objects])["label"].names)
        served["detection"] = Columns("detection", {"image": picture, "boxes": objects}, names)
    if picture:
        served["reconstruction"] = Columns("reconstruction", {"image": picture}, ())
    if not served or (task is None and list(served) == ["reconstruction"]):
        raise BadData(
            f"data set '{name}' has {', '.join(features)}: no image, audio or volume with a label, "
            f"a mask or boxes (--dataset)"
        )
    if task is not None and task not in served:
        raise BadData(f"data set '{name}' serves {', '.join(served)}, not {task} (--dataset, --arch)")
    return served[task or next(iter(served))]


def _inner(feature: tfds.features.FeatureConnector) -> dict[str, Any]:
    """The features of each element of a sequence of dicts; none for any other feature."""
    inner = getattr(feature, "feature", None)
    return dict(inner) if isinstance(inner, tfds.features.FeaturesDict) else {}


def _shape(feature: tfds.features.FeatureConnector) -> tuple[int | None, ...]:
    """The shape of an example, channels last."""
    shape = tuple(feature.shape)
    if len(shape) == 1:  # a sound, of one channel
        return (shape[0] or SECOND, 1)
    return (*shape[:-1], shape[-1] or 3)


def _dataset(builder: tfds.core.DatasetBuilder, spec: str, columns: Columns, encoded: bool = False) -> tf.data.Dataset:
    """The examples of a TFDS slice in their order, as dicts with "image", "label", "mask", "boxes", "labels"."""
    pictures = [columns.names[name] for name in ("image", "mask") if name in columns.names] if encoded else []
    dataset = builder.as_dataset(
        split=spec,
        read_config=tfds.ReadConfig(try_autocache=False),
        decoders={name: tfds.decode.SkipDecoding() for name in pictures},
    )
    shape = _shape(builder.info.features[columns.names["image"]])

    def select(example: dict[str, Any]) -> dict[str, tf.Tensor]:
        names = [name for name in ("image", "label", "mask") if name in columns.names]
        result: dict[str, Any] = {name: example[columns.names[name]] for name in names}
        if "boxes" in columns.names:
            objects = example[columns.names["boxes"]]
            yxyx = objects["bbox"]  # ymin, xmin, ymax, xmax in shares of the image
            result |= {"boxes": tf.gather(yxyx, [1, 0, 3, 2], axis=-1), "labels": objects["label"]}
        if len(shape) == 2:
            result["image"] = _cut_or_pad(result["image"], shape)
        return result

    return dataset.map(select, tf.data.AUTOTUNE)


def _cut_or_pad(sound: tf.Tensor, shape: tuple[int | None, ...]) -> tf.Tensor:
    """Cut a sound (samples,) or (samples, channels), or pad it with silence, to `shape`."""
    sound = tf.reshape(sound, (-1, shape[1]))[: shape[0]]
    return tf.ensure_shape(tf.pad(sound, [(0, shape[0] - tf.shape(sound)[0]), (0, 0)]), shape)


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


def _with_decoders(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of encoded images with "decoder" and "mask_decoder"."""
    jpeg = [image.startswith(b"\xff\xd8\xff") for image in columns["image"]]
    decoders = {"decoder": np.where(jpeg, image_files.TF_JPEG, image_files.TF_IMAGE).astype("uint8")}
    if "mask" in columns:
        decoders["mask_decoder"] = np.full(len(jpeg), image_files.TF_IMAGE, "uint8")
    return columns | decoders


def _with_decoder(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """An encoded example with "decoder" and "mask_decoder"."""
    jpeg = tf.io.is_jpeg(example["image"])
    decoders = {
        "decoder": tf.where(
            jpeg, tf.constant(image_files.TF_JPEG, tf.uint8), tf.constant(image_files.TF_IMAGE, tf.uint8)
        )
    }
    if "mask" in example:
        decoders["mask_decoder"] = tf.constant(image_files.TF_IMAGE, tf.uint8)
    return example | decoders


def _check_labels(source: Source, columns: Columns, name: str) -> None:
    """Raise if a label is no class. TFDS writes none but -1, unknown; of a stream the first examples are checked."""
    for split in source.sizes:
        if isinstance(source, Stream):
            labels = source.splits[split].take(READ_AT_ONCE).map(lambda example: example["label"])
            labels = np.array(list(labels.as_numpy_iterator()))
        else:
            labels = source.columns[split]["label"].numpy()
        outside = labels[(labels < 0) | (labels >= len(columns.class_names))]
        if len(outside):
            raise BadData(
                f"data set '{name}': {len(outside):,} of {len(labels):,} labels in its {split} split are no class: "
                f"{outside[0]}, allowed 0 ... {len(columns.class_names) - 1} (--dataset)"
            )


def _number_mask_values(
    builder: tfds.core.DatasetBuilder,
    splits: dict[str, str],
    columns: Columns,
    name: str,
    mask_values: Sequence[int] | None,
) -> tuple[Numbering, int]:
    """The class of each value of the masks, and the number of masks. Raises BadData."""

    def held(example: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.math.bincount(tf.cast(example["mask"], tf.int32), minlength=256, maxlength=256) > 0

    presence = [
        row
        for spec in splits.values()
        for row in _dataset(builder, spec, columns).map(held, tf.data.AUTOTUNE).as_numpy_iterator()
    ]
    values = MaskValues(np.flatnonzero(row).tolist() for row in presence)
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
