"""What a prepared TensorFlow Datasets builder holds: its input and its targets, and how its examples are held."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from pipelines.catalogue import CHARACTERS
from pipelines.errors import BadData
from pipelines.readers import image_files
from pipelines.sources import Contents, Decoded, Encoded, Stream

MASKS = ("segmentation_mask", "segmentation_label")
# Masks that do not say what their values mean: names of the classes, and the value of the first.
MASK_CLASSES = {"oxford_iiit_pet": (("pet", "background", "outline"), 1)}
SECOND = 16_000  # samples of a sound whose length varies: cut or padded to a second of speech
READ_AT_ONCE = 256  # examples


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which features of a data set are used: "image" is whatever the network sees."""

    task: str
    names: dict[str, str]  # image, label, mask -> feature; boxes -> the feature with bbox and label
    class_names: tuple[str, ...]
    mask_first: int = 0  # value of the first class in the masks


def read(builder, name: str, task: str | None, memory: int) -> Contents:
    """The contents of a prepared data set.

    Args:
        builder: tfds.core.DatasetBuilder, prepared.
        name: as the user gave it.
        task: which of the tasks that it serves; None: the first of classification, segmentation, detection.
        memory: bytes of examples that may be held in memory.

    Raises:
        BadData: it does not serve the task, has no training split or an empty one, or labels that are no class.
    """
    columns = _columns(builder, name, task)
    splits = _splits(builder, name)
    sizes = {split: builder.info.splits[spec].num_examples for split, spec in splits.items()}
    for split, size in sizes.items():
        if not size:
            raise BadData(f"data set '{name}' has no example in {splits[split]}, its {split} split (--dataset)")
    feature = builder.info.features[columns.names["image"]]
    shape, dtype = _shape(feature), np.dtype(feature.np_dtype)
    examples = sum(sizes.values())
    stored = sum(builder.info.splits[base].num_bytes for base in {spec.split("[")[0] for spec in splits.values()})
    value_range = (0, 255) if dtype == np.uint8 else (0, 32768)
    if None not in shape and examples * np.prod(shape) * dtype.itemsize <= memory:
        arrays = {split: _arrays(_dataset(builder, spec, columns)) for split, spec in splits.items()}
        for values in arrays.values():
            if "mask" in values:
                values["mask"] -= np.uint8(columns.mask_first)  # 0 below the first class becomes 255
        if dtype not in (np.uint8, np.int16):
            value_range = (float(arrays["train"]["image"].min()), float(arrays["train"]["image"].max()))
        source = Decoded(arrays)
    elif dtype != np.uint8:
        raise BadData(
            f"data set '{name}' has examples of {dtype} that take more than the {memory >> 20:,} MiB "
            f"allowed in memory (--data-memory)"
        )
    elif stored <= memory:
        arrays = {split: _arrays(_dataset(builder, spec, columns, encoded=True)) for split, spec in splits.items()}
        arrays = {split: _with_decoders(columns) for split, columns in arrays.items()}
        shapes = [Image.open(io.BytesIO(image)).size[::-1] for image in arrays["train"]["image"]]
        source = Encoded(arrays, np.array(shapes), files=False)
    else:
        datasets = {
            split: _dataset(builder, spec, columns, encoded=True).map(_with_decoder) for split, spec in splits.items()
        }
        source = Stream(datasets, sizes, stored / examples, memory)
    if columns.task == "classification":
        _check_labels(source, columns, name)
    if columns.task == "segmentation" and not columns.class_names:
        columns = dataclasses.replace(columns, class_names=_classes_in_masks(builder, splits["train"], columns))
    return Contents(
        task=columns.task,
        class_names=columns.class_names,
        shape=shape,
        source=source,
        value_range=value_range,
        fingerprint=_fingerprint(builder, splits),
        characters=name.split("/")[0] in CHARACTERS,
        mask_first=columns.mask_first,
    )


def _columns(builder, name: str, task: str | None) -> Columns:
    """The features for `task`, or for the first task that the data set serves."""
    features = dict(builder.info.features)
    served = {}
    picture = "image" if "image" in features else next((key for key in features if key.startswith("image_")), None)
    label = features.get("label")
    if hasattr(label, "names"):
        for key in ("image", "audio", "volume"):
            if key in features:
                served["classification"] = Columns(
                    "classification", {"image": key, "label": "label"}, tuple(label.names)
                )
                break
    mask = next((key for key in MASKS if key in features), None)
    if picture and mask:
        base = name.split("/")[0]
        named = tuple(getattr(features[mask], "names", None) or ())
        names, first = (named, 0) if named else MASK_CLASSES.get(base, ((), 0))
        served["segmentation"] = Columns("segmentation", {"image": picture, "mask": mask}, names, first)
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


