"""From a data set's name to its `Data`: where it is read, what is decided about it, and what of it stays in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import catalogue, decoding
from pipelines.augmentation.policy import Augmentation, Policy, choose_augmentation
from pipelines.catalogue import mebibytes
from pipelines.dataset import Data, without_autograph
from pipelines.errors import BadData
from pipelines.preparation import Preparation
from pipelines.readers import folder, image_files, npz, tfds
from pipelines.sources import Cache, Contents, Decoded, Encoded, Stream

DATA_MEMORY = 2048  # MiB
SMALLEST, USUAL = 32, 224  # default image size: of images of one size theirs, at least 32; of others 224
MEASURED = 4096, 512  # training examples of which mean and std are taken: decoded ones, encoded ones
CACHE_OVERHEAD = 256  # bytes that an image in the cache takes beside its pixels


@without_autograph
def load(
    name: str,
    *,
    task: str | None = None,
    image_size: int | None = None,
    image_scale: float = 1.0,
    batch_size: int = 32,
    seed: int = 0,
    augmentation: str | Policy | Augmentation = "light",
    fit: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    data_dir: str | None = None,
    data_memory: int = DATA_MEMORY,
    on_bad_image: str = "error",
    max_bad: float = 0.1,
) -> Data:
    """Load a data set.

    Args:
        name: an embedded data set, any name of TensorFlow Datasets ("mnist", "emnist/letters"), a folder, or a .csv or
            .npz file: see `readers.folder` and `readers.npz`.
        task: "classification", "segmentation", "detection" or "reconstruction"; None: the first that the data serve.
        image_size: side of the square images, in pixels. Default: the data's own where it is fixed, at least 32;
            224 where it varies. Sounds and volumes keep their shape.
        image_scale: multiplier of that, default or not; the product is rounded.
        batch_size: examples a batch, at most the training split.
        seed: decides order and augmentation.
        augmentation: "light", "rand" or "none"; a `Policy` to change one of these, as Policy("rand", mixup=0.2); or an
            `Augmentation`, of which the data decide nothing. See `augmentation.policy`.
        fit: "crop" the middle of an image of another aspect, or "pad" it. Default: crop to classify, else pad.
        mean, std: of each channel, in 0 ... 1, to standardise with; their average where the data have another number
            of channels. Default: those of training examples.
        data_dir: folder of prepared data sets. Default: that of TensorFlow Datasets.
        data_memory: MiB that examples may take in memory.
        on_bad_image: "error" or "skip": what a file that cannot be used leads to.
        max_bad: the largest share of files that is skipped.

    Raises:
        BadData: unknown name; not on the disk and no network; another task; bad files; or too few examples.
    """
    memory = data_memory << 20
    contents = read(name, task, data_dir=data_dir, memory=memory, on_bad_image=on_bad_image, max_bad=max_bad)
    source, shape = contents.source, _input_shape(contents, image_size, image_scale)
    if source.sizes["train"] < batch_size:
        raise BadData(
            f"data set '{name}' has {source.sizes['train']} training examples, "
            f"fewer than a batch of {batch_size} (--batch-size)"
        )
    side = shape[0] if len(shape) == 3 else SMALLEST
    if None in contents.shape:
        side = USUAL
    chosen = choose_augmentation(augmentation, side=side, characters=contents.characters)
    if (chosen.mixup or chosen.cutmix) and (contents.task != "classification" or len(shape) != 3):
        raise BadData("MixUp and CutMix are for the classification of images (--mixup, --cutmix)")
    preparation = Preparation(
        task=contents.task,
        shape=shape,
        num_classes=len(contents.class_names),
        fit=fit or ("crop" if contents.task == "classification" else "pad"),
        augmentation=chosen,
        fill_mode="CONSTANT" if contents.characters or contents.task == "detection" else "REFLECT",
        value_range=contents.value_range,
        mask_first=contents.mask_first,
        mean=(0.0,) * shape[-1],
        std=(1.0,) * shape[-1],
        cache=Cache(),
    )
    if mean is None or std is None:
        mean, std = _statistics(source, preparation)
    elif len(mean) != shape[-1]:
        mean, std = ((sum(values) / len(values),) * shape[-1] for values in (mean, std))
    preparation = dataclasses.replace(preparation, mean=tuple(mean), std=tuple(std))
    source, preparation, cached_evaluation, storage = _held(source, preparation, memory)
    return Data(
        name=str(Path(name).resolve()) if catalogue.is_path(name) else name,
        task=contents.task,
        image_shape=shape,
        num_classes=len(contents.class_names),
        class_names=contents.class_names,
        sizes=source.sizes,
        value_range=contents.value_range,
        mean=preparation.mean,
        std=preparation.std,
        fit=preparation.fit,
        augmentation=chosen,
        fingerprint=contents.fingerprint,
        storage=storage,
        notes=contents.notes,
        bad=contents.bad,
        batch_size=batch_size,
        seed=seed,
        _source=source,
        _preparation=preparation,
        _cached_evaluation=cached_evaluation,
    )


def read(
    name: str, task: str | None, *, data_dir: str | None, memory: int, on_bad_image: str, max_bad: float
) -> Contents:
    """The contents of a data set, wherever it is; arguments as for `load`, `memory` in bytes. Raises BadData."""
    if not catalogue.is_path(name):
        return tfds.read(catalogue.prepared_builder(name, data_dir), name, task, memory)
    if name.endswith(".npz"):
        found = npz.read_npz(name)
        target = "label" if found.task == "classification" else "mask"
        source = Decoded({split: {"image": x, target: y} for split, (x, y) in found.splits.items()})
        shape, value_range, bad, notes = source.shape, found.value_range, (), {}
    else:
        scans = data_dir and str(Path(data_dir) / "scans")
        found = folder.read_folder(name, on_bad_image=on_bad_image, max_bad=max_bad, cache_dir=scans)
        source = Encoded(
            {split: _columns(files) for split, files in found.splits.items()}, found.splits["train"].shapes, files=True
        )
        shape, value_range, bad, notes = (None, None, found.channels), (0, 255), found.bad, found.notes
    if task not in (None, found.task, "reconstruction"):
        raise BadData(f"data set '{name}' serves {found.task}, reconstruction, not {task} (--dataset, --arch)")
    return Contents(
        task=task or found.task,
        class_names=found.class_names,
        shape=shape,
        source=source,
        value_range=value_range,
        fingerprint=found.fingerprint,
        bad=bad,
        notes=notes,
    )


def _columns(files: folder.Files) -> dict[str, Any]:
    columns = {"image": files.paths, "decoder": files.decoders}
    if files.masks is not None:
        return columns | {"mask": files.masks, "mask_decoder": files.mask_decoders}
    return columns | {"label": files.labels}


def _input_shape(contents: Contents, image_size: int | None, image_scale: float) -> tuple[int, ...]:
    """The shape of what the network takes."""
    if len(contents.shape) != 3:
        if image_size is not None or image_scale != 1:
            shape, flag = "x".join(map(str, contents.shape)), "--phi" if image_size is None else "--image-size"
            raise BadData(f"examples of {shape} are no images and keep their shape: leave {flag} out")
        return contents.shape
    height, width, channels = contents.shape
    side = image_size or (USUAL if None in (height, width) else max(height, width, SMALLEST))
    side = round(side * image_scale)
    return (side, side, channels)


def _statistics(source: Decoded | Encoded | Stream, preparation: Preparation) -> tuple[tuple, tuple]:
    """(mean, standard deviation) of each channel of training examples, in 0 ... 1: of all, or of some spread evenly."""
    low, high = preparation.value_range
    count = min(source.sizes["train"], MEASURED[not isinstance(source, Decoded)])
    rows = np.linspace(0, source.sizes["train"] - 1, count).astype(int)
    if isinstance(source, Stream):
        examples = source.examples("train").take(count)
    else:
        examples = tf.data.Dataset.from_tensor_slices(rows).map(lambda row: source.fetch("train", row))

    def moments(example):
        pixels = (tf.cast(preparation.decoded(example)["image"], tf.float64) - low) / (high - low)
        axes = list(range(pixels.shape.rank - 1))
        return tf.reduce_mean(pixels, axes), tf.reduce_mean(pixels**2, axes)

    found = examples.map(moments, tf.data.AUTOTUNE).batch(count).get_single_element()
    mean, square = (values.numpy().mean(0) for values in found)
    std = np.sqrt(np.maximum(square - mean**2, 1e-6))
    return tuple(mean.round(4).tolist()), tuple(std.round(4).tolist())


def _held(source, preparation: Preparation, memory: int):
    """Use what memory is left: (source, preparation, splits whose evaluation batches are kept, all this in words)."""
    shape = preparation.shape
    if isinstance(source, Decoded):
        fits = sum(source.sizes.values()) * np.prod(shape) * 4 <= memory
        if fits and len(shape) == 3 and preparation.batchwise and preparation.task == "classification":
            # Once and not in every epoch: all of it, or where examples are augmented the resizing.
            if preparation.augmentation.changes_examples:
                if source.shape != shape and preparation.value_range == (0, 255):
                    source = source.map(preparation.fitted)
            else:
                source = source.map(preparation.finished)
        return source, preparation, frozenset(), source.storage()
    if isinstance(source, Stream):
        return source, preparation, frozenset(), source.storage()
    left, storage, cached = memory - source.bytes, source.storage(), frozenset()
    validation = int(source.sizes["validation"] * np.prod(shape) * 4)
    if validation <= left / 2:
        left, cached = left - validation, frozenset(["validation"])
        storage += f"; validation batches kept, {mebibytes(validation)}"
    pixels = tf.constant(source.shapes, tf.int64)
    if preparation.augmentation.margin:
        pixels = pixels * preparation.enlarged // tf.reduce_min(pixels, axis=1, keepdims=True) + 1
    elif preparation.crops:
        jpeg = source.columns["train"]["decoder"] == image_files.TF_JPEG
        small = decoding.reduced(pixels, shape[0], preparation.augmentation.scale[0])[1]
        pixels = tf.where(jpeg[:, None], small, pixels)
    taken = np.cumsum(np.prod(pixels, axis=1) * shape[-1] + CACHE_OVERHEAD)
    first = int(np.searchsorted(taken, left, side="right"))
    if first:
        storage += (
            f"; {first:,} of {len(taken):,} training images kept once decoded, {mebibytes(int(taken[first - 1]))}"
        )
    preparation = dataclasses.replace(
        preparation,
        cache=Cache(first),
        largest=int(source.shapes.min(axis=1).max()),
        plain=not first and bool((source.columns["train"]["decoder"].numpy() == image_files.TF_JPEG).all()),
    )
    return source, preparation, cached, storage
