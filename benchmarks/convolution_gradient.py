"""A convolution's gradients by TensorFlow's kernel and as a convolution: `python -m benchmarks.convolution_gradient`.

The forward pass and both gradients of stride-1 convolutions of the sizes that MobileNet and ResNet have at 64 to 96
pixels, as tfcnn.acceleration writes them against TensorFlow's own, interleaved. TensorFlow switches oneDNN on by itself
only on CPUs with instructions for neural networks (AVX512_VNNI and later); set TF_ENABLE_ONEDNN_OPTS=1 or 0 to compare.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from tfcnn import command

# (kernel, side of the map, channels in, channels out), 32 images
SIZES = ((1, 48, 32, 64), (1, 12, 256, 256), (1, 6, 512, 512), (1, 3, 1024, 1024))
SIZES += ((3, 16, 64, 64), (3, 8, 128, 128), (3, 4, 256, 256), (3, 2, 512, 512))
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    command.import_tensorflow()
    import tensorflow as tf

    from tfcnn.acceleration import convolution

    def plain(x, kernel):
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    def ours(x, kernel):
        return convolution(x, kernel, stride=1, padding="same")

    def step(convolve, x, kernel):
        @tf.function
        def gradients():
            with tf.GradientTape() as tape:
                tape.watch((x, kernel))
                total = tf.reduce_sum(convolve(x, kernel) ** 2)
            return tape.gradient(total, (x, kernel))

        return lambda: [each.numpy() for each in gradients()]

    print(f"oneDNN: TF_ENABLE_ONEDNN_OPTS={os.environ.get('TF_ENABLE_ONEDNN_OPTS', 'not set')}")
    print("| kernel | map | channels | TensorFlow, ms | ratio | middle half |\n|---|---|---|---|---|---|", flush=True)
    for side, size, channels, filters in SIZES:
        x, kernel = tf.random.normal((BATCH, size, size, channels)), tf.random.normal((side, side, channels, filters))
        times: dict[str, list[float]] = {"plain": [], "ours": []}
        steps = {"plain": step(plain, x, kernel), "ours": step(ours, x, kernel)}
        for number in range(rounds + 2):
            for name, act in steps.items():
                started = time.perf_counter()
                act()
                if number >= 2:
                    times[name].append(time.perf_counter() - started)
        single = sorted(a / b for a, b in zip(times["plain"], times["ours"], strict=True))
        before, after = (statistics.median(times[name]) for name in times)
        print(
            f"| {side}x{side} | {size}x{size} | {channels} to {filters} | {1000 * before:.1f} | {before / after:.2f} | "
            f"{single[rounds // 4]:.2f} to {single[-rounds // 4 - 1]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
