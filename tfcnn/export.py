"""From a trained run to files that serve it: `python -m tfcnn.export RUN`.

A SavedModel is loaded by TensorFlow without tfcnn, and takes images as they are: resizing and
standardising are inside. Its endpoints all return probabilities, class and class name:

    serve        uint8 (batch, height, width, channels), any size; also the default signature
    serve_files  string (batch,): the bytes of JPEG, PNG, GIF or BMP files
    serve_ready  float32 (batch, *image_shape), resized and standardised by the caller

A network for reconstruction returns "image" in their place: float32 (batch, *image_shape), 0 ... 255.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tfcnn import command
from tfcnn.config import choose
from tfcnn.run_directory import RunDirectory, writing


def export_savedmodel(model, path: str | Path, facts: dict[str, Any]) -> None:
    """Write a SavedModel.

    Args:
        model: keras.Model from standardised images to logits.
        path: folder to write; one that exists is replaced when the new one is complete.
        facts: of the data it was trained on: task, image_shape, mean, std, class_names (none for reconstruction).
    """
    import keras
    import tensorflow as tf

    height, width, channels = facts["image_shape"]
    mean, std = (tf.constant(facts[name], tf.float32) for name in ("mean", "std"))
    names = tf.constant(facts["class_names"] or (), tf.string)
    # What pipelines.load does to an image that is not augmented, by the same layer.
    resize = keras.layers.Resizing(height, width, crop_to_aspect_ratio=True, antialias=True, dtype="float32")

    def serve_ready(images):
        outputs = tf.cast(model(images, training=False), tf.float32)
        if facts["task"] == "reconstruction":
            return {"image": tf.clip_by_value((outputs * std + mean) * 255.0, 0.0, 255.0)}
        probabilities = tf.nn.softmax(outputs)
        best = tf.argmax(probabilities, axis=-1)
        return {"probabilities": probabilities, "class": best, "class_name": tf.gather(names, best)}

    def serve(images):
        return serve_ready((resize(images) / 255.0 - mean) / std)

    def serve_files(files):
        def decode(file):
            return resize(tf.io.decode_image(file, channels, expand_animations=False))

        images = tf.map_fn(decode, files, fn_output_signature=tf.TensorSpec((height, width, channels), tf.float32))
        return serve_ready((images / 255.0 - mean) / std)

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, [tf.TensorSpec((None, None, None, channels), tf.uint8, "images")])
    archive.add_endpoint("serve_files", serve_files, [tf.TensorSpec((None,), tf.string, "files")])
    archive.add_endpoint(
        "serve_ready", serve_ready, [tf.TensorSpec((None, height, width, channels), tf.float32, "images")]
    )
    with writing(Path(path)) as draft:
        archive.write_out(str(draft), verbose=False)


FORMATS = ("savedmodel",)


def main() -> None:
    parser = command.Parser(prog="python -m tfcnn.export", description="Export a trained run for serving.")
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("--format", nargs="+", default=["savedmodel"], metavar="FORMAT", help="savedmodel")
    parser.add_argument("--out", metavar="DIR", help="where to write it [RUN/saved_model]")
    given = parser.parse_args()
    for name in given.format:
        choose("format", name, FORMATS, flag="--format")
    run = RunDirectory.opened(given.run).check_trained()
    command.import_tensorflow()
    model, facts = run.load_model(), run.read_config()["data"]
    path = Path(given.out or run.saved_model)
    export_savedmodel(model, path, facts)
    print(f"SavedModel written to {path}")


if __name__ == "__main__":
    sys.exit(command.run(main))
