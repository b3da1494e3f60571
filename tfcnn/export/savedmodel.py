"""A trained network as a SavedModel: `python -m tfcnn.export RUN`.

TensorFlow loads it without tfcnn. It takes raw examples: it resizes and standardises them as the training did. The
endpoints for images:

    serve        uint8 (batch, height, width, channels), any size; also the default signature
    serve_files  string (batch,): the bytes of JPEG, PNG, GIF or BMP files
    serve_ready  float32 (batch, *image_shape), resized and standardised by the caller

For sounds and volumes `serve` takes float32 (batch, *image_shape) in the range of the data; there is no serve_files.
The outputs, by task:

    classification   probabilities, class, class_name
    segmentation     probabilities (batch, height, width, classes), class (batch, height, width), at the network's size
    reconstruction   image (batch, *image_shape), in the range of the data
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.files import writing

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Outputs = dict[str, Any]


def export_savedmodel(model: keras.Model, path: str | Path, facts: dict[str, Any]) -> None:
    """Write a SavedModel.

    Args:
        model: from standardised examples to logits, or to standardised images.
        path: folder to write; one that exists is replaced when the new one is complete.
        facts: of the training data: task, image_shape, value_range, fit, mean, std, class_names.
    """
    import keras
    import tensorflow as tf

    shape = tuple(facts["image_shape"])
    low, high = facts["value_range"]
    mean = tf.constant(facts["mean"], tf.float32)
    std = tf.constant(facts["std"], tf.float32)

    def serve_ready(examples: tf.Tensor) -> Outputs:
        outputs = tf.cast(model(examples, training=False), tf.float32)
        if facts["task"] == "reconstruction":
            return {"image": tf.clip_by_value((outputs * std + mean) * (high - low) + low, low, high)}
        probabilities = tf.nn.softmax(outputs)
        best = tf.argmax(probabilities, axis=-1)
        if facts["task"] == "segmentation":
            return {"probabilities": probabilities, "class": best}
        return {"probabilities": probabilities, "class": best, "class_name": tf.gather(facts["class_names"], best)}

    def serve(examples: tf.Tensor) -> Outputs:
        examples = (tf.cast(examples, tf.float32) - low) / (high - low)
        return serve_ready((examples - mean) / std)

    archive = keras.export.ExportArchive()
    archive.track(model)
    if len(shape) == 3:
        _add_image_endpoints(archive, serve, shape, facts["fit"])
    else:
        archive.add_endpoint("serve", serve, [tf.TensorSpec((None, *shape), tf.float32, "examples")])
    archive.add_endpoint("serve_ready", serve_ready, [tf.TensorSpec((None, *shape), tf.float32, "examples")])
    with writing(Path(path)) as draft:
        archive.write_out(str(draft), verbose=False)


def _add_image_endpoints(
    archive: keras.export.ExportArchive, serve: Callable[[Any], Outputs], shape: tuple[int, ...], fit: str
) -> None:
    """Endpoints for images of any size, resized as pipelines.load does, by `fit`: "crop" or "pad"."""
    import tensorflow as tf

    from pipelines import fitting

    height, width, channels = shape

    def resize(images: tf.Tensor) -> tf.Tensor:
        return fitting.fit_images(images, height, width, fit)

    def serve_images(images: tf.Tensor) -> Outputs:
        return serve(resize(images))

    def serve_files(files: tf.Tensor) -> Outputs:
        def decode(file: tf.Tensor) -> tf.Tensor:
            return resize(tf.io.decode_image(file, channels, expand_animations=False))

        return serve(tf.map_fn(decode, files, fn_output_signature=tf.TensorSpec(shape, tf.float32)))

    archive.add_endpoint("serve", serve_images, [tf.TensorSpec((None, None, None, channels), tf.uint8, "images")])
    archive.add_endpoint("serve_files", serve_files, [tf.TensorSpec((None,), tf.string, "files")])
