"""Images a second that reach a network: ours, Keras', TensorFlow Datasets' and PyTorch's, on the same data.

    python -m benchmarks.input_pipeline [--rounds 7] [--parts memory folder records training] > docs/input_pipeline.md

    memory    60,000 images of 28x28, decoded in memory; the same normalisation, with and without augmentation
    folder    a folder of JPEGs of 500x375, some 70 KB each, to 224x224: random crop, resize, mirror, normalise
    records   the same JPEGs as TFRecords, as TensorFlow Datasets writes them
    training  how long a network that is slower than the folder's images waits for them, and one that is faster

Keras' augmentation for a folder is its tutorial's kind: RandomFlip, RandomTranslation and RandomZoom of batches.
PyTorch's is torchvision's RandomResizedCrop and RandomHorizontalFlip with Pillow, in two workers. Decode only is the
ceiling of all that decodes: read each file and decode it whole with tf.io.decode_jpeg as it is, in parallel, keep
nothing. Resample only is that of all that crops kept images at random: resize decoded crops of 330x280, keep nothing.
Both keep as many batches ready as ours does: of single numbers tf.data would keep hundreds, which a round would time.
"kept" is our later epochs, when all decoded images are in memory.

Rounds are interleaved, and each contender runs until its buffers are drained before it is timed. The table gives how
many times as fast as each contender ours is (of the streams, where ours has more than one row), as the median of the
ratios of single rounds and the middle half of them; and each one's median rate.
"""

import argparse
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tfcnn.cli.startup import import_tensorflow

HEAD = """# Images a second

Written by `python -m benchmarks.input_pipeline` on {device}. How many times as fast ours is as each contender, the
median of {rounds} interleaved rounds and the middle half of them; "kept" are epochs after the first, with the decoded
images in memory. What each contender is stands in [the command](../benchmarks/input_pipeline.py). The machine is
shared: the second digit of a ratio is not to be trusted."""
SIDE = 224
BATCH = 32
STEPS = 60  # of large images in a round
SMALL_BATCH = 128
MEAN = np.array([0.485, 0.456, 0.406], "float32")
STD = np.array([0.229, 0.224, 0.225], "float32")


# A part gets a folder for its files, how many JPEGs to make and how many rounds to measure, and prints. A contender is
# a function that returns an endless iterator of batches.


def memory(root: Path, count: int, rounds: int) -> None:
    import keras
    import tensorflow as tf

    import pipelines

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60_000, 28, 28), np.uint8)
    labels = np.arange(60_000) % 10
    file = root / "images.npz"
    np.savez(
        file,
        x_train=images,
        y_train=labels,
        x_val=images[:10],
        y_val=labels[:10],
        x_test=images[:10],
        y_test=labels[:10],
    )
    ready = ((images / 255 - 0.5) / 0.25).astype("float32")[..., None]
    targets = keras.utils.to_categorical(labels, 10)

    def ours(augmentation):
        data = pipelines.load(str(file), image_size=28, batch_size=SMALL_BATCH, augmentation=augmentation)
        return iter(data.train(10_000))

    def one(image, label):
        return (tf.cast(image[..., None], tf.float32) / 255 - 0.5) / 0.25, tf.one_hot(label, 10)

    def per_example(*layers):
        examples = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(10_000).repeat()

        def augmented(image, label):
            for layer in layers:
                image = layer(image)
            return image, label

        examples = examples.map(one)
        if layers:
            examples = examples.map(augmented, tf.data.AUTOTUNE)
        return iter(examples.batch(SMALL_BATCH).prefetch(tf.data.AUTOTUNE))

    def keras_arrays():
        from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

        adapter = ArrayDataAdapter(ready, targets, batch_size=SMALL_BATCH, shuffle=True)
        return iter(adapter.get_tf_dataset().repeat())

    def torch_loader():
        import torch

        data = torch.utils.data.TensorDataset(torch.from_numpy(ready.transpose(0, 3, 1, 2)), torch.from_numpy(labels))
        loader = torch.utils.data.DataLoader(
            data, SMALL_BATCH, shuffle=True, num_workers=2, multiprocessing_context="spawn", persistent_workers=True
        )
        return itertools.chain.from_iterable(itertools.repeat(loader))

    turned = [
        keras.layers.RandomRotation(0.033),
        keras.layers.RandomZoom(0.15),
        keras.layers.RandomTranslation(0.09, 0.09),
    ]
    plain = {
        "per-example from_tensor_slices, map, batch": lambda: per_example(),
        "PyTorch DataLoader, 2 workers": torch_loader,
        "Keras arrays, as fit feeds them": keras_arrays,
        "ours": lambda: ours("none"),
    }
    augmented = {
        "per-example map with Keras' layers": lambda: per_example(*turned),
        "ours": lambda: ours("light"),
    }
    measure("60,000 images of 28x28 in memory, not augmented", plain, SMALL_BATCH, 400, rounds)
    measure("the same, turned, zoomed and shifted", augmented, SMALL_BATCH, 60, rounds)


