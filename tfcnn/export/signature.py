"""A network from raw examples to answers, as the files of LiteRT and ONNX have it.

Input: the type and range of the training data: uint8 images for image files and uint8 arrays; float32 for sounds,
volumes and arrays of fractions. Values outside the range are not refused: neither format has assertions. ONNX takes
images of any size, LiteRT those of the network's size alone, because it has no resizing that is smoothed where images
shrink. A client of LiteRT crops (or pads) the image to the network's aspect, then resizes it bilinearly with
antialiasing, as Pillow's `resize(size, BILINEAR)` does.

Outputs, by task, are those of the SavedModel's serve_ready, without names of classes:

    classification   probabilities (batch, classes), class (batch,)
    segmentation     probabilities (batch, rows, columns, classes), class (batch, rows, columns): the network's map
    reconstruction   image (batch, *image_shape), in the range of the data
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn.errors import BadInput
from tfcnn.export.savedmodel import raw_dtype
from tfcnn.results import Outputs, Served, results_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Signature(NamedTuple):
    """A function of raw examples.

    Attributes:
        serve: raw examples (batch, *shape) -> outputs by name, without strings.
        name: of its input.
        shape: of an example.
        dtype: of the raw examples, by name.
    """

    serve: Callable[[tf.Tensor], Outputs]
    name: str
    shape: tuple[int, ...]
    dtype: str

    def spec(self, batch: int | None = None) -> tf.TensorSpec:
        """The specification of the input."""
        import tensorflow as tf

        return tf.TensorSpec((batch, *self.shape), self.dtype, self.name)


def check_task(task: str) -> None:
    """Raises BadInput if networks for a task have no function of examples alone."""
    if task == "detection":
        raise BadInput(
            "--format is not for detection, whose networks take regions and end in non-maximum suppression of batches, "
            "which LiteRT and ONNX lack; leave --format out for the SavedModel"
        )


def signature_of(model: keras.Model, facts: dict[str, Any], *, above_black: bool = False) -> Signature:
    """The function of a network whose layers compute in float32, for examples of the network's size.

    Args:
        model: from standardised examples to logits, or to standardised images.
        facts: of the training data, as `export_savedmodel` takes them.
        above_black: whether the examples are float32, from 0 on: the lowest value of the range is subtracted already.
    """
    import numpy as np
    import tensorflow as tf

    shape = tuple(facts["image_shape"])
    low, high = facts["value_range"]
    std = np.asarray(facts["std"], np.float64)
    # Arrays, not tensors: tf2onnx makes an input of each tensor from outside the function.
    factor = (1 / ((high - low) * std)).astype(np.float32)
    black = 0 if above_black else low
    offset = (-(black / (high - low) + np.asarray(facts["mean"])) / std).astype(np.float32)
    served = results_of(facts["task"]).serve(model, facts)
    assert isinstance(served, Served)

    def serve(examples: tf.Tensor) -> Outputs:
        outputs = served.ready(model(tf.cast(examples, tf.float32) * factor + offset, training=False))
        return {name: tensor for name, tensor in outputs.items() if tensor.dtype != tf.string}

    dtype = "float32" if above_black else raw_dtype(facts)
    return Signature(serve, "images" if len(shape) == 3 else "examples", shape, dtype)
