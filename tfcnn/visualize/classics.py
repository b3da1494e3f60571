"""Filters that were convolutions before networks learned them: edges, Sobel, Gaussian, wavelet banks; upsampling.

Arrays in NumPy; what a layer computes is computed by that layer: a wavelet bank is a convolution with stride 2, and its
inverse the transposed convolution with the same kernel.
"""

from __future__ import annotations

import keras
import numpy as np
from scipy import ndimage

EDGES = np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]])  # of the lectures
SMOOTHING = np.array([1.0, 2, 1])
DIFFERENCE = np.array([1.0, 0, -1])
SOBEL = np.outer(SMOOTHING, DIFFERENCE)  # two vectors: six products a pixel in place of nine
# Low passes of orthonormal wavelets with one and two vanishing moments: Daubechies, "Orthonormal bases of compactly
# supported wavelets", 1988.
ROOT = np.sqrt(3)
WAVELETS = {
    "haar": np.array([1, 1]) / np.sqrt(2),
    "db2": np.array([1 + ROOT, 3 + ROOT, 3 - ROOT, 1 - ROOT]) / (4 * np.sqrt(2)),
}


def gaussian(sigma: float) -> np.ndarray:
    """A Gaussian filter of standard deviation `sigma` pixels, cut at three of them, that adds up to 1."""
    radius = int(np.ceil(3 * sigma))
    row = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.outer(row, row) / row.sum() ** 2


def frequency_response(kernel: np.ndarray, size: int = 65) -> np.ndarray:
    """What a filter multiplies each wave with: complex (size, size), frequency 0 in the middle.

    Args:
        kernel: (rows, columns), odd sides; its middle is the origin.
        size: of the answer, odd and at least the kernel's.
    """
    padded = np.zeros((size, size))
    rows, columns = kernel.shape
    padded[:rows, :columns] = kernel
    centred = np.roll(padded, (-(rows // 2), -(columns // 2)), (0, 1))
    return np.fft.fftshift(np.fft.fft2(centred))


def apply_filter(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The image (height, width) convolved with a kernel, mirrored at the border; same size."""
    return ndimage.convolve(image, kernel, mode="reflect")


def wavelet_kernel(wavelet: str) -> np.ndarray:
    """The four filters of a bank as one kernel (side, side, 1, 4): low in both axes, then high along x, y, both."""
    low = WAVELETS[wavelet]
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    return np.stack([np.outer(a, b) for a in (low, high) for b in (low, high)], -1)[:, :, None]


def analyse(image: np.ndarray, wavelet: str = "haar") -> np.ndarray:
    """One level of a wavelet bank, a convolution with stride 2: (height, width) to (height / 2, width / 2, 4).

    The border is periodic. The transformation is orthonormal: it keeps the sum of squares.
    """
    kernel = wavelet_kernel(wavelet)
    more = kernel.shape[0] - 2
    padded = np.pad(image, (0, more), mode="wrap")[None, ..., None].astype("float32")
    return np.asarray(keras.ops.conv(padded, kernel.astype("float32"), 2, "valid"))[0]


def synthesise(bands: np.ndarray, wavelet: str = "haar") -> np.ndarray:
    """The image of its bands: the transposed convolution with the same kernel, periodic."""
    kernel = wavelet_kernel(wavelet).astype("float32")
    image = np.array(keras.ops.conv_transpose(bands[None].astype("float32"), kernel, 2, "valid"))[0, ..., 0]
    height, width = 2 * bands.shape[0], 2 * bands.shape[1]
    image[: image.shape[0] - height] += image[height:]
    image[:, : image.shape[1] - width] += image[:, width:]
    return image[:height, :width]


def decompose(image: np.ndarray, levels: int, wavelet: str = "haar") -> tuple[np.ndarray, list[np.ndarray]]:
    """Several levels: the coarse image, and the three detailed bands of each level, the finest first."""
    details = []
    for _ in range(levels):
        bands = analyse(image, wavelet)
        image = bands[..., 0]
        details.append(bands[..., 1:])
    return image, details


def compose(image: np.ndarray, details: list[np.ndarray], wavelet: str = "haar") -> np.ndarray:
    """The inverse of `decompose`."""
    for bands in reversed(details):
        image = synthesise(np.concatenate([image[..., None], bands], -1), wavelet)
    return image


def compress(image: np.ndarray, share: float, levels: int = 4, wavelet: str = "db2") -> np.ndarray:
    """The image from the largest `share` of its details, the others 0: sides a multiple of 2 ** levels."""
    coarse, details = decompose(image, levels, wavelet)
    sizes = np.sort(np.concatenate([np.abs(bands).ravel() for bands in details]))
    least = sizes[-max(int(share * len(sizes)), 1)]
    return compose(coarse, [np.where(np.abs(bands) >= least, bands, 0) for bands in details], wavelet)


def shrink(image: np.ndarray, noise: float, levels: int = 4, wavelet: str = "db2") -> np.ndarray:
    """The image with less noise: details are drawn to 0 by one and a half standard deviations of the noise.

    Soft thresholds: Donoho, "De-noising by soft-thresholding", 1995.
    """
    coarse, details = decompose(image, levels, wavelet)
    softer = [np.sign(bands) * np.maximum(np.abs(bands) - 1.5 * noise, 0) for bands in details]
    return compose(coarse, softer, wavelet)


def overlaps(kernel: int, stride: int, size: int = 8) -> np.ndarray:
    """How many values of a map of `size` add to each pixel of its transposed convolution: (side, side).

    Odena, Dumoulin & Olah, "Deconvolution and checkerboard artifacts", Distill, 2016: unless the stride divides the
    kernel, neighbours get different numbers.
    """
    ones = np.ones((1, size, size, 1), "float32")
    weights = np.ones((kernel, kernel, 1, 1), "float32")
    return np.asarray(keras.ops.conv_transpose(ones, weights, stride, "valid"))[0, ..., 0]