def _inner(feature) -> dict:
    """The features of each element of a sequence of dicts; none for any other feature."""
    inner = getattr(feature, "feature", None)
    return dict(inner) if isinstance(inner, tfds.features.FeaturesDict) else {}


def _shape(feature) -> tuple[int | None, ...]:
    shape = tuple(feature.shape)
    if len(shape) == 1:  # a sound, of one channel
        return (shape[0] or SECOND, 1)
    return (*shape[:-1], shape[-1] or 3)


def _dataset(builder, spec: str, columns: Columns, encoded: bool = False) -> tf.data.Dataset:
    """The examples of a part of the data as dicts with "image", "label", "mask", "boxes", "labels", in their order."""
    pictures = [columns.names[name] for name in ("image", "mask") if name in columns.names] if encoded else []
    dataset = builder.as_dataset(
        split=spec,
        read_config=tfds.ReadConfig(try_autocache=False),
        decoders={name: tfds.decode.SkipDecoding() for name in pictures},
    )
    shape = _shape(builder.info.features[columns.names["image"]])

    def chosen(example):
        result = {name: example[columns.names[name]] for name in ("image", "label", "mask") if name in columns.names}
        if "boxes" in columns.names:
            objects = example[columns.names["boxes"]]
            yxyx = objects["bbox"]  # ymin, xmin, ymax, xmax in shares of the image
            result |= {"boxes": tf.gather(yxyx, [1, 0, 3, 2], axis=-1), "labels": objects["label"]}
        if len(shape) == 2:
            result["image"] = _of_length(result["image"], shape)
        return result

    return dataset.map(chosen, tf.data.AUTOTUNE)


def _of_length(sound, shape):
    """A sound (samples,) or (samples, channels), cut or padded with silence to `shape`."""
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
    jpeg = [image.startswith(b"\xff\xd8\xff") for image in columns["image"]]
    decoders = {"decoder": np.where(jpeg, image_files.TF_JPEG, image_files.TF_IMAGE).astype("uint8")}
    if "mask" in columns:
        decoders["mask_decoder"] = np.full(len(jpeg), image_files.TF_IMAGE, "uint8")
    return columns | decoders


def _with_decoder(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    jpeg = tf.io.is_jpeg(example["image"])
    decoders = {
        "decoder": tf.where(
            jpeg, tf.constant(image_files.TF_JPEG, tf.uint8), tf.constant(image_files.TF_IMAGE, tf.uint8)
        )
    }
    if "mask" in example:
        decoders["mask_decoder"] = tf.constant(image_files.TF_IMAGE, tf.uint8)
    return example | decoders


def _check_labels(source: Decoded | Encoded | Stream, columns: Columns, name: str) -> None:
    """Of a stream the first examples of each split: TFDS itself writes no label beyond its classes but -1, unknown."""
    for split in source.sizes:
        if isinstance(source, Stream):
            labels = source.splits[split].take(READ_AT_ONCE).map(lambda example: example["label"])
            labels = np.array(list(labels.as_numpy_iterator()))
        else:
            labels = source.columns[split]["label"].numpy()
        wrong = labels[(labels < 0) | (labels >= len(columns.class_names))]
        if len(wrong):
            raise BadData(
                f"data set '{name}': {len(wrong):,} of {len(labels):,} labels in its {split} split are no class: "
                f"{wrong[0]}, allowed 0 ... {len(columns.class_names) - 1} (--dataset)"
            )


def _classes_in_masks(builder, spec: str, columns: Columns) -> tuple[str, ...]:
    """Names for masks without any: the numbers up to the largest of the training masks, which 255 is not."""
    masks = _dataset(builder, spec, columns).map(lambda example: example["mask"], tf.data.AUTOTUNE)
    largest = masks.reduce(
        tf.constant(0, tf.uint8),
        lambda most, mask: tf.maximum(most, tf.reduce_max(tf.where(mask == 255, tf.zeros_like(mask), mask))),
    )
    return tuple(map(str, range(int(largest) + 1)))


def _fingerprint(builder, splits: dict[str, str]) -> str:
    """A digest of the name, version, split rule and the sizes of the record files."""
    known = builder.info.splits
    facts = [builder.info.full_name, sorted(splits.items())]
    facts += [[name, split.num_bytes, list(split.shard_lengths)] for name, split in sorted(known.items())]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


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
