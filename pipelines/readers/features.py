"""Which features of a prepared data set of TensorFlow Datasets are used, and its examples with them alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.errors import BadData
from pipelines.readers.mask_values import number_listed

MASKS = ("segmentation_mask", "segmentation_label")
# Masks without names for their values: the names of the classes, and the value of the first.
MASK_CLASSES = {
    "oxford_iiit_pet": (("pet", "background", "outline"), 1),
    "solids": (
        ("background", "ball", "cube", "cylinder", "cone", "torus", "pyramid", "tetrahedron", "cross"),
        0,
    ),
}
SECOND = 16_000  # samples: sounds of various lengths are cut or padded to a second of speech


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which features of a data set are used; "image" is the network's input, also if it is a sound or a volume."""

    task: str
    names: dict[str, str]  # image, label, mask -> feature; boxes -> the feature with bbox and label
    class_names: tuple[str, ...]
    mask_table: tuple[int, ...] | None = None  # the class of each value of the masks; None: the value


def choose_columns(builder: tfds.core.DatasetBuilder, name: str, task: str | None) -> Columns:
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
    mask = next((key for key in MASKS if key in features and _is_mask(features[key])), None)
    space = picture or ("volume" if "volume" in features else None)
    if space and mask:
        names = tuple(getattr(features[mask], "names", None) or ())
        table = None
        if not names and name.split("/")[0] in MASK_CLASSES:
            names, first = MASK_CLASSES[name.split("/")[0]]
            table = number_listed(range(first, first + len(names)))
        served["segmentation"] = Columns("segmentation", {"image": space, "mask": mask}, names, table)
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


def shape_of(feature: tfds.features.FeatureConnector) -> tuple[int | None, ...]:
    """The shape of an example, channels last."""
    shape = tuple(feature.shape)
    if len(shape) == 1:  # a sound, of one channel
        return (shape[0] or SECOND, 1)
    return (*shape[:-1], shape[-1] or 3)


def is_picture(feature: tfds.features.FeatureConnector) -> bool:
    """Whether a feature is an image file of 8 bits a channel or of 16-bit grey, as `image_files` reads them."""
    if not isinstance(feature, tfds.features.Image):
        return False
    return feature.np_dtype == np.uint8 or (feature.np_dtype == np.uint16 and feature.shape[-1] == 1)


def _is_mask(feature: tfds.features.FeatureConnector) -> bool:
    """Whether a feature is an image file, or an array of one size."""
    return is_picture(feature) or None not in feature.shape


def read_dataset(builder: tfds.core.DatasetBuilder, spec: str, columns: Columns) -> tf.data.Dataset:
    """The examples of a TFDS slice in their order, as dicts with "image", "label", "mask", "boxes", "labels".

    Where the images are pictures, their files and those of the masks stay encoded; masks in arrays are classes.
    """
    features = builder.info.features
    pictures = []
    if is_picture(features[columns.names["image"]]):
        used = [columns.names[name] for name in ("image", "mask") if name in columns.names]
        pictures = [name for name in used if is_picture(features[name])]
    dataset = builder.as_dataset(
        split=spec,
        read_config=tfds.ReadConfig(try_autocache=False),
        decoders={name: tfds.decode.SkipDecoding() for name in pictures},
    )
    shape = shape_of(features[columns.names["image"]])

    def select(example: dict[str, Any]) -> dict[str, tf.Tensor]:
        names = [name for name in ("image", "label", "mask") if name in columns.names]
        result: dict[str, Any] = {name: example[columns.names[name]] for name in names}
        if "boxes" in columns.names:
            objects = example[columns.names["boxes"]]
            yxyx = objects["bbox"]  # ymin, xmin, ymax, xmax in shares of the image
            result |= {"boxes": tf.gather(yxyx, [1, 0, 3, 2], axis=-1), "labels": objects["label"]}
        if "mask" in result and result["mask"].dtype != tf.string:
            mask = tf.cast(result["mask"], tf.int32)
            if columns.mask_table is not None:
                mask = tf.gather(tf.constant(columns.mask_table, tf.int32), mask)
            result["mask"] = tf.cast(mask, tf.uint8)
        if len(shape) == 2:
            result["image"] = _cut_or_pad(result["image"], shape)
        return result

    return dataset.map(select, tf.data.AUTOTUNE)


def _cut_or_pad(sound: tf.Tensor, shape: tuple[int | None, ...]) -> tf.Tensor:
    """Cut a sound (samples,) or (samples, channels), or pad it with silence, to `shape`."""
    sound = tf.reshape(sound, (-1, shape[1]))[: shape[0]]
    return tf.ensure_shape(tf.pad(sound, [(0, shape[0] - tf.shape(sound)[0]), (0, 0)]), shape)
