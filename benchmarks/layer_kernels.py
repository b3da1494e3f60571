"""Layers by Keras' or TensorFlow's kernels and by tfcnn.training.fused_kernels: `python -m benchmarks.layer_kernels`.

The forward pass and all gradients, interleaved, of the sizes that MobileNet and ResNet have at 32 to 96 pixels: of
convolutions of stride 1 beside Keras' layer, and of batch norms beside TensorFlow's one kernel, which is what they have
where a map is not small. oneDNN is on, as in training; TF_ENABLE_ONEDNN_OPTS=0 shows the same without it. All are
written otherwise here, also convolutions of more than 1x1 on a CPU with AVX-512 VNNI, where training leaves them to
TensorFlow, and batch norms of larger maps.
"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.ratio import compared
from tfcnn.cli.startup import import_tensorflow

# (layer, side of the map, channels in, channels out; of a depthwise convolution and a batch norm as many)
SIZES = (("1x1", 48, 32, 64), ("1x1", 12, 256, 256), ("1x1", 6, 512, 512), ("1x1", 3, 1024, 1024))
SIZES += (("1x1", 4, 64, 64), ("1x1", 2, 128, 128), ("1x1", 1, 256, 256))
SIZES += (("3x3", 16, 64, 64), ("3x3", 8, 128, 128), ("3x3", 4, 256, 256), ("3x3", 2, 512, 512))
SIZES += (("3x3 depthwise", 3, 1024, 0), ("3x3 depthwise", 2, 512, 0), ("3x3 depthwise", 1, 1024, 0))
SIZES += (("5x5 depthwise", 2, 672, 0),)
SIZES += (("batch norm", 4, 64, 0), ("batch norm", 2, 128, 0), ("batch norm", 1, 256, 0), ("batch norm", 1, 1024, 0))
SIZES += (("batch norm", 8, 32, 0), ("batch norm", 4, 256, 0))
BATCH = 32
REPEATED = 10  # in one call of TensorFlow, which takes as long as a small layer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    import_tensorflow()
    import keras
    import tensorflow as tf

    from tfcnn.training import fused_kernels
    from tfcnn.training.fused_kernels import accelerate, onednn

    vnni, fused_kernels.has_vnni = fused_kernels.has_vnni(), lambda: False

    def network(name, size, channels, filters):
        inputs = keras.Input((size, size, channels))
        if name == "batch norm":
            return keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
        side = int(name[0])
        layer = keras.layers.Conv2D(filters, side, padding="same") if filters else None
        layer = layer or keras.layers.DepthwiseConv2D(side, padding="same")
        return keras.Model(inputs, layer(inputs))

    def steps(model, x):
        weights = [weight.value for weight in model.trainable_variables]

        def gradients(_, *before):
            with tf.GradientTape() as tape:
                tape.watch(x)
                total = tf.reduce_sum(model(x, training=True) ** 2)
            return [a + b for a, b in zip(before, tape.gradient(total, (x, *weights)), strict=True)]

        @tf.function(autograph=False)
        def several():
            zeros = [tf.zeros_like(each) for each in (x, *weights)]
            return tf.while_loop(
                lambda n, *_: n < REPEATED, lambda n, *sums: (n + 1, *gradients(n, *sums)), (0, *zeros)
            )

        return lambda: several()[1].numpy()

    print(f"oneDNN is {'on' if onednn() else 'off'}; AVX-512 VNNI: {'yes' if vnni else 'no'}; batches of {BATCH}\n")
    print(
        "| layer | map | channels | before, ms | ours is times as fast | middle half |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for name, size, channels, filters in SIZES:
        x = tf.random.normal((BATCH, size, size, channels))
        models = {which: network(name, size, channels, filters) for which in ("before", "ours")}
        fused_kernels.SMALL_MAP = 0
        if name == "batch norm":
            accelerate(models["before"])
            fused_kernels.SMALL_MAP = size * size * channels
        accelerate(models["ours"])
        times: dict[str, list[float]] = {which: [] for which in models}
        calls = {which: steps(model, x) for which, model in models.items()}
        for number in range(rounds + 2):
            for which, call in calls.items():
                started = time.perf_counter()
                call()
                if number >= 2:
                    times[which].append((time.perf_counter() - started) / REPEATED)
        ratio, low, high = compared(times["before"], times["ours"])
        milliseconds = 1000 * statistics.median(times["before"])
        print(
            f"| {name} | {size}x{size} | {channels}{f' to {filters}' if filters else ''} | {milliseconds:.2f} "
            f"| {ratio:.2f} | {low:.2f} to {high:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
