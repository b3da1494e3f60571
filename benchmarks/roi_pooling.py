"""RoI pooling by a table of window maxima, and by masks: `python -m benchmarks.roi_pooling [--rounds 10]`.

128 regions in 7x7 bins on the maps of Fast R-CNN's sizes: milliseconds of the forward pass, and of it with the gradient
for the maps, interleaved, medians. The form by masks takes the maximum over all rows, then all columns of the map, with
the cells outside a bin masked.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfcnn.cli.startup import import_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

    Pool = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

BINS = 7
REGIONS = 128
WARM_UP = 2  # rounds before the first that counts


class Size(NamedTuple):
    """Maps and the stride at which they see an image."""

    batch: int
    side: int
    channels: int
    stride: int


SIZES = (Size(1, 12, 256, 8), Size(2, 12, 256, 8), Size(1, 24, 128, 4))


def pool_by_masks(maps: tf.Tensor, regions: tf.Tensor, stride: int) -> tf.Tensor:
    """Regions with an area on the map, (b, r, 4) in pixels -> (b, r, BINS, BINS, c)."""
    import tensorflow as tf

    def masks(low: tf.Tensor, high: tf.Tensor, size: int) -> tf.Tensor:
        """Which cells each bin has along an axis: (b, r, BINS, size)."""
        first = tf.clip_by_value(tf.floor(low / stride + 0.5), 0, size - 1)
        end = tf.clip_by_value(tf.floor(high / stride + 0.5), first + 1, size)
        first = tf.cast(first, tf.int32)[..., None]
        cells = tf.cast(end, tf.int32)[..., None] - first
        number = tf.range(BINS)
        starts = first + number * cells // BINS
        ends = first + ((number + 1) * cells + BINS - 1) // BINS
        cell = tf.range(size)
        return (cell >= starts[..., None]) & (cell < ends[..., None])

    x1, y1, x2, y2 = tf.unstack(regions, axis=-1)
    rows = masks(y1, y2, maps.shape[1])[..., None, None]
    columns = masks(x1, x2, maps.shape[2])[:, :, None, :, :, None]
    of_rows = tf.reduce_max(tf.where(rows, maps[:, None, None], maps.dtype.min), axis=3)
    return tf.reduce_max(tf.where(columns, of_rows[:, :, :, None], maps.dtype.min), axis=4)


def draw(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Maps, and regions of 8 pixels a side to half the image."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(size.batch, size.side, size.side, size.channels)).astype("float32")
    pixels = size.side * size.stride
    corner = rng.uniform(0, pixels / 2, (size.batch, REGIONS // size.batch, 2))
    sides = rng.uniform(8, pixels / 2, corner.shape)
    return maps, np.concatenate([corner, corner + sides], axis=-1).astype("float32")


def compiled(pool: Pool, xla: bool) -> dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]]:
    """The forward pass, and the gradient of the sum of squares for the maps."""
    import tensorflow as tf

    def differentiate(maps: tf.Tensor, regions: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(maps)
            total = tf.reduce_sum(pool(maps, regions) ** 2)
        return tape.gradient(total, maps)

    passes = {"forward": pool, "forward and gradient": differentiate}
    return {name: tf.function(function, jit_compile=xla, autograph=False) for name, function in passes.items()}


def measure(size: Size, xla: bool, rounds: int) -> dict[tuple[str, str], float]:
    """Milliseconds by form and pass."""
    import tensorflow as tf

    from tfcnn.layers import RoIPooling2D

    layer = RoIPooling2D(BINS, size.stride)
    forms: dict[str, Pool] = {
        "masks": lambda maps, regions: pool_by_masks(maps, regions, size.stride),
        "table": lambda maps, regions: layer([maps, regions]),
    }
    maps, regions = map(tf.constant, draw(size))
    calls = {(form, name): call for form, pool in forms.items() for name, call in compiled(pool, xla).items()}
    for name in ("forward", "forward and gradient"):
        results = [calls[form, name](maps, regions).numpy() for form in forms]
        np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for number in range(rounds + WARM_UP):
        for key, call in calls.items():
            started = time.perf_counter()
            call(maps, regions).numpy()
            if number >= WARM_UP:
                times[key].append(1000 * (time.perf_counter() - started))
    return {key: statistics.median(values) for key, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    import_tensorflow()
    print(f"{REGIONS} regions, {BINS}x{BINS} bins\n")
    print("| maps | | pass | by masks, ms | by the table, ms |")
    print("|---|---|---|---|---|", flush=True)
    for size in SIZES:
        for xla in (False, True):
            times = measure(size, xla, rounds)
            for name in ("forward", "forward and gradient"):
                maps = f"{size.batch} of {size.side}x{size.side}x{size.channels}"
                form = "XLA" if xla else "graph"
                print(
                    f"| {maps} | {form} | {name} | {times['masks', name]:.1f} | {times['table', name]:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