def write_photographs(root: Path, count: int) -> None:
    """JPEGs cut from scikit-learn's two photographs, in two folders; those that are there already stay."""
    if len(list(root.rglob("*.jpg"))) == count:
        return
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(photograph) for photograph in load_sample_images().images]
    for number in range(count):
        photograph = photographs[number % 2]
        size = [round(side * rng.uniform(0.5, 1)) for side in photograph.size]
        corner = [int(rng.integers(0, whole - side + 1)) for whole, side in zip(photograph.size, size, strict=True)]
        box = (*corner, corner[0] + size[0], corner[1] + size[1])
        folder = root / ("china", "flower")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        photograph.resize((500, 375), Image.Resampling.BICUBIC, box).save(folder / f"{number:05}.jpg", quality=92)


def folder(root: Path, count: int, rounds: int) -> None:
    import keras
    import tensorflow as tf

    import pipelines
    from pipelines.augmentation.policy import Policy
    from pipelines.dataset import AHEAD

    photographs = root / "photographs"
    write_photographs(photographs, count)
    files = sorted(map(str, photographs.rglob("*.jpg")))

    def ours(name, memory, margin=None):
        data = pipelines.load(
            str(photographs),
            augmentation=Policy(margin=margin),
            batch_size=BATCH,
            mean=MEAN,
            std=STD,
            data_memory=memory,
            data_dir=str(root),
        )
        return fill_cache(data, name) if memory else iter(data.train(10_000))

    def keras_directory(*layers):
        data = keras.utils.image_dataset_from_directory(
            photographs, image_size=(SIDE, SIDE), batch_size=BATCH, label_mode="categorical", verbose=False
        )
        data = data.map(lambda x, y: ((x / 255 - MEAN) / STD, y), tf.data.AUTOTUNE)
        for layer in layers:
            data = data.map(lambda x, y, layer=layer: (layer(x), y), tf.data.AUTOTUNE)
        return iter(data.repeat().prefetch(tf.data.AUTOTUNE))

    def decode_only():
        data = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files)).repeat()
        data = data.map(lambda file: tf.reduce_sum(tf.io.decode_jpeg(tf.io.read_file(file), 3)[0, 0]), tf.data.AUTOTUNE)
        return iter(data.batch(BATCH).prefetch(AHEAD))

    def resample_only():
        crops = tf.stack([tf.io.decode_jpeg(tf.io.read_file(file), 3)[40:320, 60:390] for file in files[:BATCH]])

        def resampled(row):
            return tf.image.resize(tf.cast(crops[row], tf.float32), (SIDE, SIDE))[0, 0, 0]

        data = tf.data.Dataset.range(BATCH).repeat().map(resampled, tf.data.AUTOTUNE)
        return iter(data.batch(BATCH).prefetch(AHEAD))

    def torch_loader():
        import torch

        loader = torch.utils.data.DataLoader(
            Photographs(files),
            BATCH,
            shuffle=True,
            num_workers=2,
            multiprocessing_context="spawn",
            persistent_workers=True,
        )
        return itertools.chain.from_iterable(itertools.repeat(loader))

    layers = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomTranslation(0.1, 0.1),
        keras.layers.RandomZoom((-0.5, 0)),
    ]
    contenders = {
        "image_dataset_from_directory, Keras' augmentation": lambda: keras_directory(*layers),
        "image_dataset_from_directory, no augmentation": keras_directory,
        "PyTorch DataLoader, torchvision, 2 workers": torch_loader,
        "decode only": decode_only,
        "resample only": resample_only,
        "ours": lambda: ours("", 0),
        "ours, kept": lambda: ours("kept random crops", 4096),
        "ours, kept, windows of a fixed scale": lambda: ours("kept windows of a fixed scale", 4096, margin=1 / 7),
    }
    rates = measure(f"a folder of {count:,} JPEGs of 500x375 to 224x224", contenders, BATCH, STEPS, rounds)
    series = 1 / (1 / rates["decode only"] + 1 / rates["resample only"])
    print(f"\nDecoding and then resampling, at these rates: {series:,.0f} images/s.", flush=True)


def fill_cache(data, name: str):
    """The batches after the first epoch, which keeps the decoded images; prints the rate of that epoch."""
    batches = iter(data.train(10_000))
    started = time.perf_counter()
    for _ in range(data.steps_per_epoch):
        next(batches)
    rate = data.steps_per_epoch * BATCH / (time.perf_counter() - started)
    print(f"\nThe first epoch of {name}, in which decoded images are kept: {rate:,.0f} images/s.")
    return batches


