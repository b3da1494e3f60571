"""Layers by Keras' or TensorFlow's kernels and by tfcnn.training.fused_kernels: `python -m benchmarks.layer_kernels`.

The forward pass and all gradients, interleaved, of the sizes that MobileNet and ResNet have at 32 to 96 pixels: of
convolutions of stride 1 against Keras' layer, and of batch norms against TensorFlow's single kernel, which training
uses where a map is not small. oneDNN is on, as in training; TF_ENABLE_ONEDNN_OPTS=0 shows the same without it. Every
layer is replaced here, also those that training leaves to TensorFlow: convolutions of more than 1x1 on a CPU with
AVX-512 VNNI, and batch norms of larger maps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.ratio import compare
from tfcnn.cli.startup import import_tensorflow

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Size(NamedTuple):
    """A layer and the map it is applied to."""

    layer: str
    side: int
    channels: int
    filters: int = 0  # of a convolution; a depthwise one and a batch norm keep the channels


SIZES = (
    Size("1x1", 48, 32, 64),
    Size("1x1", 12, 256, 256),
    Size("1x1", 6, 512, 512),
    Size("1x1", 3, 1024, 1024),
    Size("1x1", 4, 64, 64),
    Size("1x1", 2, 128, 128),
    Size("1x1", 1, 256, 256),
    Size("3x3", 16, 64, 64),
    Size("3x3", 8, 128, 128),
    Size("3x3", 4, 256, 256),
    Size("3x3", 2, 512, 512),
    Size("3x3 depthwise", 3, 1024),
    Size("3x3 depthwise", 2, 512),
    Size("3x3 depthwise", 1, 1024),
    Size("5x5 depthwise", 2, 672),
    Size("batch norm", 4, 64),
    Size("batch norm", 2, 128),
    Size("batch norm", 1, 256),
    Size("batch norm", 1, 1024),
    Size("batch norm", 8, 32),
    Size("batch norm", 4, 256),
)
BATCH = 32
WARM_UP = 2  # rounds before the first that counts
REPEATED = 10  # in one call of TensorFlow, which takes as long as a small layer


def build(size: Size) -> keras.Model:
    """A network of the one layer."""
    import keras

    inputs = keras.Input((size.side, size.side, size.channels))
    if size.layer == "batch norm":
        layer = keras.layers.BatchNormalization()
    elif size.filters:
        layer = keras.layers.Conv2D(size.filters, int(size.layer[0]), padding="same")
    else:
        layer = keras.layers.DepthwiseConv2D(int(size.layer[0]), padding="same")
    return keras.Model(inputs, layer(inputs))


def repeat_step(model: keras.Model, x: tf.Tensor) -> Callable[[], None]:
    """A function that does the forward pass and all gradients `REPEATED` times, and waits for them."""
    import tensorflow as tf

    weights = [weight.value for weight in model.trainable_variables]

    def add_gradients(number: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(model(x, training=True) ** 2)
        gradients = tape.gradient(total, (x, *weights))
        return (number + 1, *(a + b for a, b in zip(sums, gradients, strict=True)))

    @tf.function(autograph=False)
    def repeat() -> tuple[tf.Tensor, ...]:
        zeros = [tf.zeros_like(tensor) for tensor in (x, *weights)]
        return tf.while_loop(lambda number, *_: number < REPEATED, add_gradients, (0, *zeros))

    return lambda: repeat()[1].numpy()


def measure(size: Size, rounds: int) -> dict[str, list[float]]:
    """Seconds of one step in each round, by Keras' or TensorFlow's kernels ("before") and by ours."""
    import tensorflow as tf

    from tfcnn.training import fused_kernels

    x = tf.random.normal((BATCH, size.side, size.side, size.channels))
    models = {"before": build(size), "ours": build(size)}
    fused_kernels.SMALL_MAP = 0
    if size.layer == "batch norm":
        fused_kernels.accelerate(models["before"])
        fused_kernels.SMALL_MAP = size.side * size.side * size.channels
    fused_kernels.accelerate(models["ours"])
    times: dict[str, list[float]] = {name: [] for name in models}
    calls = {name: repeat_step(model, x) for name, model in models.items()}
    for number in range(rounds + WARM_UP):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if number >= WARM_UP:
                times[name].append((time.perf_counter() - started) / REPEATED)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    import_tensorflow()
    from tfcnn.training import fused_kernels

    vnni = fused_kernels.has_vnni()
    fused_kernels.has_vnni = lambda: False
    onednn = "on" if fused_kernels.onednn() else "off"
    print(f"oneDNN is {onednn}; AVX-512 VNNI: {'yes' if vnni else 'no'}; batches of {BATCH}\n")
    print("| layer | map | channels | before, ms | ours is times as fast | middle half |")
    print("|---|---|---|---|---|---|", flush=True)
    for size in SIZES:
        times = measure(size, rounds)
        ratio, low, high = compare(times["before"], times["ours"])
        channels = f"{size.channels} to {size.filters}" if size.filters else size.channels
        milliseconds = 1000 * statistics.median(times["before"])
        print(
            f"| {size.layer} | {size.side}x{size.side} | {channels} | {milliseconds:.2f} "
            f"| {ratio:.2f} | {low:.2f} to {high:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
