"""From the outputs of a detection network to boxes: the same graph in evaluation, prediction and the exported model."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfcnn.detection.boxes import LARGEST_SCALING
from tfcnn.detection.examples import Example, pad
from tfcnn.detection.targets import STD
from tfcnn.layers import WarpRegions2D

LEAST_SCORE = 0.05  # of a detection
SUPPRESSION = 0.3  # IoU from which the better of two boxes of a class removes the other
MOST = 100  # detections in an image
BATCH = 8  # images at once; of R-CNN one, whose work would grow with the padding


Detect = Callable[[Iterable[Example]], list[dict[str, np.ndarray]]]


class Detections(NamedTuple):
    """The detections of a batch of images, the best first, in rows of equal length."""

    boxes: tf.Tensor  # float32 (batch, n, 4) as x1, y1, x2, y2 in pixels
    scores: tf.Tensor  # float32 (batch, n), 0 ... 1
    classes: tf.Tensor  # int32 (batch, n); -1 where an image has no more detections


class Candidates(NamedTuple):
    """A box and a score for each region and class; the score of padding is 0."""

    boxes: tf.Tensor  # float32 (batch, r, K, 4) as x1, y1, x2, y2 in pixels
    scores: tf.Tensor  # float32 (batch, r, K), 0 ... 1


def detect(
    model: keras.Model, images: tf.Tensor, regions: tf.Tensor, regression: bool = True, margins: bool | None = None
) -> Detections:
    """The objects in a batch of images: the candidates of each class that non-maximum suppression leaves.

    Args:
        model, images, regions, regression, margins: as for `candidates`.
    """
    found = candidates(model, images, regions, regression, margins)
    return suppress(found.boxes, found.scores)


def candidates(
    model: keras.Model, images: tf.Tensor, regions: tf.Tensor, regression: bool = True, margins: bool | None = None
) -> Candidates:
    """A box and a score for each region and class: the softmax of Fast R-CNN, or the logistic of the margins of R-CNN's
    SVMs.

    Args:
        model: of `tfcnn.models.detection`.
        images: float32 (batch, height, width, channels), standardised.
        regions: float32 (batch, r, 4) as x1, y1, x2, y2 in pixels; rows of -1 are padding.
        regression: False leaves each box at its region.
        margins: whether the scores of classes are margins; default: as `has_margins`. Those of R-CNN are the logits of
            a softmax until its SVMs are fitted.
    """
    margins = has_margins(model) if margins is None else margins
    outputs = model([images, regions], training=False)
    classes = (outputs.shape[-1] - 1) // 5
    scores = outputs[..., : classes + 1]
    scores = (tf.sigmoid(scores) if margins else tf.nn.softmax(scores))[..., :-1]
    is_region = tf.reduce_any(regions != -1, axis=-1, keepdims=True)
    shape = tf.shape(regions)
    if regression:
        deltas = tf.reshape(outputs[..., classes + 1 :], (shape[0], shape[1], classes, 4)) * STD
        boxes = move(deltas, regions[:, :, None])
    else:
        boxes = tf.tile(regions[:, :, None], (1, 1, classes, 1))
    height, width = images.shape[1:3]
    boxes = tf.clip_by_value(boxes, 0.0, tf.constant([width, height, width, height], tf.float32))
    return Candidates(boxes, tf.where(is_region, scores, 0.0))


def has_margins(model: keras.Model) -> bool:
    """Whether the scores of classes are margins of SVMs: of R-CNN, which warps regions, as it is kept."""
    return any(isinstance(layer, WarpRegions2D) for layer in model.layers)


def detector_of(model: keras.Model, regression: bool = True, margins: bool | None = None) -> Detect:
    """A function from images with their regions to the objects in each, which is traced once.

    Args:
        model, regression, margins: as for `detect`.

    Returns:
        A function of examples. It returns for each image "boxes" float32 (n, 4), "scores" float32 (n,) and "labels"
        int32 (n,), the best first, with the weights that the model has when it is called.
    """
    specs = [tf.TensorSpec(spec.shape, tf.float32) for spec in model.inputs]

    @functools.partial(tf.function, autograph=False, input_signature=specs)
    def detect_batch(images: tf.Tensor, regions: tf.Tensor) -> Detections:
        return detect(model, images, regions, regression, margins)

    size = 1 if has_margins(model) else BATCH

    def detect_examples(examples: Iterable[Example]) -> list[dict[str, np.ndarray]]:
        rows = []
        rest = iter(examples)
        while batch := list(itertools.islice(rest, size)):
            images = tf.constant(np.stack([example.image for example in batch]))
            rows += rows_of(detect_batch(images, tf.constant(pad([example.regions for example in batch]))))
        return rows

    return detect_examples


def rows_of(detections: Detections) -> list[dict[str, np.ndarray]]:
    """For each image "boxes" float32 (n, 4), "scores" float32 (n,) and "labels" int32 (n,), without padding."""
    rows = []
    for boxes, scores, classes in zip(*(values.numpy() for values in detections), strict=True):
        count = int((classes >= 0).sum())
        rows.append({"boxes": boxes[:count], "scores": scores[:count], "labels": classes[:count]})
    return rows


def detect_all(model: keras.Model, examples: Iterable[Example], regression: bool = True) -> list[dict[str, np.ndarray]]:
    """The objects in each image of many, as the function of `detector_of` returns them."""
    return detector_of(model, regression)(examples)


def move(deltas: tf.Tensor, regions: tf.Tensor) -> tf.Tensor:
    """`boxes.decode` in TensorFlow: (..., 4), (..., 4) -> (..., 4)."""
    corner, opposite = regions[..., :2], regions[..., 2:]
    sides = opposite - corner
    centres = (corner + opposite) / 2 + deltas[..., :2] * sides
    halves = sides * tf.exp(tf.minimum(deltas[..., 2:], LARGEST_SCALING)) / 2
    return tf.concat([centres - halves, centres + halves], -1)


def suppress(boxes: tf.Tensor, scores: tf.Tensor) -> Detections:
    """Non-maximum suppression within each class: boxes (batch, r, K, 4), scores (batch, r, K)."""
    kept = tf.image.combined_non_max_suppression(boxes, scores, MOST, MOST, SUPPRESSION, LEAST_SCORE, clip_boxes=False)
    is_detection = tf.sequence_mask(kept.valid_detections, MOST)
    return Detections(
        kept.nmsed_boxes, kept.nmsed_scores, tf.where(is_detection, tf.cast(kept.nmsed_classes, tf.int32), -1)
    )
