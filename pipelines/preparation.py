"""From an example as it is stored to what a network takes.

    images             decode -> crop at random, or fit to the size -> augment -> 0 ... 1 -> standardise
    sounds, volumes                                                    augment -> 0 ... 1 -> standardise

A mask and boxes go the way of their image. Images are in 0 ... 255 until the end.
"""

from __future__ import annotations

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from pipelines import decoding
from pipelines.augmentation import draws as column
from pipelines.augmentation.augment import augment, augment_volumes, augment_waveforms
from pipelines.augmentation.geometry import crop_boxes, crop_window
from pipelines.augmentation.policy import Augmentation
from pipelines.readers import image_files
from pipelines.sources import Cache
from pipelines.targets import IGNORE_LABEL

BATCHWISE = 128 * 128  # pixels from which an image is augmented by itself: a batch of them is bound by memory
INPUT_AND_TARGETS = ("image", "label", "mask", "boxes", "labels")


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How the examples of one data set are prepared.

    Args:
        task: "classification", "segmentation", "detection" or "reconstruction".
        shape: of what the network takes: (side, side, channels), or that of a sound or a volume.
        num_classes: of the targets.
        fit: how an image gets that size where it is not cropped at random: "crop" its middle, or "pad" it.
        augmentation: of training examples.
        fill_mode: what lies outside an image that is moved: "CONSTANT" (0) or "REFLECT".
        value_range: of the raw values, which becomes 0 ... 1.
        mask_first: value of the first class in the masks.
        mean, std: of each channel, in 0 ... 1.
        cache: of decoded training images.
        largest: the longest of the training images' shorter sides; None: not known.
        plain: whether all training images are JPEGs that TensorFlow decodes, and none is kept.
    """

    task: str
    shape: tuple[int, ...]
    num_classes: int
    fit: str
    augmentation: Augmentation
    fill_mode: str
    value_range: tuple[float, float]
    mask_first: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    cache: Cache
    largest: int | None = None
    plain: bool = False

    @property
    def crops(self) -> bool:
        """Whether training images are cropped at random."""
        a = self.augmentation
        return len(self.shape) == 3 and (a.scale != (1.0, 1.0) or a.margin > 0)

    @property
    def batchwise(self) -> bool:
        """Whether decoded examples are augmented as a batch, and not one by one."""
        return not self.crops and (len(self.shape) != 3 or self.shape[0] * self.shape[1] < BATCHWISE)

    @property
    def enlarged(self) -> int:
        """The shorter side of an image of which a window of fixed scale is cut."""
        return round(self.shape[0] * (1 + self.augmentation.margin))

    def batch(self, examples: dict[str, tf.Tensor], draws: tf.Tensor | None) -> tuple:
        """Decoded examples to (inputs, targets); `draws` (batch, DRAWS) if they are for training."""
        examples = self._scaled(examples)
        if len(self.shape) == 3:
            examples = self.fitted(examples)
        return self._finished(self._augmented(examples, draws))

    def example(self, example: dict[str, tf.Tensor], draws: tf.Tensor | None) -> tuple:
        """One example, perhaps encoded, to (input, target); `draws` (DRAWS,) if it is for training."""
        if draws is not None and self.crops:
            example = self._cropped(example, draws)
        else:
            example = self._scaled(self.decoded(example, cached=draws is not None))
            example = self.fitted(example) if len(self.shape) == 3 else example
        one = {name: value[None] for name, value in example.items()}
        finished = self._finished(self._augmented(one, None if draws is None else draws[None]))
        return tf.nest.map_structure(lambda value: value[0], finished)

    def decoded(self, example: dict[str, tf.Tensor], cached: bool = False) -> dict[str, tf.Tensor]:
        """An example with its image and its mask as pixels."""
        kept = {name: example[name] for name in INPUT_AND_TARGETS if name in example}
        if kept["image"].dtype == tf.string:
            decode = functools.partial(self._whole, example)
            kept["image"] = self.cache(example["index"], decode, self.shape[-1]) if cached else decode()
        if "mask" in kept and kept["mask"].dtype == tf.string:
            mask = decoding.decode_mask(kept["mask"], example["mask_decoder"], example.get("mask_path"))
            kept["mask"] = mask - self.mask_first  # 0 below the first class wraps to IGNORE_LABEL
        return kept

    def finished(self, examples: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """A batch of decoded examples that are not augmented, with "inputs" and "targets" in the place of "image"."""
        inputs, targets = self.batch(examples, None)
        rest = {name: value for name, value in examples.items() if name != "image"}
        return rest | {"inputs": inputs, "targets": targets}

    def fitted(self, examples: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Images with their masks and boxes, one or a batch, at the network's size, their aspect kept."""
        height, width = (tf.shape(examples["image"])[axis] for axis in (-3, -2))
        if examples["image"].shape[-3:-1] != self.shape[:2]:
            size = {"height": self.shape[0], "width": self.shape[1], f"{self.fit}_to_aspect_ratio": True}
            resize = keras.layers.Resizing(**size, antialias=True, dtype="float32")
            examples = examples | {"image": resize(examples["image"])}
            if "mask" in examples:
                nearest = keras.layers.Resizing(
                    **size, interpolation="nearest", fill_value=IGNORE_LABEL, dtype="float32"
                )
                examples["mask"] = tf.cast(nearest(examples["mask"]), tf.int32)
        if "boxes" in examples:  # as that layer rounds: the same number of whole pixels at both ends
            shorter, longer = tf.minimum(height, width), tf.maximum(height, width)
            if self.fit == "crop":
                start, extent = ((height - shorter) // 2, (width - shorter) // 2), (shorter, shorter)
            else:
                start = (-((longer - height) // 2), -((longer - width) // 2))
                extent = (height - 2 * start[0], width - 2 * start[1])
            window = tf.stack([*start, *extent]) / tf.stack([height, width] * 2)
            examples = self._with_boxes(examples, examples["boxes"], window)
        return examples

    def _scaled(self, examples):
        low, high = self.value_range
        if (low, high) == (0, 255):
            return examples
        return examples | {"image": (tf.cast(examples["image"], tf.float32) - low) * (255 / (high - low))}

    def _cropped(self, example, draws):
        """A random crop at the network's size."""
        side = self.shape[0]
        if self.augmentation.margin:
            pixels, window = self._window(example, draws)
        elif example["image"].dtype == tf.string:
            pixels, window = self._decoded_crop(example, draws)
        else:
            pixels, window = self._crop(self._scaled(example)["image"], draws)
        result = self.decoded(example | {"image": pixels})
        if not self.augmentation.margin:
            result["image"] = decoding.resize(pixels, side, smoothed=self.largest is None or self.largest > 2 * side)
        if "mask" in result:
            scale = tf.cast(tf.tile(tf.shape(result["mask"])[:2], [2]), tf.float32)
            y, x, height, width = tf.unstack(tf.cast(tf.round(window * scale), tf.int32))
            mask = result["mask"][y : y + tf.maximum(height, 1), x : x + tf.maximum(width, 1)]
            result["mask"] = tf.cast(tf.image.resize(mask, (side, side), "nearest"), tf.int32)
        if "boxes" in result:
            result = self._with_boxes(result, result["boxes"], window)
        return result

    def _window(self, example, draws):
        """A window at a random place of the image at a fixed scale, and the window in shares of that image."""

        def at_scale():
            decoded = self._reduced(example, self.enlarged, 1.0) if example["image"].dtype == tf.string else None
            return decoding.at_scale(self._scaled(example)["image"] if decoded is None else decoded, self.enlarged)

        pixels = self.cache(example["index"], at_scale, self.shape[-1])
        shape, side = tf.shape(pixels)[:2], self.shape[0]
        chance = tf.stack([draws[column.CROP_Y], draws[column.CROP_X]])
        y, x = tf.unstack(tf.cast(tf.floor(chance * tf.cast(shape - side + 1, tf.float32)), tf.int32))
        window = tf.ensure_shape(pixels[y : y + side, x : x + side], (side, side, None))
        return window, _share(tf.stack([y, x, side, side]), shape)

    def _whole(self, example):
        """A whole encoded image."""
        return decoding.decode(_encoded(example), example["decoder"], example.get("image_path"), self.shape[-1])

    def _reduced(self, example, side, area):
        """A whole encoded image; a JPEG as small as crops of that share of its area allow."""

        def jpeg():
            ratio, _ = decoding.reduced(_jpeg_shape(example), side, area)
            return decoding.decode_reduced(_encoded(example), ratio, self.shape[-1])

        return tf.cond(example["decoder"] == image_files.TF_JPEG, jpeg, functools.partial(self._whole, example))

    def _decoded_crop(self, example, draws):
        """A crop of an encoded image: of a JPEG that is not kept in the cache only that part is decoded."""
        side, area, channels = self.shape[0], self.augmentation.scale[0], self.shape[-1]

        def part():
            shape, ratio = _jpeg_shape(example), None
            if self.largest is None or self.largest >= 2 * side:  # else none is decoded smaller
                ratio, shape = decoding.reduced(shape, side, area)
            window = crop_window(shape[0], shape[1], draws, self.augmentation)
            return decoding.decode_crop(_encoded(example), ratio, window, channels), _share(window, shape)

        def whole():
            decode = functools.partial(self._reduced, example, side, area)
            return self._crop(self.cache(example["index"], decode, channels), draws)

        if self.plain:  # a choice that is not in the graph takes no time
            return part()
        return tf.cond(
            (example["decoder"] == image_files.TF_JPEG) & (example["index"] >= self.cache.first), part, whole
        )

    def _crop(self, pixels, draws):
        """A random crop of decoded pixels, and its window in shares of the image."""
        shape = tf.shape(pixels)[:2]
        window = crop_window(shape[0], shape[1], draws, self.augmentation)
        y, x, height, width = tf.unstack(window)
        return pixels[y : y + height, x : x + width], _share(window, shape)

    def _with_boxes(self, examples, boxes, window):
        """The boxes of a window of the image (y, x, height, width in shares of it) that is resized to the size."""
        boxes, keep = crop_boxes(boxes, window, *self.shape[:2])
        return examples | {"boxes": boxes, "labels": tf.where(keep, tf.cast(examples["labels"], tf.int32), -1)}

    def _augmented(self, examples, draws):
        examples = examples | {"image": tf.cast(examples["image"], tf.float32)}
        if draws is None:
            return examples
        if len(self.shape) == 2:
            return examples | {"image": augment_waveforms(examples["image"], draws, self.augmentation)}
        if len(self.shape) == 4:
            return examples | {"image": augment_volumes(examples["image"], draws, self.augmentation)}
        moved = augment(
            examples["image"],
            draws,
            self.augmentation,
            fill_mode=self.fill_mode,
            masks=examples.get("mask"),
            boxes=examples.get("boxes"),
        )
        if not isinstance(moved, dict):
            return examples | {"image": moved}
        result = examples | {"image": moved["images"]}
        if "masks" in moved:
            result["mask"] = moved["masks"]
        if "boxes" in moved:
            result |= {"boxes": moved["boxes"], "labels": tf.where(moved["keep"], examples["labels"], -1)}
        return result

    def _finished(self, examples):
        """Standardised inputs, and the targets of the task."""
        # Whole rows at once: with a factor a channel, TensorFlow's CPU kernel takes as long as a JPEG to decode.
        *outer, width, channels = self.shape
        mean, std = (np.tile(np.asarray(values, "float32"), width) for values in (self.mean, self.std))
        rows = tf.reshape(examples["image"], (-1, *outer, width * channels))
        inputs = tf.reshape(rows * (1 / (255 * std)) - mean / std, (-1, *self.shape))
        if self.task == "classification":
            return inputs, tf.one_hot(examples["label"], self.num_classes)
        if self.task == "segmentation":
            return inputs, tf.squeeze(tf.cast(examples["mask"], tf.int32), -1)
        if self.task == "detection":
            return inputs, {"boxes": examples["boxes"], "labels": examples["labels"]}
        return inputs, inputs


def _encoded(example):
    """The bytes of an example's image."""
    return tf.io.read_file(example["image_path"]) if "image_path" in example else example["image"]


def _jpeg_shape(example):
    """Height and width, known from the scan; of a stream's example from its header."""
    return example["shape"] if "shape" in example else tf.io.extract_jpeg_shape(example["image"])[:2]


def _share(window, shape):
    return tf.cast(window, tf.float32) / tf.cast(tf.tile(shape, [2]), tf.float32)
