"""Max pooling and unpooling of 2x2 windows, forward and backward, against TensorFlow's and PyTorch's own.

    python -m benchmarks.unpooling [--rounds 20] [--shapes 8x128x128x64 8x32x32x256]

Every contender pools, puts the values back and returns the result with the gradient by its input; a check first makes
sure that all give the same numbers. Rounds are interleaved, one step of each contender a round, so that what else the
machine does meets them alike. The table gives the ratio of TensorFlow's median time to each median, the
middle half of the ratios of the single rounds, and the best time. PyTorch is measured where it is installed; its
median rises several times where other work shares the cores (seen: 9 to 72 ms for one step), so compare its best
time measured alone as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.ratio import compare
from tfcnn import layers

WINDOWS = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"}


def tensorflow_pair(x: tf.Tensor) -> tf.Tensor:
    values, indices = tf.nn.max_pool_with_argmax(x, 2, 2, "VALID", include_batch_in_index=True)
    flat = tf.scatter_nd(tf.reshape(indices, (-1, 1)), tf.reshape(values, (-1,)), [tf.size(x, out_type=tf.int64)])
    return tf.reshape(flat, tf.shape(x))


def tensorflow_pair_by_coordinates(x: tf.Tensor) -> tf.Tensor:
    """The same with the scatter by (image, y, x, channel) that most published code has."""
    values, indices = tf.nn.max_pool_with_argmax(x, 2, 2, "VALID")
    batch, _, width, channels = x.shape
    image = tf.reshape(tf.range(batch, dtype=tf.int64), (-1, 1, 1, 1)) + tf.zeros_like(indices)
    place = [image, indices // (width * channels), indices // channels % width, indices % channels]
    return tf.scatter_nd(tf.stack(place, axis=-1), values, tf.shape(x, out_type=tf.int64))


def pooling_gradient(x: tf.Tensor) -> tf.Tensor:
    """Unpooling as the gradient kernel of max pooling, its own gradient as an average pooling."""
    pooled = tf.nn.max_pool2d(x, 2, 2, "VALID")

    @tf.custom_gradient
    def unpool(values: tf.Tensor) -> Any:
        def place(t: tf.Tensor) -> tf.Tensor:
            return tf.raw_ops.MaxPoolGrad(orig_input=x, orig_output=pooled, grad=t, **WINDOWS)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return 4 * tf.nn.avg_pool2d(upstream * place(tf.ones_like(values)), 2, 2, "VALID")

        return place(values), gradient

    return unpool(pooled)


def nearest(x: tf.Tensor) -> tf.Tensor:
    return keras.layers.UpSampling2D()(tf.nn.max_pool2d(x, 2, 2, "VALID"))


def by_indices(x: tf.Tensor) -> tf.Tensor:
    values, indices = layers.MaxPoolingWithArgmax2D()(x, training=True)
    return layers.MaxUnpooling2D()([values, indices], training=True)


def by_input(x: tf.Tensor) -> tf.Tensor:
    values, _ = layers.MaxPoolingWithArgmax2D()(x, training=True)
    return layers.MaxUnpoolingLike2D()([values, x], training=True)


def by_input_of_keras_pooling(x: tf.Tensor) -> tf.Tensor:
    return layers.MaxUnpoolingLike2D()([keras.layers.MaxPooling2D()(x), x], training=True)


TENSORFLOW = "max_pool_with_argmax + scatter_nd"
CONTENDERS = {  # name -> (function, under XLA)
    TENSORFLOW: (tensorflow_pair, False),
    "the same, scatter by coordinates": (tensorflow_pair_by_coordinates, False),
    "MaxPoolGrad as unpooling": (pooling_gradient, False),
    "MaxPoolingWithArgmax + MaxUnpooling": (by_indices, False),
    "MaxPoolingWithArgmax + MaxUnpoolingLike": (by_input, False),
    "Keras' MaxPooling + MaxUnpoolingLike": (by_input_of_keras_pooling, False),
    "XLA: MaxPoolingWithArgmax + MaxUnpooling": (by_indices, True),
    "XLA: MaxPoolingWithArgmax + MaxUnpoolingLike": (by_input, True),
    "nearest up-sampling (not the same thing)": (nearest, False),
}
PYTORCH = "PyTorch MaxPool2d + MaxUnpool2d, channels_last"


def tensorflow_step(
    function: Callable[[tf.Tensor], tf.Tensor], xla: bool, x: np.ndarray, upstream: np.ndarray
) -> Callable[[], tuple]:
    @tf.function(jit_compile=xla, autograph=False)
    def step(x: tf.Tensor, upstream: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x, upstream)

    inputs = (tf.constant(x), tf.constant(upstream))
    return lambda: step(*inputs)  # on the CPU the call returns when the step is done


def pytorch_step(x: np.ndarray, upstream: np.ndarray) -> Callable[[], list] | None:
    """None without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(os.cpu_count())
    inputs = torch.from_numpy(x).permute(0, 3, 1, 2)  # channels_last in memory
    gradient = torch.from_numpy(upstream).permute(0, 3, 1, 2)
    pool = torch.nn.MaxPool2d(2, return_indices=True)
    unpool = torch.nn.MaxUnpool2d(2)

    def step() -> list:
        leaf = inputs.detach().requires_grad_()
        y = unpool(*pool(leaf))
        y.backward(gradient)
        return [t.detach().permute(0, 2, 3, 1) for t in (y, leaf.grad)]

    return step


def measure(shape: tuple[int, ...], rounds: int) -> dict[str, list[float]]:
    """{name: its time in each round}, after a round for warming up and comparing."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=shape), 0).astype("float32")  # as after a ReLU: many windows of zeros
    upstream = rng.normal(size=shape).astype("float32")
    steps: dict[str, Callable[[], Any]] = {}
    for name, (function, xla) in CONTENDERS.items():
        steps[name] = tensorflow_step(function, xla, x, upstream)
    torch_step = pytorch_step(x, upstream)
    if torch_step is not None:
        steps[PYTORCH] = torch_step
    tf.get_logger().setLevel("ERROR")  # it takes the contenders for one function that is traced again and again
    expected = steps[TENSORFLOW]()
    for name, step in steps.items():
        for tensor, reference in zip(step(), expected, strict=True):
            if "not the same thing" not in name and not np.array_equal(np.asarray(tensor), np.asarray(reference)):
                raise SystemExit(f"{name} gives other numbers")
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return times


def table(times: dict[str, list[float]]) -> Iterator[str]:
    first = times[TENSORFLOW]
    width = max(map(len, times))
    yield f"{'':{width}}      ms   ratio   middle half    best ms"
    for name, seconds in times.items():
        ratio, low, high = compare(first, seconds)
        middle = f"{low:.2f} to {high:.2f}"
        milliseconds = 1e3 * statistics.median(seconds)
        yield f"{name:{width}}  {milliseconds:6.1f}  {ratio:6.2f}   {middle:13}  {1e3 * min(seconds):6.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--shapes", nargs="+", default=["8x128x128x64", "8x32x32x256"], metavar="BxHxWxC")
    arguments = parser.parse_args()
    for shape in arguments.shapes:
        times = measure(tuple(map(int, shape.split("x"))), arguments.rounds)
        print(shape, *table(times), "", sep="\n")


if __name__ == "__main__":
    main()
