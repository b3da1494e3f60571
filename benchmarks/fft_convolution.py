"""From which kernel size on is convolution in the frequency domain faster than direct convolution?

    python -m benchmarks.fft_convolution [--repeats 7] [--kernels 3 5 7 11 15 21 31]

Direct convolution (`PaddedConv2D`), `FFTConv2D`, and TensorFlow's FFT of the whole map, interleaved in one run, forward
and forward plus backward. Each number is the median time of direct convolution over the median of the other, above 1
where the other is faster, with the ratio of the quartiles as its spread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfcnn.layers import FFTConv2D, PaddedConv2D

Function = Callable[[tf.Tensor], tf.Tensor]
SHAPES = [((8, 64, 64, 16), 16), ((8, 32, 32, 64), 64)]


def whole_map(layer: PaddedConv2D) -> Function:
    """The convolution of `layer`, padding "half" and stride 1, by one transform of the padded map."""

    def convolve(x: tf.Tensor) -> tf.Tensor:
        x = tf.transpose(layer.pad(x), (0, 3, 1, 2))
        size = [side + side % 2 for side in x.shape[2:]]
        frequencies = size[0] * (size[1] // 2 + 1)
        spectrum = tf.reshape(tf.transpose(tf.signal.rfft2d(x, size), (2, 3, 0, 1)), (frequencies, *x.shape[:2]))
        kernel = tf.signal.rfft2d(tf.transpose(layer.kernel.value, (2, 3, 0, 1)), size)
        kernel = tf.reshape(tf.transpose(tf.math.conj(kernel), (2, 3, 0, 1)), (frequencies, *layer.kernel.shape[2:]))
        product = tf.reshape(tf.matmul(spectrum, kernel), (size[0], -1, x.shape[0], layer.filters))
        y = tf.transpose(tf.signal.irfft2d(tf.transpose(product, (2, 3, 0, 1)), size), (0, 2, 3, 1))
        covered = layer.effective_size
        return y[:, : x.shape[2] - covered[0] + 1, : x.shape[3] - covered[1] + 1] + layer.bias

    return convolve


def forward(function: Function, layer: keras.layers.Layer) -> Function:
    return tf.function(lambda x: tf.reduce_sum(function(x)))


def forward_and_backward(function: Function, layer: keras.layers.Layer) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    def step(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(function(x)))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, [x, layer.kernel.value])]

    return tf.function(step)


def measure(steps: dict[str, Callable], x: tf.Tensor, repeats: int) -> dict[str, list[float]]:
    """Interleaved times of each step, after one call that compiles it."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            tf.nest.map_structure(lambda value: value.numpy(), step(x))
            if repeat:
                times[name].append(time.perf_counter() - start)
    return times


def compare(shape: tuple[int, ...], filters: int, kernel: int, repeats: int) -> None:
    """Print a row for the forward pass, and one for both passes."""
    x = tf.random.stateless_normal(shape, [0, 0])
    direct = PaddedConv2D(filters, kernel, padding="half")
    fast = FFTConv2D(filters, kernel, padding="half")
    expected = direct(x)
    fast(x)
    fast.set_weights(direct.get_weights())
    functions = {"direct": (direct, direct), "FFTConv2D": (fast, fast), "whole-map FFT": (whole_map(direct), direct)}
    for function, _ in functions.values():
        np.testing.assert_allclose(function(x), expected, atol=1e-4 * np.abs(expected).max())
    for kind in (forward, forward_and_backward):
        times = measure({name: kind(function, layer) for name, (function, layer) in functions.items()}, x, repeats)
        base = np.quantile(times["direct"], [0.25, 0.5, 0.75])
        cells = [f"direct {base[1] * 1e3:8.1f} ms"]
        for name in ("FFTConv2D", "whole-map FFT"):
            low, middle, high = np.quantile(times[name], [0.25, 0.5, 0.75])
            cells.append(f"{name} {base[1] / middle:5.2f} ({base[0] / high:.2f} to {base[2] / low:.2f})")
        size = "x".join(map(str, shape))
        print(f"{size} -> {filters}, {kernel}x{kernel}, {kind.__name__:20}", *cells, sep="  ", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--kernels", type=int, nargs="+", default=[3, 5, 7, 9, 11, 15, 21, 31])
    arguments = parser.parse_args()
    for shape, filters in SHAPES:
        for kernel in arguments.kernels:
            compare(shape, filters, kernel, arguments.repeats)


if __name__ == "__main__":
    main()
