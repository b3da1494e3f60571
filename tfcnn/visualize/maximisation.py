"""Images that excite a map most, found by gradient ascent in plain pixels or in Fourier coefficients.

Olah, Mordvintsev & Schubert, "Feature visualization", Distill, 2017. Plain pixels run into high frequencies that no
photograph has. Fourier coefficients scaled by the amplitudes of photographs, 1 / frequency, and colours along the
axes of their correlation are the same images in other coordinates, in which ascent goes to smooth ones first. Shifts,
scaling and rotation before each step leave only what survives them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfcnn.visualize.points import Network, Target

FORMS = ("fourier", "plain")
# The root of the covariance of the colours of ImageNet's pixels, as the authors' package lucid 0.3 has it.
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], "float32")
COLOURS /= np.linalg.norm(COLOURS, axis=0).max()


class Motion(NamedTuple):
    """The random motions before each step.

    Attributes:
        jitter: pixels along each axis, at most.
        scale: of the size, at most: 0.1 means from 1 / 1.1 to 1.1.
        rotation: degrees to either side, at most.
    """

    jitter: float = 8.0
    scale: float = 0.1
    rotation: float = 8.0


STILL = Motion(0, 0, 0)


class Standard(NamedTuple):
    """How pixels from 0 to 1 become the network's inputs: (pixels - mean) / std, a number or one for each channel."""

    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)


def maximise(
    model: keras.Model,
    layer: str | None,
    channels: Sequence[int],
    standard: Standard,
    *,
    size: int = 128,
    form: str = "fourier",
    steps: int = 128,
    seed: int = 0,
) -> np.ndarray:
    """Draw the images that excite channels of a layer most, in the mean over their places.

    Adam with a rate of 0.05, as the authors' package. The form "plain" ascends in the pixels, without motion; "fourier"
    in the coefficients, with `Motion()`.

    Args:
        model: as of `points.Network`. With a dense layer after Flatten it takes images of its input's size alone.
        layer: name of a layer; None: the network's output, before its softmax.
        channels: of the layer, an image each.
        standard: of the network's inputs.
        size: side of the images, in pixels.
        form: one of FORMS.
        steps: of the ascent.
        seed: of the start and the motions.

    Returns:
        float32 (channels, size, size, image channels), from 0 to 1.

    Raises:
        ValueError: an unknown form, layer or channel.
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got '{form}'")
    network = Network(model, "redirected")
    depth = int(network.graph.inputs[0].shape[-1])
    target = Target(layer)
    largest = int(network.point(layer).shape[-1])
    if not all(0 <= channel < largest for channel in channels):
        raise ValueError(f"{layer or 'the output'} has channels 0 to {largest - 1}, got {list(channels)} (--channels)")
    numbers = np.array(channels)
    rng = np.random.default_rng(seed)
    mean = np.array(standard.mean, "float32")
    std = np.array(standard.std, "float32")
    fourier = form == "fourier"
    shape = (2, len(numbers), depth, size, size // 2 + 1) if fourier else (len(numbers), size, size, depth)
    values = tf.Variable(rng.normal(0, 0.01, shape), dtype=tf.float32)
    optimizer = keras.optimizers.Adam(0.05)

    @tf.function
    def step(motion: Any) -> None:
        with tf.GradientTape() as tape:
            pixels = to_pixels(values, size) if fourier else tf.sigmoid(values)
            moved = move(pixels, motion) if fourier else pixels
            score = tf.reduce_sum(network.read((moved - mean) / std, target, numbers)[0])
        optimizer.apply([-tape.gradient(score, values)], [values])  # of the score: "redirected" is for ascent

    for _ in range(steps):
        step(tf.constant(draw_motion(rng, Motion(), size)))
    pixels = to_pixels(values, size) if fourier else tf.sigmoid(values)
    return pixels.numpy()


def to_pixels(spectrum: Any, size: int) -> Any:
    """Pixels from 0 to 1 of coefficients.

    Args:
        spectrum: (2, images, channels, size, size // 2 + 1): real and imaginary parts, before the scaling by 1 /
            frequency; of three channels along the axes of the colours' correlation.
        size: side of the images.

    Returns:
        (images, size, size, channels).
    """
    frequencies = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    amplitudes = size / np.maximum(frequencies, 1 / size)
    scaled = tf.complex(spectrum[0], spectrum[1]) * tf.constant(amplitudes, tf.complex64)
    planes = tf.transpose(tf.signal.irfft2d(scaled, [size, size]), (0, 2, 3, 1)) / 4  # as lucid
    if planes.shape[-1] == 3:
        planes = tf.einsum("nhwc,dc->nhwd", planes, COLOURS)
    return tf.sigmoid(planes)


def draw_motion(rng: np.random.Generator, motion: Motion, size: int) -> np.ndarray:
    """A random motion as the eight numbers of TensorFlow's projective transformation, about the image's centre."""
    factor = (1 + motion.scale) ** rng.uniform(-1, 1)
    angle = math.radians(motion.rotation) * rng.uniform(-1, 1)
    shift = rng.uniform(-motion.jitter, motion.jitter, 2)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / factor
    centre = np.full(2, (size - 1) / 2)
    offset = centre - turn @ centre + shift
    return np.array([*turn[0], offset[0], *turn[1], offset[1], 0, 0], "float32")


def move(pixels: Any, motion: Any) -> Any:
    """The images (images, size, size, channels) moved, bilinear, mirrored at the border."""
    size = tf.shape(pixels)[1:3]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=motion[None],
        output_shape=size,
        fill_value=0.5,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
