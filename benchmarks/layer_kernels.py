"""Layers by Keras' and by tfcnn's kernels: `python -m benchmarks.layer_kernels > docs/layer_kernels.md`.

The forward pass and all gradients, interleaved, of the sizes that networks for 32 to 96 pixels have: of convolutions of
stride 1, depthwise and separable ones against Keras' layer, and of batch norms against TensorFlow's single kernel,
which training uses where a map is neither small nor of odd channels in bfloat16. oneDNN is on, as in training;
TF_ENABLE_ONEDNN_OPTS=0 shows the same without it. Every layer is replaced here, also those that training leaves to
TensorFlow: convolutions of more than 1x1 on a CPU with AVX-512 VNNI, and batch norms of larger maps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.ratio import compare
from tfcnn.cli.startup import import_tensorflow

if TYPE_CHECKING:
    import keras


class Size(NamedTuple):
    """A layer and the map it is applied to."""

    layer: str
    side: int
    channels: int
    filters: int = 0  # of a convolution; a depthwise one and a batch norm keep the channels
    stride: int = 1
    dtype: str = "float32"


BFLOAT16 = "mixed_bfloat16"
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
    Size("3x3 depthwise", 48, 64, stride=2, dtype=BFLOAT16),
    Size("3x3 depthwise", 12, 256, stride=2, dtype=BFLOAT16),
    Size("5x5 depthwise", 12, 240),
    Size("5x5 depthwise", 6, 672),
    Size("5x5 depthwise", 3, 960),
    Size("5x5 depthwise", 24, 72, stride=2),
    Size("5x5 depthwise", 12, 240, dtype=BFLOAT16),
    Size("5x5 depthwise", 6, 672, dtype=BFLOAT16),
    Size("5x5 depthwise", 24, 72, stride=2, dtype=BFLOAT16),
    Size("3x3 separable", 6, 728, 728),
    Size("3x3 separable", 3, 1536, 2048),
    Size("3x3 separable", 3, 1536, 2048, dtype=BFLOAT16),
    Size("batch norm", 4, 64),
    Size("batch norm", 2, 128),
    Size("batch norm", 1, 256),
    Size("batch norm", 1, 1024),
    Size("batch norm", 8, 32),
    Size("batch norm", 4, 256),
    Size("batch norm", 48, 8, dtype=BFLOAT16),
    Size("batch norm", 24, 40, dtype=BFLOAT16),
    Size("batch norm", 12, 120, dtype=BFLOAT16),
)
HEAD = """# Layers by Keras' and by tfcnn's kernels

Written by `python -m benchmarks.layer_kernels` on {device}: the forward pass and all gradients of one layer,
batches of {batch}. *Before* is Keras' layer; of a batch norm, TensorFlow's single kernel. Ratios are those of the
medians, with the middle half of single rounds. oneDNN is {onednn}; AVX-512 VNNI: {vnni}. Convolutions of 3x3 and
batch norms of larger maps are replaced here even where training leaves them to TensorFlow.

| layer | map | channels | stride | precision | before, ms | ours is times as fast | middle half | of CPU time |
| --- | --- | --- | ---: | --- | ---: | ---: | --- | ---: |"""
BATCH = 32
WARM_UP = 2  # rounds before the first that counts
REPEATED = 10  # in one call of TensorFlow, which takes as long as a small layer


def build(size: Size) -> keras.Model:
    """A network of the one layer."""
    import keras

    inputs = keras.Input((size.side, size.side, size.channels))
    settings = {"dtype": size.dtype}
    if size.layer == "batch norm":
        layer = keras.layers.BatchNormalization(**settings)
    else:
        settings |= {"kernel_size": int(size.layer[0]), "strides": size.stride, "padding": "same"}
        if size.layer.endswith("depthwise"):
            layer = keras.layers.DepthwiseConv2D(**settings)
        elif size.layer.endswith("separable"):
            layer = keras.layers.SeparableConv2D(size.filters, **settings)
        else:
            layer = keras.layers.Conv2D(size.filters, **settings)
    return keras.Model(inputs, layer(inputs))


def repeat_step(compute: Callable[[], Any], sources: Sequence[Any]) -> Callable[[], None]:
    """A function that does `compute` and all gradients by `sources` `REPEATED` times, and waits for them."""
    import tensorflow as tf

    def add_gradients(number: Any, *sums: Any) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = compute()
        gradients = tape.gradient(outputs, sources, outputs)
        return (number + 1, *(a + b for a, b in zip(sums, gradients, strict=True)))

    @tf.function(autograph=False)
    def repeat() -> Any:
        zeros = [tf.zeros_like(source) for source in sources]
        return tf.while_loop(lambda number, *_: number < REPEATED, add_gradients, (0, *zeros))

    return lambda: repeat()[1].numpy()


class Times(NamedTuple):
    """Of one step in each round, in seconds."""

    wall: list[float]
    cpu: list[float]


def alternate(calls: Sequence[Callable[[], None]], rounds: int) -> list[Times]:
    """Time functions of `repeat_step` in turn."""
    times = [Times([], []) for _ in calls]
    for number in range(rounds + WARM_UP):
        for call, (wall, cpu) in zip(calls, times, strict=True):
            started, cpu_started = time.perf_counter(), time.process_time()
            call()
            if number >= WARM_UP:
                wall.append((time.perf_counter() - started) / REPEATED)
                cpu.append((time.process_time() - cpu_started) / REPEATED)
    return times


def cells_of(before: Times, after: Times) -> list[str]:
    """Cells of a table: milliseconds before, how many times as fast it is after, middle half, the same of CPU time."""
    ratio, low, high = compare(before.wall, after.wall)
    milliseconds = f"{1000 * statistics.median(before.wall):.2f}"
    return [milliseconds, f"{ratio:.2f}", f"{low:.2f} to {high:.2f}", f"{compare(before.cpu, after.cpu).ratio:.2f}"]


def measure(size: Size, rounds: int) -> list[Times]:
    """By Keras' or TensorFlow's kernels, and by ours."""
    import tensorflow as tf

    from tfcnn.training import fused_kernels

    x = tf.random.normal((BATCH, size.side, size.side, size.channels))
    models = [build(size), build(size)]
    if size.layer == "batch norm":
        fused_kernels.SMALL_MAP = 0
        fused_kernels.accelerate(models[0])
        # every map counts as small, but one of odd channels in bfloat16
        fused_kernels.SMALL_MAP = size.side * size.side * size.channels if size.dtype == "float32" else 1
    fused_kernels.accelerate(models[1])
    calls = [
        repeat_step(partial(model, x, training=True), [x, *(weight.value for weight in model.trainable_variables)])
        for model in models
    ]
    return alternate(calls, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    import_tensorflow()
    from tfcnn.training import fused_kernels
    from tfcnn.training.provenance import device

    vnni = "yes" if fused_kernels.has_vnni() else "no"
    fused_kernels.has_vnni = lambda: False
    onednn = "on" if fused_kernels.onednn() else "off"
    print(HEAD.format(device=device(), batch=BATCH, onednn=onednn, vnni=vnni), flush=True)
    for size in SIZES:
        channels = f"{size.channels} to {size.filters}" if size.filters else str(size.channels)
        precision = size.dtype.removeprefix("mixed_")
        place = [size.layer, f"{size.side}x{size.side}", channels, str(size.stride), precision]
        print(f"| {' | '.join([*place, *cells_of(*measure(size, rounds))])} |", flush=True)


if __name__ == "__main__":
    main()
