"""RandAugment (Cubuk et al. 2019, arXiv:1909.13719): a few operations of one strength, drawn for each image.

The fourteen operations of the paper, all growing with the magnitude as torchvision's do (its 0 ... 30 is 0 ... 10 here,
its shift of 150 / 331 is 0.45). Those that move pixels are matrices, for the one resampling of `augment`; those that
change colours follow.
"""

from __future__ import annotations

import math

import tensorflow as tf

from pipelines.augmentation import colour, geometry, partition
from pipelines.augmentation import draws as column

MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
COLOURS = ("brightness", "saturation", "contrast", "sharpness", "posterize", "solarize", "auto_contrast", "equalize")
OPERATIONS = (*MOVES, "identity", *COLOURS)
# At magnitude 10, either way:
SHEAR = 0.3
TRANSLATE = 0.45
ROTATE = math.radians(30)
ENHANCE = 0.9


def move(
    matrices: tf.Tensor,
    draws: tf.Tensor,
    height: int,
    width: int,
    operations: int,
    magnitude: float,
    deviation: float = 0.0,
) -> tf.Tensor:
    """The matrices, followed by the drawn operations that move pixels: float32 (batch, 3, 3)."""
    for k in range(operations):
        drawn, strength = _draw_operation(draws, k, magnitude, deviation)
        by = {name: tf.where(drawn == number, strength, 0.0) for number, name in enumerate(OPERATIONS) if name in MOVES}
        cos = tf.cos(ROTATE * by["rotate"])
        sin = tf.sin(ROTATE * by["rotate"])
        right = TRANSLATE * width * by["translate_x"]
        down = TRANSLATE * height * by["translate_y"]
        # At most one strength is not zero, so that shear and rotation can share the matrix.
        shear_x = SHEAR * by["shear_x"]
        shear_y = SHEAR * by["shear_y"]
        matrices = matrices @ geometry.matrix(cos, shear_x - sin, right, shear_y + sin, cos, down)
    return matrices


def recolour(
    images: tf.Tensor, draws: tf.Tensor, operations: int, magnitude: float, deviation: float = 0.0
) -> tf.Tensor:
    """The images after the drawn operations that change colours, in the order drawn."""

    def share(strength: tf.Tensor) -> float | tf.Tensor:
        return tf.abs(strength)[:, None, None, None] if deviation else magnitude / 10

    def rounded(number: float | tf.Tensor) -> float | tf.Tensor:
        return tf.round(number) if deviation else round(number)

    changes = {
        "brightness": lambda images, strength: colour.brightness(images, 1 + ENHANCE * strength),
        "saturation": lambda images, strength: colour.saturation(images, 1 + ENHANCE * strength),
        "contrast": lambda images, strength: colour.contrast(images, 1 + ENHANCE * strength),
        "sharpness": lambda images, strength: colour.sharpness(images, 1 + ENHANCE * strength),
        "posterize": lambda images, strength: colour.posterize(images, 8 - rounded(4 * share(strength))),
        "solarize": lambda images, strength: colour.solarize(images, 255 * (1 - share(strength))),
        "auto_contrast": lambda images, strength: colour.auto_contrast(images),
        "equalize": lambda images, strength: colour.equalize(images),
    }
    for k in range(operations):
        drawn, strength = _draw_operation(draws, k, magnitude, deviation)
        choice = tf.maximum(drawn - OPERATIONS.index("identity"), 0)
        images = partition.change(images, choice, [changes[name] for name in COLOURS], strength)
    return images


def _draw_operation(draws: tf.Tensor, k: int, magnitude: float, deviation: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The k-th operation of each image, int32 (batch,), and its strength in -1 ... 1, float32 (batch,).

    The first bit of a draw decides the direction, the others a magnitude that varies: normal, clipped to 0 ... 10.
    """
    drawn = tf.cast(draws[:, column.OPERATION[k]] * len(OPERATIONS), tf.int32)
    chance = draws[:, column.DIRECTION[k]]
    share: float | tf.Tensor = magnitude / 10
    if deviation:
        normal = tf.math.ndtri(2 * chance - tf.floor(2 * chance))
        share = tf.clip_by_value(magnitude + deviation * normal, 0.0, 10.0) / 10
    return drawn, tf.where(chance < 0.5, -share, share)
