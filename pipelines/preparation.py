"""From an example as it is stored to the input and target of a network.

    images             decode -> crop at random, or fit to the size -> augment -> 0 ... 1 -> standardise
    sounds, volumes                                                    augment -> 0 ... 1 -> standardise

Masks and boxes follow their image. Images are in 0 ... 255 until the end.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipelines import decoding, fitting
from pipelines.augmentation import draws as column
from pipelines.augmentation.augment import augment, augment_volumes, augment_waveforms
from pipelines.augmentation.geometry import crop_boxes, crop_window
from pipelines.augmentation.policy import Augmentation
from pipelines.pixels import FULL_SCALE
from pipelines.readers import image_files
from pipelines.sources import Cache
from pipelines.targets import IGNORE_LABEL

BATCHWISE = 128 * 128  # pixels: larger images are augmented one by one, because memory bandwidth limits a batch
INPUT_AND_TARGETS = ("image", "label", "mask", "boxes", "labels")

Example = dict[str, tf.Tensor]  # one example, or a batch of them


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How the examples of one data set are prepared.

    Args:
        task: "classification", "segmentation", "detection" or "reconstruction".
        shape: of the network's input: (height, width, channels), or that of a sound or a volume.
        num_classes: of the targets.
        fit: how an image that is not cropped at random gets that size: one of `fitting.FITS`.
        augmentation: of training examples.
        fill_mode: what lies outside an image that is moved: "CONSTANT" (0) or "REFLECT".
        value_range: of the raw values, which becomes 0 ... 1.
        mask_table: the class of each of the 256 values of encoded masks; None: the value.
        mean, std: of each channel, in 0 ... 1.
        cache: of decoded training images.
        spare: times that the largest training image holds the input, along height or width, the lesser; None: unknown.
        plain: whether all training images are JPEGs that TensorFlow decodes, and none is cached.
        white_level: the 16-bit grey sample of a file that becomes 255.
        mask_places: for each axis of the masks the places that the network predicts; None: all.
    """

    task: str
    shape: tuple[int, ...]
    num_classes: int
    fit: str
    augmentation: Augmentation
    fill_mode: str
    value_range: tuple[float, float]
    mask_table: tuple[int, ...] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    cache: Cache
    spare: float | None = None
    plain: bool = False
    white_level: int = FULL_SCALE
    mask_places: tuple[tuple[int, ...], ...] | None = None

    @property
    def crops(self) -> bool:
        """Whether training images are cropped at random."""
        return len(self.shape) == 3 and (self.augmentation.scale != (1.0, 1.0) or self.augmentation.margin > 0)

    @property
    def batchwise(self) -> bool:
        """Whether decoded examples are augmented as a batch, and not one by one."""
        return not self.crops and (len(self.shape) != 3 or self.shape[0] * self.shape[1] < BATCHWISE)

    @property
    def enlarged(self) -> tuple[int, int]:
        """The height and width that the resized image covers which a window of fixed scale is cut from."""
        height, width = (round(side * (1 + self.augmentation.margin)) for side in self.shape[:2])
        return height, width

    @property
    def keeps_aspect(self) -> bool:
        """Whether an image of another aspect than the network's input is not distorted."""
        return self.fit != "squash"

    def prepare_batch(self, examples: Example, draws: tf.Tensor | None) -> tuple:
        """Decoded examples to (inputs, targets); `draws` (batch, DRAWS) if they are for training."""
        examples = self._scale(examples)
        if len(self.shape) == 3:
            examples = self.fit_to_size(examples)
        return self._standardise(self._augment(examples, draws))

    def prepare_example(self, example: Example, draws: tf.Tensor | None) -> tuple:
        """One example, perhaps encoded, to (input, target); `draws` (DRAWS,) if it is for training."""
        if draws is not None and self.crops:
            example = self._crop_at_random(example, draws)
        else:
            example = self._scale(self.decode(example, cached=draws is not None))
            if len(self.shape) == 3:
                example = self.fit_to_size(example)
        batch = {name: value[None] for name, value in example.items()}
        pair = self._standardise(self._augment(batch, None if draws is None else draws[None]))
        return tf.nest.map_structure(lambda value: value[0], pair)

    def decode(self, example: Example, cached: bool = False) -> Example:
        """Decode the image and the mask of an example, the image through the cache if it is `cached`."""
        decoded = {name: example[name] for name in INPUT_AND_TARGETS if name in example}
        if decoded["image"].dtype == tf.string:
            decode = functools.partial(self._decode_whole, example)
            decoded["image"] = self.cache(example["index"], decode, self.shape[-1]) if cached else decode()
        if "mask" in decoded and decoded["mask"].dtype == tf.string:
            mask = decoding.decode_mask(decoded["mask"], example["mask_decoder"])
            if self.mask_table is not None:
                mask = tf.gather(tf.constant(self.mask_table, tf.uint8), tf.cast(mask, tf.int32))
            decoded["mask"] = mask
        return decoded

    def finish(self, examples: Example) -> Example:
        """Prepare a batch of decoded examples without augmentation: "inputs" and "targets" replace "image"."""
        inputs, targets = self.prepare_batch(examples, None)
        rest = {name: value for name, value in examples.items() if name != "image"}
        return rest | {"inputs": inputs, "targets": targets}

    def fit_to_size(self, examples: Example) -> Example:
        """Resize images with their masks and boxes, one or a batch, to the network's size, by `fit`."""
        shape = tf.shape(examples["image"])[-3:-1]
        height, width, _ = self.shape
        if examples["image"].shape[-3:-1] != self.shape[:2]:
            examples = examples | {"image": fitting.fit_images(examples["image"], height, width, self.fit)}
            if "mask" in examples:
                examples["mask"] = fitting.fit_masks(examples["mask"], height, width, self.fit)
        if "boxes" in examples:
            start, extent = fitting.frame(shape, height, width, self.fit)
            window = tf.cast(tf.concat([start, extent], 0) / tf.tile(shape, [2]), tf.float32)
            examples = self._with_boxes(examples, examples["boxes"], window)
        return examples

    def _scale(self, examples: Example) -> Example:
        """Bring the raw values to 0 ... 255."""
        low, high = self.value_range
        if (low, high) == (0, 255):
            return examples
        return examples | {"image": (tf.cast(examples["image"], tf.float32) - low) * (255 / (high - low))}

    def _crop_at_random(self, example: Example, draws: tf.Tensor) -> Example:
        """Crop an image with its mask and boxes, to the network's size."""
        size = self.shape[:2]
        if self.augmentation.margin:
            pixels, window = self._crop_window_of_fixed_scale(example, draws)
        elif example["image"].dtype == tf.string:
            pixels, window = self._decode_crop(example, draws)
        else:
            pixels, window = self._crop(self._scale(example)["image"], draws)
        result = self.decode(example | {"image": pixels})
        if not self.augmentation.margin:
            result["image"] = decoding.resize_crop(pixels, size, smoothed=self.spare is None or self.spare > 2)
        if "mask" in result:
            scale = tf.cast(tf.tile(tf.shape(result["mask"])[:2], [2]), tf.float32)
            y, x, height, width = tf.unstack(tf.cast(tf.round(window * scale), tf.int32))
            mask = result["mask"][y : y + tf.maximum(height, 1), x : x + tf.maximum(width, 1)]
            result["mask"] = tf.cast(tf.image.resize(mask, size, "nearest"), tf.int32)
        if "boxes" in result:
            result = self._with_boxes(result, result["boxes"], window)
        return result

    def _crop_window_of_fixed_scale(self, example: Example, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A window at a random place of the image at a fixed scale, and the window in shares of that image."""

        def decode() -> tf.Tensor:
            if example["image"].dtype == tf.string:
                pixels = self._decode_reduced(example, self.enlarged, 1.0)
            else:
                pixels = self._scale(example)["image"]
            return decoding.shrink_to_cover(pixels, self.enlarged, self.keeps_aspect)

        pixels = self.cache(example["index"], decode, self.shape[-1])
        shape = decoding.covering_shape(pixels, self.enlarged, self.keeps_aspect)
        size = self.shape[:2]
        chance = tf.stack([draws[column.CROP_Y], draws[column.CROP_X]])
        start = tf.cast(tf.floor(chance * tf.cast(shape - size + 1, tf.float32)), tf.int32)
        window = decoding.crop_resized(pixels, shape, start, size)
        return window, _share(tf.concat([start, size], 0), shape)

    def _decode_whole(self, example: Example) -> tf.Tensor:
        """Decode a whole image."""
        return decoding.decode(_encoded(example), example["decoder"], self.shape[-1], self.white_level)

    def _decode_reduced(self, example: Example, size: Sequence[int], area: float) -> tf.Tensor:
        """Decode a whole image; a JPEG as small as crops of that share of its area allow."""

        def decode_jpeg() -> tf.Tensor:
            ratio, _ = decoding.choose_ratio(_jpeg_shape(example), size, area)
            return decoding.decode_reduced(_encoded(example), ratio, self.shape[-1])

        return tf.cond(
            example["decoder"] == image_files.TF_JPEG, decode_jpeg, functools.partial(self._decode_whole, example)
        )

    def _decode_crop(self, example: Example, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A crop of an encoded image, and its window in shares of the image. Of an uncached JPEG no more is decoded."""
        size = self.shape[:2]
        channels = self.shape[-1]
        area = self.augmentation.scale[0]

        def decode_part() -> tuple[tf.Tensor, tf.Tensor]:
            shape = _jpeg_shape(example)
            ratio = None
            if self.spare is None or self.spare >= 2:  # else none is decoded smaller
                ratio, shape = decoding.choose_ratio(shape, size, area)
            window = self._crop_window(shape, draws)
            return decoding.decode_crop(_encoded(example), ratio, window, channels), _share(window, shape)

        def decode_whole() -> tuple[tf.Tensor, tf.Tensor]:
            decode = functools.partial(self._decode_reduced, example, size, area)
            return self._crop(self.cache(example["index"], decode, channels), draws)

        if self.plain:  # a choice that is not in the graph takes no time
            return decode_part()
        return tf.cond(
            (example["decoder"] == image_files.TF_JPEG) & (example["index"] >= self.cache.first),
            decode_part,
            decode_whole,
        )

    def _crop(self, pixels: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A random crop of decoded pixels, and its window in shares of the image."""
        shape = tf.shape(pixels)[:2]
        window = self._crop_window(shape, draws)
        y, x, height, width = tf.unstack(window)
        return pixels[y : y + height, x : x + width], _share(window, shape)

    def _crop_window(self, shape: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """A random window of an image of `shape`, whose aspect is that of the input, or squashed the image's."""
        height, width = self.shape[:2]
        aspect = width / height if self.keeps_aspect else tf.cast(shape[1] / shape[0], tf.float32)
        return crop_window(shape[0], shape[1], draws, self.augmentation, aspect)

    def _with_boxes(self, examples: Example, boxes: tf.Tensor, window: tf.Tensor) -> Example:
        """Move the boxes to a window of the image (y, x, height, width in its shares) that is resized to the size."""
        boxes, keep = crop_boxes(boxes, window, *self.shape[:2])
        return examples | {"boxes": boxes, "labels": tf.where(keep, tf.cast(examples["labels"], tf.int32), -1)}

    def _augment(self, examples: Example, draws: tf.Tensor | None) -> Example:
        """Augment a batch at the network's size; no draws, no augmentation."""
        examples = examples | {"image": tf.cast(examples["image"], tf.float32)}
        if draws is None:
            return examples
        if len(self.shape) == 2:
            low, high = self.value_range
            silence = max(0.0, -255 * low / (high - low))  # where 0 has come to by `_scale`
            waveforms = augment_waveforms(examples["image"], draws, self.augmentation, silence)
            return examples | {"image": waveforms}
        if len(self.shape) == 4:
            moved = {"image": augment_volumes(examples["image"], draws, self.augmentation)}
            if "mask" in examples:
                mask = tf.cast(examples["mask"], tf.int32)
                moved["mask"] = augment_volumes(mask, draws, self.augmentation, IGNORE_LABEL)
            return examples | moved
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

    def _standardise(self, examples: Example) -> tuple:
        """(standardised inputs, the targets of the task)."""
        # Whole rows at once: with one factor a channel, TensorFlow's CPU kernel takes as long as decoding a JPEG.
        *outer, width, channels = self.shape
        mean, std = (np.tile(np.asarray(values, "float32"), width) for values in (self.mean, self.std))
        rows = tf.reshape(examples["image"], (-1, *outer, width * channels))
        inputs = tf.reshape(rows * (1 / (255 * std)) - mean / std, (-1, *self.shape))
        if self.task == "classification":
            return inputs, tf.one_hot(examples["label"], self.num_classes)
        if self.task == "segmentation":
            mask = tf.squeeze(tf.cast(examples["mask"], tf.int32), -1)
            for axis, places in enumerate(self.mask_places or (), start=1):
                mask = tf.gather(mask, places, axis=axis)
            return inputs, mask
        if self.task == "detection":
            return inputs, {"boxes": examples["boxes"], "labels": examples["labels"]}
        return inputs, inputs


def _encoded(example: Example) -> tf.Tensor:
    """The bytes of an example's image."""
    if "offset" in example:
        return decoding.read_bytes(example["image_path"], example["offset"], example["length"])
    return tf.io.read_file(example["image_path"]) if "image_path" in example else example["image"]


def _jpeg_shape(example: Example) -> tf.Tensor:
    """Height and width, from the scan of the files, or of a stream's example from its header."""
    return example["shape"] if "shape" in example else tf.io.extract_jpeg_shape(example["image"])[:2]


def _share(window: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """A window (y, x, height, width) in shares of a shape (height, width)."""
    return tf.cast(window, tf.float32) / tf.cast(tf.tile(shape, [2]), tf.float32)
