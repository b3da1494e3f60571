"""The records of a .tfrecord file: tf.train.Example protocol buffers with an encoded image and its class.

    image/encoded, image/class/label, image/class/text, image/filename    as TensorFlow's scripts write them
    image, label                                                          as short

An image is the bytes of a file. A label is a whole number or bytes, a name. Text and filename may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines.errors import BadData
from pipelines.parts import Part
from pipelines.readers.record_labels import Record
from pipelines.readers.tree import composed

IMAGES = ("image/encoded", "image")
LABELS = ("image/class/label", "label")
TEXT = "image/class/text"
FILENAME = "image/filename"
HEADER = 12  # bytes before a record: its length and the checksum of that
FOOTER = 4  # after it: its checksum
READ_AT_ONCE = 256
BUFFER = 2**18  # bytes; where it is left out, TensorFlow prints a line


def read_tfrecord(path: str) -> Iterator[Record]:
    """The records of a file, all checksums verified; of each the split is "train".

    Raises:
        BadData: a damaged file; a record that is no Example, or has no image or no label.
    """
    offset = 0
    stem = Path(path).name.split(".")[0]
    for number, content in enumerate(_contents(path)):
        where = f"record {number} of '{path}'"
        features = _features(content, where)
        image = _bytes(features, _key(features, IMAGES, where), where)
        label = _label(features, _key(features, LABELS, where), where)
        name = _text(features, FILENAME) or f"{stem}/{number:08}"
        first = offset + HEADER + content.index(image)  # the first place with these bytes is as good as theirs
        yield Record(name, "train", label, Part(path, first, len(image)), _text(features, TEXT))
        offset += HEADER + len(content) + FOOTER


def _contents(path: str) -> Iterator[bytes]:
    """The records as bytes. Raises BadData."""
    try:
        for batch in tf.data.TFRecordDataset([path], buffer_size=BUFFER).batch(READ_AT_ONCE).as_numpy_iterator():
            yield from batch
    except tf.errors.OpError as error:
        reason = " ".join(str(error.message).split()).split(" [Op:")[0]
        raise BadData(f"'{path}' is no intact file of TFRecords: {reason} (--dataset)") from None


def _features(content: bytes, where: str) -> Any:
    """The features of an Example, by name. Raises BadData."""
    try:
        return tf.train.Example.FromString(content).features.feature
    except Exception:  # of the protocol buffers, whichever implementation is installed
        raise BadData(f"{where} is no tf.train.Example (--dataset)") from None


def _key(features: Any, keys: tuple[str, ...], where: str) -> str:
    key = next((key for key in keys if key in features), None)
    if key is None:
        names = ", ".join(sorted(features)) or "nothing"
        raise BadData(f"{where} has {names}, but no {' or '.join(keys)} (--dataset)")
    return key


def _bytes(features: Any, key: str, where: str) -> bytes:
    values = features[key].bytes_list.value
    if len(values) != 1:
        raise BadData(f"{key} of {where} holds {len(values)} values of bytes: expected one image file (--dataset)")
    return values[0]


def _label(features: Any, key: str, where: str) -> int | str:
    numbers = features[key].int64_list.value
    names = features[key].bytes_list.value
    if len(numbers) + len(names) != 1:
        raise BadData(
            f"{key} of {where} holds {len(numbers) + len(names)} whole numbers or names: expected one (--dataset)"
        )
    return int(numbers[0]) if numbers else composed(names[0].decode("utf-8", "replace"))


def _text(features: Any, key: str) -> str:
    """The text of a feature that may be missing."""
    values = list(features[key].bytes_list.value) if key in features else []
    return composed(values[0].decode("utf-8", "replace")) if len(values) == 1 else ""
