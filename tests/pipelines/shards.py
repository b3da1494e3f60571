"""The images of a folder, also as TFRecords and as tars of samples."""

import functools
import io
import tarfile

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from benchmarks.faults.image_files import encode
from tests.pipelines.files import put

SPLITS = {"train": 16, "validation": 4, "test": 6}
CLASSES = ("cat", "dog")


def images(split, size=8):
    """(relative name, PNG, class) of a split in the order of a folder; of two heights unless the size is 8."""
    return draw(split, size, SPLITS[split])


@functools.cache
def draw(split, size, count):
    random = np.random.default_rng(list(SPLITS).index(split))
    rows = []
    for name in CLASSES:
        for number in range(count // 2):
            height = size + (number % 2 if size != 8 else 0)
            pixels = random.integers(0, 256, (height, size, 3)).astype(np.uint8)
            rows.append((f"{split}/{name}/{number:05}.png", encode(pixels, "PNG"), name))
    return rows


def write_folder(root, size=8):
    for split in SPLITS:
        for name, content, _ in images(split, size):
            put(root / name, content)
    return root


def example(image, label, text=None, name=None, keys=("image/encoded", "image/class/label")):
    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {keys[0]: feature(image), keys[1]: feature(label)}
    features |= {} if text is None else {"image/class/text": feature(text)}
    features |= {} if name is None else {"image/filename": feature(name)}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_tfrecords(root, size=8):
    """Two files a split, the classes counted from 1."""
    root.mkdir(parents=True)
    for split in SPLITS:
        rows = list(images(split, size))
        half = len(rows) // 2
        for part, some in enumerate((rows[:half], rows[half:])):
            with tf.io.TFRecordWriter(str(root / f"{split}-0000{part}-of-00002.tfrecord")) as file:
                for name, content, label in some:
                    file.write(example(content, 1 + CLASSES.index(label), label.encode(), name.encode()))
    return root


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_tars(root, size=8, label=lambda name: (".cls", name.encode())):
    root.mkdir(parents=True)
    for split in SPLITS:
        with tarfile.open(root / f"photos-{split}-000.tar", "w") as tar:
            for name, content, label_name in images(split, size):
                add(tar, name, content)
                suffix, text = label(label_name)
                add(tar, name.replace(".png", suffix), text)
    return root


WRITERS = {"tfrecord": write_tfrecords, "tar": write_tars}


def load(place, cache, **options):
    options = {"batch_size": 4, "data_dir": str(cache), "seed": 3} | options
    return pipelines.load(str(place), **options)


def refusal(place, cache, **options):
    with pytest.raises(pipelines.BadData) as error:
        load(place, cache, **options)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(")")
    return message
