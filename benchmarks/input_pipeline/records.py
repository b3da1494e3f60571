"""The same JPEGs as TFRecords, as TensorFlow Datasets writes them."""

import contextlib
import sys
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds

import pipelines
from benchmarks.input_pipeline.photographs import write_photographs
from benchmarks.input_pipeline.rounds import BATCH, MEAN, SIDE, STD, STEPS, fill_cache, measure


def records(root: Path, count: int, rounds: int) -> None:
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
