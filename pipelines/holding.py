"""What of the examples stays in memory: prepared, decoded, or as they are stored."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines import decoding
from pipelines.catalogue import mebibytes
from pipelines.preparation import Preparation
from pipelines.readers import image_files
from pipelines.sources import Cache, Decoded, Encoded, Source

CACHE_OVERHEAD = 256  # bytes of an image in the cache in addition to its pixels


class Held(NamedTuple):
    """How the examples are kept."""

    source: Source
    preparation: Preparation
    cached_evaluation: frozenset[str]  # splits whose evaluation batches are kept
    description: str  # all this in words


def hold_in_memory(source: Source, preparation: Preparation, memory: int) -> Held:
    """Use the allowed memory, in bytes, for examples that are already prepared."""
    if isinstance(source, Decoded):
        source = _prepare_once(source, preparation, memory)
    if isinstance(source, Encoded):
        return _hold_decoded_images(source, preparation, memory)
    return Held(source, preparation, frozenset(), source.storage())


def _prepare_once(source: Decoded, preparation: Preparation, memory: int) -> Decoded:
    """Prepare decoded images here and not in every epoch: completely, or, if they are augmented, resize them."""
    shape = preparation.shape
    fits = sum(source.sizes.values()) * np.prod(shape) * 4 <= memory
    if not (fits and len(shape) == 3 and preparation.batchwise and preparation.task == "classification"):
        return source
    if not preparation.augmentation.changes_examples:
        return source.map(preparation.finish)
    if source.shape != shape and preparation.value_range == (0, 255):
        return source.map(preparation.fit_to_size)
    return source


def _hold_decoded_images(source: Encoded, preparation: Preparation, memory: int) -> Held:
    """Keep the validation batches, and training images once they are decoded, as far as the memory reaches."""
    shape = preparation.shape
    left = memory - source.bytes
    description = source.storage()
    cached_evaluation: frozenset[str] = frozenset()
    validation = int(source.sizes["validation"] * np.prod(shape) * 4)
    if validation <= left / 2:
        left -= validation
        cached_evaluation = frozenset(["validation"])
        description += f"; validation batches kept, {mebibytes(validation)}"
    pixels = _decoded_sizes(source, preparation)
    taken = np.cumsum(np.prod(pixels, axis=1) * shape[-1] + CACHE_OVERHEAD)
    first = int(np.searchsorted(taken, left, side="right"))
    if first:
        description += (
            f"; {first:,} of {len(taken):,} training images kept once decoded, {mebibytes(int(taken[first - 1]))}"
        )
    preparation = dataclasses.replace(
        preparation,
        cache=Cache(first),
        spare=float((source.shapes / shape[:2]).min(axis=1).max()),
        plain=not first and bool((source.columns["train"]["decoder"].numpy() == image_files.TF_JPEG).all()),
    )
    return Held(source, preparation, cached_evaluation, description)


def _decoded_sizes(source: Encoded, preparation: Preparation) -> np.ndarray:
    """Height and width at which the training images are kept, int64 (examples, 2)."""
    pixels = source.shapes.astype(np.int64)
    if preparation.augmentation.margin:
        size = np.array(preparation.enlarged)
        axis = np.argmax(size / pixels, axis=1)[:, None]  # that decides the scale
        shrunk = pixels * size[axis] // np.take_along_axis(pixels, axis, axis=1) + 1
        if not preparation.keeps_aspect:
            shrunk = size
        return np.where((pixels > size).all(axis=1, keepdims=True), shrunk, pixels)
    if preparation.crops:
        jpeg = source.columns["train"]["decoder"].numpy() == image_files.TF_JPEG
        smallest_area = preparation.augmentation.scale[0]
        _, reduced = decoding.choose_ratio(tf.constant(pixels), preparation.shape[:2], smallest_area)
        return np.where(jpeg[:, None], reduced.numpy(), pixels)
    return pixels
