"""Images a second that reach a network: ours, Keras', TensorFlow Datasets' and PyTorch's, on the same data.

    python -m benchmarks.input_pipeline [--rounds 7] [--parts memory folder records training] > docs/input_pipeline.md

    memory    60,000 images of 28x28, decoded in memory; the same normalisation, with and without augmentation
    folder    a folder of JPEGs of 500x375, some 70 KB each, to 224x224: random crop, resize, mirror, normalise
    records   the same JPEGs as TFRecords, as TensorFlow Datasets writes them
    training  how long a network that is slower than the folder's images waits for them, and one that is faster

Keras' augmentation for a folder is its tutorial's kind: RandomFlip, RandomTranslation and RandomZoom of batches.
PyTorch's is torchvision's RandomResizedCrop and RandomHorizontalFlip with Pillow, in two workers. Decode only is the
ceiling of all that decodes: read each file and decode it whole with tf.io.decode_jpeg as it is, in parallel, keep
nothing. Resample only is that of all that crops kept images at random: resize decoded crops of 330x280 with
tf.image.resize, which ours uses, or with another operation of TensorFlow, and keep nothing.
Both keep as many batches ready as ours does: of single numbers tf.data would keep hundreds, which a round would time.
"kept" is our later epochs, when all decoded images are in memory.

Rounds are interleaved, and each contender runs until its buffers are drained before it is timed. The table gives how
many times as fast as each contender ours is (of the streams, where ours has more than one row), as the median of the
ratios of single rounds and the middle half of them; and each one's median rate.
"""

import argparse
import importlib
import tempfile
from pathlib import Path

from tfcnn.cli.startup import import_tensorflow

HEAD = """# Images per second

Written by `python -m benchmarks.input_pipeline` on {device}. How many times as fast as each contender ours is:
the median of {rounds} interleaved rounds, and their middle half; "kept" are epochs after the first, with the decoded
images in memory. [The command](../benchmarks/input_pipeline/__main__.py) defines the contenders. The machine is
shared: do not trust the second digit of a ratio."""

# A part gets a folder for its files, how many JPEGs to make and how many rounds to measure, and prints.
PARTS = ("memory", "folder", "records", "training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--images", type=int, default=1500, help="JPEGs")
    parser.add_argument("--files", metavar="FOLDER", help="where JPEGs and records are kept [a temporary folder]")
    flags = parser.parse_args()
    import_tensorflow()
    from tfcnn.training.provenance import device

    print(HEAD.format(device=device(), rounds=flags.rounds))
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(flags.files or temporary)
        root.mkdir(parents=True, exist_ok=True)
        for part in flags.parts:
            module = importlib.import_module(f"benchmarks.input_pipeline.{part}")
            getattr(module, part)(root, flags.images, flags.rounds)


if __name__ == "__main__":
    main()
