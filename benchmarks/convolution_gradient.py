"""Convolutions by Keras' layer and as tfcnn.acceleration writes it: `python -m benchmarks.convolution_gradient`.

The forward pass and all gradients of convolutions of stride 1, of the sizes that MobileNet and ResNet have at 32 to 96
pixels, interleaved. oneDNN is on, as in training; TF_ENABLE_ONEDNN_OPTS=0 shows the same without it. All are written
otherwise here, also those of more than 1x1 on a CPU with AVX-512 VNNI, where training leaves them to TensorFlow.
"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.ratio import compared
from tfcnn import command

# (kernel, side of the map, channels in, channels out; 0: depthwise), 32 images
SIZES = ((1, 48, 32, 64), (1, 12, 256, 256), (1, 6, 512, 512), (1, 3, 1024, 1024))
SIZES += ((3, 16, 64, 64), (3, 8, 128, 128), (3, 4, 256, 256), (3, 2, 512, 512))
SIZES += ((3, 3, 1024, 0), (3, 2, 512, 0), (3, 1, 1024, 0), (5, 2, 672, 0))
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    command.import_tensorflow()
    import keras
    import tensorflow as tf

    from tfcnn import acceleration
    from tfcnn.acceleration import accelerate, onednn

    vnni, acceleration.has_vnni = acceleration.has_vnni(), lambda: False

    def network(side, size, channels, filters):
        inputs = keras.Input((size, size, channels))
        layer = keras.layers.Conv2D(filters, side, padding="same") if filters else None
        layer = layer or keras.layers.DepthwiseConv2D(side, padding="same")
        return keras.Model(inputs, layer(inputs))

    def step(model, x):
        kernel = model.trainable_variables[0].value

        @tf.function
        def gradients():
            with tf.GradientTape() as tape:
                tape.watch(x)
                total = tf.reduce_sum(model(x) ** 2)
            return tape.gradient(total, (x, kernel))

        return lambda: [each.numpy() for each in gradients()]

    print(f"oneDNN is {'on' if onednn() else 'off'}; AVX-512 VNNI: {'yes' if vnni else 'no'}")
    print("| kernel | map | channels | Keras, ms | ratio | middle half |\n|---|---|---|---|---|---|", flush=True)
    for side, size, channels, filters in SIZES:
        x = tf.random.normal((BATCH, size, size, channels))
        models = {name: network(side, size, channels, filters) for name in ("plain", "ours")}
        accelerate(models["ours"])
        times: dict[str, list[float]] = {name: [] for name in models}
        steps = {name: step(model, x) for name, model in models.items()}
        for number in range(rounds + 2):
            for name, act in steps.items():
                started = time.perf_counter()
                act()
                if number >= 2:
                    times[name].append(time.perf_counter() - started)
        ratio, low, high = compared(times["plain"], times["ours"])
        milliseconds = 1000 * statistics.median(times["plain"])
        what = f"{channels} to {filters}" if filters else f"{channels}, depthwise"
        print(
            f"| {side}x{side} | {size}x{size} | {what} | {milliseconds:.1f} | {ratio:.2f} | {low:.2f} to {high:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
