"""A trained network as a SavedModel: `python -m tfcnn.export RUN`.

TensorFlow loads it without tfcnn. It takes raw examples: it resizes and standardises them as the training did. The
endpoints for images:

    serve        (batch, height, width, channels), any size, of the type and range of the training data: uint8 for image
                 files and uint8 arrays; also the default signature
    serve_files  string (batch,): the bytes of JPEG, PNG, BMP or GIF files, read as in training: see `image_bytes`
    serve_ready  float32 (batch, *image_shape), resized and standardised by the caller

A detector's serve and serve_ready take regions (batch, r, 4) with the images, x1, y1, x2, y2 in their pixels; there is
no serve_files. Its serve_regions takes raw images of the network's size, and returns a box and a score for each region
and class, before non-maximum suppression, as the files of LiteRT and ONNX do. Selective search is no part of a
SavedModel: the client has `tfcnn.detection.proposals` compute them.
For sounds and volumes `serve` takes float32 (batch, *image_shape) in the range of the data; there is no serve_files.
Values far outside the range of the training data, and files that cannot be read equally, fail with a line that says so;
0 ... 1 given to a network of -1 ... 1 lies inside its range, and is taken as bright images.
The outputs, by task:

    classification   probabilities, class, class_name
    segmentation     serve: probabilities (batch, height, width, classes), class (batch, height, width), at the images'
                     own size, 255 where nothing is predicted; serve_files: the probabilities of the network's map, and
                     mask, string (batch,), grey PNGs of the files' own sizes; serve_ready: the network's map
    detection        boxes (batch, n, 4), scores (batch, n), class (batch, n), class_name (batch, n)
    reconstruction   image (batch, *image_shape), in the range of the data
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.files import writing
from tfcnn.model_files import in_float32
from tfcnn.results import Outputs, Served, ServedRegions, results_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def export_savedmodel(model: keras.Model, path: str | Path, facts: dict[str, Any]) -> None:
    """Write a SavedModel.

    Args:
        model: from standardised examples to logits, or to standardised images. Its layers compute in float32 there,
            whatever they did in training, and batch norms are folded into the convolutions before them.
        path: folder to write; one that exists is replaced when the new one is complete.
        facts: of the training data: task, image_shape, value_range, fit, mean, std, class_names; dtype and white_level
            where they are known.
    """
    import keras
    import tensorflow as tf

    from pipelines.inputs import lowest_value
    from tfcnn.export.folding import fold_batch_norms
    from tfcnn.export.standardisation import standardiser

    model = fold_batch_norms(in_float32(model))
    shape = tuple(facts["image_shape"])
    low, high = facts["value_range"]
    served = results_of(facts["task"]).serve(model, facts)

    def run_network(examples: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(examples, training=False), tf.float32)

    def standardise(examples: tf.Tensor, low: float = low, high: float = high) -> tf.Tensor:
        return standardiser(facts, low, high)(examples)

    def serve_ready(examples: tf.Tensor) -> Outputs:
        assert isinstance(served, Served)
        return served.ready(run_network(examples))

    def serve_in_range(examples: tf.Tensor) -> Outputs:
        return serve_ready(standardise(check_range(examples, lowest_value(shape, (low, high)), high)))

    def run_on_pixels(pixels: tf.Tensor, low: float, high: float) -> tf.Tensor:
        return run_network(standardise(pixels, low, high))

    archive = keras.export.ExportArchive()
    archive.track(model)
    if isinstance(served, ServedRegions):
        _add_region_endpoints(archive, standardise, served, facts)
    elif len(shape) == 3:
        _add_image_endpoints(archive, run_on_pixels, served, facts)
    else:
        archive.add_endpoint("serve", serve_in_range, [tf.TensorSpec((None, *shape), tf.float32, "examples")])
    if not isinstance(served, ServedRegions):
        archive.add_endpoint("serve_ready", serve_ready, [tf.TensorSpec((None, *shape), tf.float32, "examples")])
    with writing(Path(path)) as draft:
        archive.write_out(str(draft), verbose=False)


def check_range(examples: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """The examples; an assertion fails where their values are far outside `low` ... `high`, or 0 ... 1 in its place."""
    import tensorflow as tf

    if examples.dtype == tf.uint8 and (low, high) == (0, 255):
        return examples
    values = tf.cast(examples, tf.float32)
    least = tf.reduce_min(values)
    largest = tf.reduce_max(values)
    slack = (high - low) / 2
    inside = (least >= low - slack) & (largest <= high + slack)
    if examples.dtype.is_floating and high - low > 20:
        inside &= (tf.maximum(-least, largest) > 1) | ((least == 0) & (largest == 0))
    message = f"this network was trained on values from {low:g} to {high:g}, but received values from"
    check = tf.debugging.Assert(inside | (tf.size(values) == 0), [message, least, "to", largest])
    with tf.control_dependencies([check]):
        return tf.identity(examples)


def raw_dtype(facts: dict[str, Any]) -> str:
    """The type of raw examples: of images that of the training data, with every kind of fraction as float32."""
    low, high = facts["value_range"]
    if len(facts["image_shape"]) != 3:
        return "float32"
    name = facts.get("dtype", "uint8" if (low, high) == (0, 255) else "float32")
    return "float32" if name.startswith(("float", "bfloat")) else name


def _names_its_white(low: float, high: float) -> bool:
    """Whether the ends of a range are black and white, so that the pixels of a file can be mapped to it."""
    return (low, high) in ((-1, 1), (-32768, 32768)) or (low == 0 and high in (1, 255, 1023, 4095, 16383, 65535))


def _add_image_endpoints(
    archive: keras.export.ExportArchive,
    run_on_pixels: Callable[[tf.Tensor, float, float], tf.Tensor],
    served: Served,
    facts: dict[str, Any],
) -> None:
    """Endpoints for images of any size, resized as pipelines.load does, by their `fit`.

    Args:
        archive: gets them.
        run_on_pixels: the outputs for pixels of the network's size, their black and their white.
        served: by task, what becomes of the outputs.
        facts: of the training data.
    """
    import tensorflow as tf

    from pipelines import fitting
    from tfcnn.export.image_bytes import decode_image
    from tfcnn.results.loops import map_apart

    height, width, channels = facts["image_shape"]
    low, high = facts["value_range"]

    def fit(images: tf.Tensor) -> tf.Tensor:
        return fitting.fit_images(images, height, width, facts["fit"])

    def serve_images(images: tf.Tensor) -> Outputs:
        above_black = tf.cast(check_range(images, low, high), tf.float32) - low  # so that black is padded
        return served.images(run_on_pixels(fit(above_black), 0.0, high - low), tf.shape(images)[1:3])

    def serve_files(files: tf.Tensor) -> Outputs:
        def decode(file: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = decode_image(file, channels, facts.get("white_level", 65535))
            return fit(image), tf.shape(image)[:2]

        signature = (tf.TensorSpec((height, width, channels), tf.float32), tf.TensorSpec((2,), tf.int32))
        pixels, sizes = map_apart(decode, files, signature)
        return served.files(run_on_pixels(pixels, 0.0, 255.0), sizes)

    def refuse_files(files: tf.Tensor) -> Outputs:
        message = f"files have values from 0 to 255, but this network was trained on {low:g} to {high:g}: use serve"
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            blank = tf.zeros((tf.size(files), height, width, channels))
            return served.files(run_on_pixels(blank, low, high), tf.ones((tf.size(files), 2), tf.int32))

    images = tf.TensorSpec((None, None, None, channels), raw_dtype(facts), "images")
    readable = channels in (1, 3) and _names_its_white(low, high)
    archive.add_endpoint("serve", serve_images, [images])
    files = [tf.TensorSpec((None,), tf.string, "files")]
    archive.add_endpoint("serve_files", serve_files if readable else refuse_files, files)


def _add_region_endpoints(
    archive: keras.export.ExportArchive,
    standardise: Callable[[tf.Tensor, float, float], tf.Tensor],
    served: ServedRegions,
    facts: dict[str, Any],
) -> None:
    """Endpoints for images and regions of them. The arguments are as those of `_add_image_endpoints`."""
    import tensorflow as tf

    from pipelines import fitting

    height, width, channels = facts["image_shape"]
    low, high = facts["value_range"]

    def serve_images(images: tf.Tensor, regions: tf.Tensor) -> Outputs:
        above_black = tf.cast(check_range(images, low, high), tf.float32) - low
        fitted = fitting.fit_images(above_black, height, width, facts["fit"])
        return served.images(standardise(fitted, 0.0, high - low), regions, tf.shape(images)[1:3])

    def serve_regions(images: tf.Tensor, regions: tf.Tensor) -> Outputs:
        return served.candidates(standardise(check_range(images, low, high), low, high), regions)

    regions = tf.TensorSpec((None, None, 4), tf.float32, "regions")
    images = tf.TensorSpec((None, None, None, channels), raw_dtype(facts), "images")
    archive.add_endpoint("serve", serve_images, [images, regions])
    fitted = tf.TensorSpec((None, height, width, channels), raw_dtype(facts), "images")
    archive.add_endpoint("serve_regions", serve_regions, [fitted, regions])
    examples = tf.TensorSpec((None, height, width, channels), tf.float32, "examples")
    archive.add_endpoint("serve_ready", served.ready, [examples, regions])