class Photographs:
    """A map-style data set for PyTorch's workers."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        from PIL import Image

        if not hasattr(self, "transform"):
            from benchmarks.parity import import_torch

            import_torch().set_num_threads(1)
            from torchvision import transforms as t

            crop = t.RandomResizedCrop(SIDE, scale=(0.25, 1.0))
            self.transform = t.Compose([crop, t.RandomHorizontalFlip(), t.ToTensor(), t.Normalize(MEAN, STD)])
        file = self.files[number]
        return self.transform(Image.open(file).convert("RGB")), int("flower" in file)


def records(root: Path, count: int, rounds: int) -> None:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    import pipelines

    photographs = root / "photographs"
    write_photographs(photographs, count)

    class BenchmarkPhotographs(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            label = tfds.features.ClassLabel(names=["china", "flower"])
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict({"image": tfds.features.Image(), "label": label})
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for file in sorted(photographs.rglob("*.jpg")):
                yield file.name, {"image": str(file), "label": file.parent.name}

    tfds.disable_progress_bar()
    builder = BenchmarkPhotographs(data_dir=str(root))
    with contextlib.redirect_stdout(sys.stderr):
        builder.download_and_prepare()

    def ours(memory):
        data = pipelines.load(
            "benchmark_photographs", batch_size=BATCH, mean=MEAN, std=STD, data_memory=memory, data_dir=str(root)
        )
        return fill_cache(data, "kept records") if memory else iter(data.train(10_000))

    def plain(cached):
        def prepared(example):
            image = tf.cast(example["image"], tf.float32)
            begin, size, _ = tf.image.sample_distorted_bounding_box(
                tf.shape(image), tf.zeros([1, 0, 4]), area_range=(0.25, 1.0), use_image_if_no_bounding_boxes=True
            )
            image = tf.image.resize(tf.slice(image, begin, size), (SIDE, SIDE))
            image = tf.image.random_flip_left_right(tf.ensure_shape(image, (SIDE, SIDE, 3)))
            return (image / 255 - MEAN) / STD, tf.one_hot(example["label"], 2)

        read = tfds.ReadConfig(try_autocache=cached)  # which TFDS does with less than 250 MB of records
        data = builder.as_dataset(split="train", shuffle_files=True, read_config=read).repeat().shuffle(500)
        return iter(data.map(prepared, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE))

    contenders = {
        "TFDS, one parallel map": lambda: plain(False),
        "TFDS, kept decoded by its default, one parallel map": lambda: plain(True),
        "ours, streamed": lambda: ours(0),
        "ours, kept": lambda: ours(4096),
    }
    measure(f"{count:,} JPEGs of 500x375 as TFDS records to 224x224", contenders, BATCH, STEPS, rounds)


def measure(title: str, contenders: dict, batch: int, steps: int, rounds: int) -> dict[str, float]:
    """Print the table of some contenders; images a second of each, the median of rounds."""
    iterators = {name: make() for name, make in contenders.items()}
    rates = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, batches in iterators.items():
            for _ in range(max(steps // 2, 12)):  # what the buffers hold from before
                next(batches)
            started = time.perf_counter()
            for _ in range(steps):
                next(batches)
            rates[name].append(steps * batch / (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ours = next(values for name, values in rates.items() if name.startswith("ours"))
    print(f"\n**{title}**, batches of {batch}, {rounds} rounds\n")
    print("| | ours is times as fast | middle half | images/s |\n|---|---|---|---|")
    for name, values in rates.items():
        ratios = [rate / other for rate, other in zip(ours, values, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        middle = statistics.median(ratios)
        rate = medians[name]
        print(f"| {name} | {middle:.2f} | {low:.2f} ... {high:.2f} | {rate:,.0f} |", flush=True)
    return medians


def training(root: Path, count: int, rounds: int) -> None:
    """Print how long steps of MobileNet 0.25 wait for the folder's images, and for contrast steps of nothing."""
    import tensorflow as tf

    from benchmarks.step_profile import profile_steps
    from pipelines.dataset import AHEAD
    from tfcnn.config import Config
    from tfcnn.training import loop
    from tfcnn.training.data import load_data
    from tfcnn.training.fit import build_model

    write_photographs(root / "photographs", count)
    config = Config(dataset=str(root / "photographs"), width=0.25, batch_size=BATCH, data_dir=str(root), data_memory=0)
    data = load_data(config)
    model, _ = build_model(config, data)
    loop.build_metrics(model, data)
    print(f"\n**{STEPS} steps on batches of {BATCH} of that folder**, by TensorFlow's profiler\n")
    print("| a step is | seconds | of them in IteratorGetNext |\n|---|---|---|")
    for name, step in (
        ("mobilenet-0.25's, forward and backward", None),
        ("nothing: the images are the slower ones", lambda batch: {"loss": tf.reduce_sum(batch[1])}),
    ):
        take = loop.several_steps(model, step)
        batches = iter(data.train(10_000))
        take(batches, AHEAD + 1)[0].numpy()
        profile = profile_steps(lambda take=take, batches=batches: take(batches, STEPS)[0].numpy())
        waited = profile.total["IteratorGetNext"] / 1e12
        print(f"| {name} | {profile.seconds:.1f} | {waited:.3f} ({waited / profile.seconds:.1%}) |", flush=True)


PARTS = {"memory": memory, "folder": folder, "records": records, "training": training}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
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
            PARTS[part](root, flags.images, flags.rounds)


if __name__ == "__main__":
    main()
