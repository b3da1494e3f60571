"""Which pixels a number of a network depends on: gradients by several rules, Grad-CAM, occlusion.

All take images as the network does (standardised), explain the class of the highest logit by default, and work on any
functional Keras model of images. The network is in inference. Softmax at the end of a network is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from tfcnn.arithmetic.integers import as_int
from tfcnn.visualize.points import Network, Target, map_names

CLASS = Target()


def gradient(model: keras.Model, images: np.ndarray, target: Target = CLASS) -> np.ndarray:
    """The derivative of the target in each value of the image.

    Simonyan, Vedaldi & Zisserman, "Deep inside convolutional networks", 2013, section 3.

    Args:
        model: as of `points.Network`.
        images: float (images, height, width, channels), standardised.
        target: what is explained.

    Returns:
        float32 (images, height, width, channels).

    Raises:
        ValueError: an unknown layer or channel, or a model that cannot be opened.
    """
    network = Network(model)
    return network.gradients(images, target, network.channels(images, target)).gradients[0]


def guided_backpropagation(model: keras.Model, images: np.ndarray, target: Target = CLASS) -> np.ndarray:
    """As `gradient`, where rectifiers let through only what is positive, forwards and backwards.

    Springenberg et al., "Striving for simplicity: the all convolutional net", 2014, section 3.4.

    Raises:
        ValueError: as `gradient`, or an activation that is no rectifier.
    """
    network = Network(model, "guided")
    return network.gradients(images, target, network.channels(images, target)).gradients[0]


def deconvnet(model: keras.Model, images: np.ndarray, target: Target) -> np.ndarray:
    """What in the image excites a map at its strongest place: the activation, projected back to pixels.

    Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2014, section 2.1: all other activations
    of the layer are set to 0; then, down to the pixels, poolings put values back to the switches of the forward pass,
    rectifiers rectify the reconstruction, and convolutions are transposed, with their own filters and no bias. Where
    windows of a pooling overlap and share their maximum, its values are added. Batch norm is transposed as it is in
    inference; local response normalisation is passed by.

    Args:
        model: as of `points.Network`.
        images: float (images, height, width, channels), standardised.
        target: a channel of a layer, read at its strongest place in any case.

    Returns:
        float32 (images, height, width, channels); zeros where the map is nowhere above 0.

    Raises:
        ValueError: as `guided_backpropagation`.
    """
    network = Network(model, "deconvnet")
    target = target._replace(strongest=True)
    result = network.gradients(images, target, network.channels(images, target))
    return np.maximum(result.scores, 0)[:, None, None, None] * result.gradients[0]


def smooth_grad(
    model: keras.Model,
    images: np.ndarray,
    target: Target = CLASS,
    *,
    samples: int = 32,
    noise: float = 0.15,
    seed: int = 0,
) -> np.ndarray:
    """The mean gradient over copies of the image with normal noise.

    Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.

    Args:
        model, images, target: as of `gradient`.
        samples: copies of each image.
        noise: standard deviation, as a share of the image's largest value less its smallest.
        seed: of the noise.

    Returns:
        float32 (images, height, width, channels).

    Raises:
        ValueError: as `gradient`.
    """
    samples = as_int(samples, "samples")
    rng = np.random.default_rng(seed)

    def disturb(image: np.ndarray) -> np.ndarray:
        return image + rng.normal(0, noise * (image.max() - image.min()), (samples, *image.shape))

    return _mean_gradients(model, images, target, disturb)


def integrated_gradients(
    model: keras.Model, images: np.ndarray, target: Target = CLASS, *, baseline: float = 0.0, steps: int = 64
) -> np.ndarray:
    """How much each value of the image adds to the target, from a baseline on; the sum is the target's difference.

    Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", 2017: the mean gradient along the straight line
    from the baseline, times the way. Midpoints of `steps` equal parts.

    Args:
        model, images, target: as of `gradient`.
        baseline: every value of the image it starts from; 0 is the mean of standardised images.
        steps: parts of the line.

    Returns:
        float32 (images, height, width, channels).

    Raises:
        ValueError: as `gradient`.
    """
    steps = as_int(steps, "steps")
    shares = ((np.arange(steps) + 0.5) / steps)[:, None, None, None]
    ways = images - baseline
    means = _mean_gradients(model, images, target, lambda image: baseline + shares * (image - baseline))
    return (means * ways).astype("float32")


def _mean_gradients(
    model: keras.Model, images: np.ndarray, target: Target, copies_of: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """For each image the mean gradient over its copies (copies, height, width, channels); the target is the image's."""
    network = Network(model)
    channels = network.channels(images, target)
    means = []
    for image, channel in zip(images, channels, strict=True):
        copies = copies_of(image)
        means.append(network.gradients(copies, target, np.full(len(copies), channel)).gradients[0].mean(0))
    return np.stack(means)


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    target: Target = CLASS,
    *,
    layer: str | None = None,
    signed: bool = False,
) -> np.ndarray:
    """Where in a layer's maps the evidence for the target lies.

    Selvaraju et al., "Grad-CAM", 2017, equations 1 and 2: the maps, each weighted with the mean over its places of the
    target's gradient, are added, and what is negative becomes 0.

    Args:
        model, images, target: as of `gradient`.
        layer: whose maps; default: the last before the classifier.
        signed: keep what is negative.

    Returns:
        float32 (images, rows, columns) of the layer's maps; `pictures.enlarge` brings them to the image's size.

    Raises:
        ValueError: as `gradient`, or no layer has maps.
    """
    if layer is None:
        names = map_names(model)
        if not names:
            raise ValueError(f"{model.name} has no maps before its classifier (--layer)")
        layer = names[-1]
    network = Network(model)
    result = network.gradients(images, target, network.channels(images, target), [layer])
    weights = result.gradients[0].mean((1, 2), keepdims=True)
    heat = (weights * result.points[0]).sum(-1)
    return heat if signed else np.maximum(heat, 0)


