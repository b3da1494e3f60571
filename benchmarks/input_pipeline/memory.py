"""60,000 images of 28x28, decoded in memory; the same normalisation, with and without augmentation."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import pipelines
from benchmarks.input_pipeline.rounds import measure

BATCH = 128
Images = tuple[np.ndarray, np.ndarray]


def memory(root: Path, count: int, rounds: int) -> None:
    file = root / "images.npz"
    images, labels = write_arrays(file)
    ready = ((images / 255 - 0.5) / 0.25).astype("float32")[..., None]
    plain = {
        "per-example from_tensor_slices, map, batch": lambda: map_examples((images, labels)),
        "PyTorch DataLoader, 2 workers": lambda: torch_batches((ready, labels)),
        "Keras arrays, as fit feeds them": lambda: keras_batches((ready, labels)),
        "ours": lambda: our_batches(file, "none"),
    }
    layers = [
        keras.layers.RandomRotation(0.033),
        keras.layers.RandomZoom(0.15),
        keras.layers.RandomTranslation(0.09, 0.09),
    ]
    augmented = {
        "per-example map with Keras' layers": lambda: map_examples((images, labels), *layers),
        "ours": lambda: our_batches(file, "light"),
    }
    measure("60,000 images of 28x28 in memory, not augmented", plain, BATCH, 400, rounds)
    measure("the same, turned, zoomed and shifted", augmented, BATCH, 60, rounds)


def write_arrays(file: Path) -> Images:
    """Random images uint8 (60000, 28, 28) and their labels, also as a .npz file."""
    images = np.random.default_rng(0).integers(0, 256, (60_000, 28, 28), np.uint8)
    labels = np.arange(60_000) % 10
    few = {"x_val": images[:10], "y_val": labels[:10], "x_test": images[:10], "y_test": labels[:10]}
    np.savez(file, x_train=images, y_train=labels, **few)
    return images, labels


def our_batches(file: Path, augmentation: str) -> Iterator[Any]:
    data = pipelines.load(str(file), image_size=28, batch_size=BATCH, augmentation=augmentation)
    return iter(data.train(10_000))


def map_examples(data: Images, *layers: keras.layers.Layer) -> Iterator[Any]:
    def prepare(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (tf.cast(image[..., None], tf.float32) / 255 - 0.5) / 0.25, tf.one_hot(label, 10)

    def augment(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in layers:
            image = layer(image)
        return image, label

    examples = tf.data.Dataset.from_tensor_slices(data).shuffle(10_000).repeat().map(prepare)
    if layers:
        examples = examples.map(augment, tf.data.AUTOTUNE)
    return iter(examples.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def keras_batches(data: Images) -> Iterator[Any]:
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    images, labels = data
    targets = keras.utils.to_categorical(labels, 10)
    return iter(ArrayDataAdapter(images, targets, batch_size=BATCH, shuffle=True).get_tf_dataset().repeat())


def torch_batches(data: Images) -> Iterator[Any]:
    import torch

    images, labels = data
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(images.transpose(0, 3, 1, 2)), torch.from_numpy(labels))
    loader = torch.utils.data.DataLoader(
        tensors, BATCH, shuffle=True, num_workers=2, multiprocessing_context="spawn", persistent_workers=True
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))
