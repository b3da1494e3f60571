"""From a trained run to files that serve it: `python -m tfcnn.export RUN`.

A SavedModel is loaded by TensorFlow without tfcnn, and takes examples as they are: fitting to the size and
standardising are inside. For images:

    serve        uint8 (batch, height, width, channels), any size; also the default signature
    serve_files  string (batch,): the bytes of JPEG, PNG, GIF or BMP files
    serve_ready  float32 (batch, *image_shape), fitted and standardised by the caller

For sounds and volumes `serve` takes float32 (batch, *image_shape) in the range of the data; there is no serve_files.
All return, by task:

    classification   probabilities, class, class_name
    segmentation     probabilities (batch, height, width, classes), class (batch, height, width), at the network's size
    reconstruction   image (batch, *image_shape), in the range of the data
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfcnn.files import writing


def export_savedmodel(model, path: str | Path, facts: dict[str, Any]) -> None:
    """Write a SavedModel.

    Args:
        model: keras.Model from standardised examples to logits, or to standardised images.
        path: folder to write; one that exists is replaced when the new one is complete.
        facts: of the data it was trained on: task, image_shape, value_range, fit, mean, std, class_names.
    """
    import keras
    import tensorflow as tf

    shape, (low, high) = tuple(facts["image_shape"]), facts["value_range"]
    mean, std = (tf.constant(facts[name], tf.float32) for name in ("mean", "std"))

    def serve_ready(examples):
        outputs = tf.cast(model(examples, training=False), tf.float32)
        if facts["task"] == "reconstruction":
            return {"image": tf.clip_by_value((outputs * std + mean) * (high - low) + low, low, high)}
        probabilities = tf.nn.softmax(outputs)
        best = tf.argmax(probabilities, axis=-1)
        if facts["task"] == "segmentation":
            return {"probabilities": probabilities, "class": best}
        return {"probabilities": probabilities, "class": best, "class_name": tf.gather(facts["class_names"], best)}

    def serve(examples):
        examples = (tf.cast(examples, tf.float32) - low) / (high - low)
        return serve_ready((examples - mean) / std)

    archive = keras.export.ExportArchive()
    archive.track(model)
    if len(shape) != 3:
        archive.add_endpoint("serve", serve, [tf.TensorSpec((None, *shape), tf.float32, "examples")])
    else:
        height, width, channels = shape
        # What pipelines.load does to an image that is not augmented, by the same layer.
        aspect = {f"{facts['fit']}_to_aspect_ratio": True}
        resize = keras.layers.Resizing(height, width, **aspect, antialias=True, dtype="float32")

        def serve_images(images):
            return serve(resize(images))

        def serve_files(files):
            def decode(file):
                return resize(tf.io.decode_image(file, channels, expand_animations=False))

            return serve(tf.map_fn(decode, files, fn_output_signature=tf.TensorSpec(shape, tf.float32)))

        archive.add_endpoint("serve", serve_images, [tf.TensorSpec((None, None, None, channels), tf.uint8, "images")])
        archive.add_endpoint("serve_files", serve_files, [tf.TensorSpec((None,), tf.string, "files")])
    archive.add_endpoint("serve_ready", serve_ready, [tf.TensorSpec((None, *shape), tf.float32, "examples")])
    with writing(Path(path)) as draft:
        archive.write_out(str(draft), verbose=False)
