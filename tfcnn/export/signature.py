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

A detector also takes regions (batch, r, 4), x1, y1, x2, y2 in pixels of images of the network's size. Its outputs are a
box and a score for each region and class, boxes (batch, r, classes, 4) and scores (batch, r, classes), as those of the
SavedModel's serve_regions: LiteRT has no non-maximum suppression of several classes, so that the client does it, with
the IoU and the least score of `tfcnn.detection.detector`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn.errors import BadInput
from tfcnn.export.savedmodel import raw_dtype
from tfcnn.export.standardisation import standardiser
from tfcnn.results import Outputs, ServedRegions, results_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Input(NamedTuple):
    """One input: its name, the shape of an example, and its type by name."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Signature(NamedTuple):
    """A function of raw examples.

    Attributes:
        serve: a tensor for each input, raw examples (batch, *shape) first -> outputs by name, without strings.
        inputs: the examples; of a detector also regions.
    """

    serve: Callable[..., Outputs]
    inputs: tuple[Input, ...]

    def specs(self, batch: int | None = None) -> list[tf.TensorSpec]:
        """The specifications of the inputs."""
        import tensorflow as tf

        return [tf.TensorSpec((batch, *shape), dtype, name) for name, shape, dtype in self.inputs]


def check_quantization(task: str, quantize: str) -> None:
    """Raises BadInput if networks for a task have no quantized files."""
    if task == "detection" and quantize != "none":
        raise BadInput(
            f"--quantize {quantize} is not for detection, whose regions are pixels, which need more bits; leave it out"
        )


def signature_of(
    model: keras.Model, facts: dict[str, Any], *, above_black: bool = False, by_rows: bool = True
) -> Signature:
    """The function of a network whose layers compute in float32, for examples of the network's size.

    Args:
        model: from standardised examples to logits, or to standardised images.
        facts: of the training data, as `export_savedmodel` takes them.
        above_black: whether the examples are float32, from 0 on: the lowest value of the range is subtracted already.
        by_rows: as `standardiser` takes it.
    """
    import tensorflow as tf

    shape = tuple(facts["image_shape"])
    low, high = facts["value_range"]
    standardise = standardiser(facts, *((0, high - low) if above_black else (low, high)), by_rows=by_rows)
    served = results_of(facts["task"]).serve(model, facts)
    inputs = [Input("images" if len(shape) == 3 else "examples", shape, "float32" if above_black else raw_dtype(facts))]

    if isinstance(served, ServedRegions):
        candidates = served.candidates
        inputs.append(Input("regions", (None, 4), "float32"))
        return Signature(lambda images, regions: candidates(standardise(images), regions), tuple(inputs))
    ready = served.ready

    def serve(examples: tf.Tensor) -> Outputs:
        outputs = ready(model(standardise(examples), training=False))
        return {name: tensor for name, tensor in outputs.items() if tensor.dtype != tf.string}

    return Signature(serve, tuple(inputs))
