"""A folder of JPEGs of 500x375 to 224x224: random crop, resize, mirror, normalise."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import pipelines
from benchmarks.input_pipeline.photographs import Photographs, write_photographs
from benchmarks.input_pipeline.rounds import BATCH, MEAN, SIDE, STD, STEPS, fill_cache, measure
from pipelines.augmentation.policy import Policy
from pipelines.dataset import AHEAD


def folder(root: Path, count: int, rounds: int) -> None:
    photographs = root / "photographs"
    write_photographs(photographs, count)
    files = sorted(map(str, photographs.rglob("*.jpg")))
    layers = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomTranslation(0.1, 0.1),
        keras.layers.RandomZoom((-0.5, 0)),
    ]
    contenders = {
        "image_dataset_from_directory, Keras' augmentation": lambda: keras_batches(photographs, *layers),
        "image_dataset_from_directory, no augmentation": lambda: keras_batches(photographs),
        "PyTorch DataLoader, torchvision, 2 workers": lambda: torch_batches(files),
        "decode only": lambda: decode_only(files),
        "resample only": lambda: resample_only(files, tf.image.resize),
        "resample only, crop_and_resize": lambda: resample_only(files, by_crop_and_resize),
        "resample only, ScaleAndTranslate": lambda: resample_only(files, by_scale_and_translate),
        "ours": lambda: our_batches(photographs, "", 0),
        "ours, kept": lambda: our_batches(photographs, "kept random crops", 4096),
        "ours, kept, windows of a fixed scale": lambda: our_batches(
            photographs, "kept windows of a fixed scale", 4096, margin=1 / 7
        ),
    }
    rates = measure(f"a folder of {count:,} JPEGs of 500x375 to 224x224", contenders, BATCH, STEPS, rounds)
    series = 1 / (1 / rates["decode only"] + 1 / rates["resample only"])
    print(f"\nDecoding and then resampling, at these rates: {series:,.0f} images/s.", flush=True)


def our_batches(photographs: Path, name: str, memory: int, margin: float | None = None) -> Iterator[Any]:
    data = pipelines.load(
        str(photographs),
        augmentation=Policy(margin=margin),
        batch_size=BATCH,
        mean=MEAN,
        std=STD,
        data_memory=memory,
        data_dir=str(photographs.parent),
    )
    return fill_cache(data, name) if memory else iter(data.train(10_000))


def keras_batches(photographs: Path, *layers: keras.layers.Layer) -> Iterator[Any]:
    data = keras.utils.image_dataset_from_directory(
        photographs, image_size=(SIDE, SIDE), batch_size=BATCH, label_mode="categorical", verbose=False
    )
    data = data.map(lambda x, y: ((x / 255 - MEAN) / STD, y), tf.data.AUTOTUNE)
    for layer in layers:
        data = data.map(lambda x, y, layer=layer: (layer(x), y), tf.data.AUTOTUNE)
    return iter(data.repeat().prefetch(tf.data.AUTOTUNE))


def decode_only(files: list[str]) -> Iterator[Any]:
    data = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files)).repeat()
    data = data.map(lambda file: tf.reduce_sum(tf.io.decode_jpeg(tf.io.read_file(file), 3)[0, 0]), tf.data.AUTOTUNE)
    return iter(data.batch(BATCH).prefetch(AHEAD))


def by_crop_and_resize(crop: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Between the centres of the outer pixels, not between their edges: other values than tf.image.resize's."""
    return tf.image.crop_and_resize(crop[None], [[0.0, 0.0, 1.0, 1.0]], [0], size)[0]


def by_scale_and_translate(crop: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """The values of tf.image.resize."""
    scale = tf.constant(size, tf.float32) / tf.cast(tf.shape(crop)[:2], tf.float32)
    return tf.raw_ops.ScaleAndTranslate(
        images=crop[None], size=size, scale=scale, translation=[0.0, 0.0], kernel_type="triangle", antialias=False
    )[0]


def resample_only(files: list[str], resize: Callable[[tf.Tensor, tuple[int, int]], tf.Tensor]) -> Iterator[Any]:
    crops = tf.stack([tf.io.decode_jpeg(tf.io.read_file(file), 3)[40:320, 60:390] for file in files[:BATCH]])

    def resample(row: tf.Tensor) -> tf.Tensor:
        return resize(tf.cast(crops[row], tf.float32), (SIDE, SIDE))[0, 0, 0]

    data = tf.data.Dataset.range(BATCH).repeat().map(resample, tf.data.AUTOTUNE)
    return iter(data.batch(BATCH).prefetch(AHEAD))


def torch_batches(files: list[str]) -> Iterator[Any]:
    import torch

    loader = torch.utils.data.DataLoader(
        Photographs(files),
        BATCH,
        shuffle=True,
        num_workers=2,
        multiprocessing_context="spawn",
        persistent_workers=True,
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))
