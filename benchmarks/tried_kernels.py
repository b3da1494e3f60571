"""What was tried to make a training step faster: `python -m benchmarks.tried_kernels > docs/tried_kernels.md`.

One operation with its gradients as TensorFlow has it, and another way to compute the same, interleaved, with oneDNN.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from benchmarks.layer_kernels import BATCH, alternate, cells_of, repeat_step
from tfcnn.cli.startup import import_tensorflow

HEAD = """# What was tried

Written by `python -m benchmarks.tried_kernels` on {device}: an operation and all its gradients by TensorFlow's kernels
and another way to compute the same, batches of {batch}. Ratios are those of the medians, with the middle half of single
rounds. What is used is in tfcnn/training, for sizes of which [layer_kernels.md](layer_kernels.md) has more.

| operation | map | tried | before, ms | times as fast | middle half | of CPU time | used |
| --- | --- | --- | ---: | ---: | ---: | ---: | --- |"""


class Trial(NamedTuple):
    """An operation and another way.

    Attributes:
        operation: and its number format.
        shape: of its input, without the batch.
        tried: the other way.
        before: the operation, of the input and the weights.
        after: the same.
        used: what became of it.
        weights: shapes of the other arguments.
        dtype: of all.
    """

    operation: str
    shape: tuple[int, ...]
    tried: str
    before: Callable[..., Any]
    after: Callable[..., Any]
    used: str
    weights: tuple[tuple[int, ...], ...] = ()
    dtype: str = "float32"


def trials() -> list[Trial]:
    import keras
    import tensorflow as tf

    from tfcnn.training import fused_depthwise, fused_kernels

    def silu(x: Any) -> Any:
        """With the sigmoid in float32, here and in the gradient."""

        @tf.custom_gradient
        def compute(x: Any) -> Any:
            def sigmoid() -> Any:
                return tf.cast(tf.sigmoid(tf.cast(x, tf.float32)), x.dtype)

            def gradient(upstream: Any) -> Any:
                share = sigmoid()
                return upstream * share * (1 + x * (1 - share))

            return x * sigmoid(), gradient

        return compute(x)

    def relu6_of_bits(x: Any) -> Any:
        """Of two numbers of 0 and more, the larger one has the larger bits."""
        six = tf.bitcast(tf.constant(6, tf.bfloat16), tf.int16)
        zero = tf.constant(0, tf.int16)

        @tf.custom_gradient
        def compute(x: Any) -> Any:
            bits = tf.minimum(tf.maximum(tf.bitcast(x, tf.int16), zero), six)

            def gradient(upstream: Any) -> Any:
                return tf.where((bits > zero) & (bits < six), upstream, tf.zeros([], tf.bfloat16))

            return tf.bitcast(bits, tf.bfloat16), gradient

        return compute(x)

    def batch_norm(x: Any, gamma: Any, beta: Any) -> Any:
        nothing = tf.zeros([0])
        return tf.raw_ops.FusedBatchNormV3(x=x, scale=gamma, offset=beta, mean=nothing, variance=nothing).y

    def depthwise(stride: int) -> Callable[[Any, Any], Any]:
        return lambda x, kernel: tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "SAME")

    def depthwise_by_sums(x: Any, kernel: Any) -> Any:
        rows, columns = kernel.shape[:2]
        height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
        taps = [(i, j) for i in range(rows) for j in range(columns)]
        return tf.add_n([x[:, i : i + height, j : j + width] * kernel[i, j, :, 0] for i, j in taps])

    def convolution(x: Any, kernel: Any) -> Any:
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    def in_other_layout(x: Any, kernel: Any) -> Any:
        """Channels first between the layers, as a network would have them that turns its input once."""
        return tf.nn.conv2d(x, kernel, 1, "SAME", data_format="NCHW")

    return [
        Trial(
            "bias, bfloat16",
            (24, 24, 128),
            "a gradient by tf.reduce_sum, which alone is right",
            tf.nn.bias_add,
            lambda x, bias: x + bias,
            "yes",
            ((128,),),
            "bfloat16",
        ),
        *(
            Trial(
                name,
                (16, 16, 240),
                "the gradient by the kernel by its parts of 5x3 and 5x2, that by the input as a convolution",
                depthwise(1),
                lambda x, kernel: fused_depthwise.convolution(x, kernel, 1, "same"),
                "yes",
                ((5, 5, 240, 1),),
                dtype,
            )
            for name, dtype in (("depthwise 5x5, bfloat16", "bfloat16"), ("depthwise 5x5", "float32"))
        ),
        Trial(
            "depthwise 3x3, stride 2, bfloat16",
            (24, 24, 128),
            "the gradient by the input in float32",
            depthwise(2),
            lambda x, kernel: fused_depthwise.convolution(x, kernel, 2, "same"),
            "yes",
            ((3, 3, 128, 1),),
            "bfloat16",
        ),
        Trial(
            "depthwise 3x3",
            (14, 14, 256),
            "a sum of nine products",
            depthwise(1),
            depthwise_by_sums,
            "no",
            ((3, 3, 256, 1),),
        ),
        Trial(
            "batch norm and ReLU6",
            (24, 24, 128),
            "one pass by XLA",
            lambda x, *weights: tf.nn.relu6(batch_norm(x, *weights)),
            tf.function(lambda x, *weights: tf.nn.relu6(batch_norm(x, *weights)), jit_compile=True),
            "no (of ReLU TensorFlow makes one pass itself)",
            ((128,), (128,)),
        ),
        Trial(
            "batch norm of 24 channels",
            (48, 48, 24),
            "elementary operations",
            batch_norm,
            lambda *arguments: fused_kernels._normalised(*arguments, 1e-3)[0],
            "where maps are small",
            ((24,), (24,)),
        ),
        Trial(
            "silu, bfloat16",
            (48, 48, 64),
            "its sigmoid in float32",
            tf.nn.silu,
            silu,
            "no: EfficientNet trains in float32 unless --precision says otherwise",
            (),
            "bfloat16",
        ),
        Trial("ReLU6, bfloat16", (48, 48, 64), "limits of its bits", tf.nn.relu6, relu6_of_bits, "no", (), "bfloat16"),
        Trial(
            "convolution 7x7, dilation 4",
            (12, 12, 128),
            "oneDNN's dilated kernel (before: Keras' gathering)",
            lambda x, kernel: keras.ops.conv(x, kernel, 1, "same", dilation_rate=4),
            lambda x, kernel: fused_kernels.dilated_convolution(x, kernel, dilation=(4, 4), padding="same"),
            "yes",
            ((7, 7, 128, 256),),
        ),
        Trial(
            "convolution 3x3",
            (16, 16, 64),
            "as a product of columns (im2col)",
            convolution,
            lambda x, kernel: tf.matmul(
                tf.reshape(tf.image.extract_patches(x, [1, 3, 3, 1], [1] * 4, [1] * 4, "SAME"), [-1, 9 * 64]),
                tf.reshape(kernel, [9 * 64, 64]),
            ),
            "no",
            ((3, 3, 64, 64),),
        ),
        Trial(
            "convolution 3x3",
            (64, 16, 16),
            "channels last (before: first)",
            in_other_layout,
            lambda x, kernel: tf.transpose(convolution(tf.transpose(x, [0, 2, 3, 1]), kernel), [0, 3, 1, 2]),
            "yes, everywhere, without the turns",
            ((3, 3, 64, 64),),
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    import_tensorflow()
    import tensorflow as tf

    from tfcnn.training.provenance import device

    print(HEAD.format(device=device(), batch=BATCH), flush=True)
    for trial in trials():
        shapes = [(BATCH, *trial.shape), *trial.weights]
        arguments = [tf.cast(tf.random.normal(shape), trial.dtype) for shape in shapes]
        calls = [repeat_step(partial(way, *arguments), arguments) for way in (trial.before, trial.after)]
        place = [trial.operation, "x".join(map(str, trial.shape)), trial.tried]
        print(f"| {' | '.join([*place, *cells_of(*alternate(calls, rounds)), trial.used])} |", flush=True)


if __name__ == "__main__":
    main()