def occlusion(
    model: keras.Model,
    images: np.ndarray,
    target: Target = CLASS,
    *,
    window: int = 32,
    stride: int = 16,
    fill: float = 0.0,
) -> np.ndarray:
    """How far the target falls where a square hides the image.

    Zeiler & Fergus, 2014, section 4.2. Squares at the end of an axis are moved inside the image.

    Args:
        model, images, target: as of `gradient`.
        window: side of the square, in pixels, at most that of the image.
        stride: from one square to the next, at most the window, so that each pixel is hidden.
        fill: what the square has instead; 0 is the mean of standardised images.

    Returns:
        float32 (images, height, width): for each pixel the mean over the squares that hide it; below 0 where the
        target rises.

    Raises:
        ValueError: as `gradient`, a window that does not fit the image, or a stride above it.
    """
    window = as_int(window, "window")
    stride = as_int(stride, "stride")
    height, width = images.shape[1:3]
    if window > min(height, width):
        raise ValueError(f"window must be at most the image's {height}x{width}, got {window}")
    if stride > window:
        raise ValueError(f"stride must be at most the window's {window}, got {stride}")
    corners = [(top, left) for top in _starts(height, window, stride) for left in _starts(width, window, stride)]
    squares = [(slice(top, top + window), slice(left, left + window)) for top, left in corners]
    network = Network(model)
    channels = network.channels(images, target)
    scores = network.scores(images, target, channels)
    falls = np.zeros((len(images), height, width), "float32")
    counts = np.zeros((height, width), "float32")
    for square in squares:
        counts[square] += 1
    for fall, image, channel, score in zip(falls, images, channels, scores, strict=True):
        hidden = np.stack([image] * len(squares))
        for copy, square in zip(hidden, squares, strict=True):
            copy[square] = fill
        for square, other in zip(squares, network.scores(hidden, target, np.full(len(hidden), channel)), strict=True):
            fall[square] += score - other
    return falls / counts


def _starts(size: int, window: int, stride: int) -> list[int]:
    """The first pixel of each square along an axis."""
    return [*range(0, size - window, stride), size - window]
