"""A trained network with what it needs around it: `tfcnn.load("runs/RUN")`.

>>> trained = tfcnn.load("runs/RUN")                          # doctest: +SKIP
>>> trained.predict(["photo.jpg"])                            # doctest: +SKIP
array([[0.02, 0.97, 0.01]], dtype=float32)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfcnn.cli.startup import import_tensorflow
from tfcnn.model_files import in_float32
from tfcnn.results import results_of
from tfcnn.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras
    import numpy as np

    from pipelines.inputs import Example

BATCH = 32  # examples that the network gets at once

# NumPy, Keras and TensorFlow are imported in functions: a path that is no run is refused without the wait for them.


class Trained:
    """A network with the standardisation, the class names and the reader of files of its training.

    Args:
        model: the network; its layers compute in float32, whatever they did in training.
        facts: of the training data, as config.json keeps them.

    Attributes:
        model: keras.Model, from standardised examples float32 (batch, *image_shape).
        class_names: in the order of the outputs.
        task: one of `tfcnn.tasks.TASKS`.
        facts: as received.
        inputs: pipelines.inputs.Inputs, the reader of files and arrays.
        value_range: of raw arrays: (0, 255), (0, 1), (-1, 1) or as the training data had it. Arrays far outside are
            refused; 0 ... 1 given to a run of -1 ... 1 lies inside and cannot be told from bright images.
    """

    def __init__(self, model: keras.Model, facts: dict[str, Any]) -> None:
        from pipelines.inputs import Inputs

        self.model = in_float32(model)
        self.class_names: tuple[str, ...] = tuple(facts["class_names"] or ())
        self.task: str = facts["task"]
        self.value_range: tuple[float, float] = (float(facts["value_range"][0]), float(facts["value_range"][1]))
        self.facts = facts
        self.inputs = Inputs(facts)

    def preprocess(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Raw examples to what `model` takes.

        Args:
            images: (batch, height, width, channels), or a sequence of (height, width, channels), of any size, with
                values in `value_range`; sounds and volumes have the network's shape.

        Returns:
            float32 (batch, *image_shape): resized and standardised as for the run's evaluation.

        Raises:
            pipelines.BadData: another shape, or values of another range than that of the training data.
        """
        return self.inputs.from_arrays(images)

    def predict(self, examples: Any) -> np.ndarray:
        """What the network says of raw examples, or of files.

        Args:
            examples: arrays as for `preprocess`; or the path of a file, or a sequence of paths: images, .wav for
                sounds, .nii and .nii.gz for volumes (`pipelines.readers.nifti`), or .npz, whose array x or images has
                several examples. Files are read as in training, and refused as there.

        Returns:
            By task: probabilities float32 (batch, classes), or (batch, height, width, classes) of a segmentation; of a
            reconstruction, examples (batch, *image_shape) in the range of the training data; of a detection, float32
            (batch, 100, 6), rows of x1, y1, x2, y2 in pixels at the network's size, score and class, the best first and
            -1 where an image has no more.

        Raises:
            pipelines.BadData: a file that cannot be used, arrays of another shape or range, or files for a run whose
                training arrays have no known white.
        """
        import numpy as np

        paths = _paths(examples)
        if paths is None:
            inputs = self.preprocess(examples)
            parts = [inputs[first : first + BATCH] for first in range(0, max(len(inputs), 1), BATCH)]
            return np.concatenate([self._answer(part) for part in parts])
        return self.predict_examples(self.inputs.open(paths))

    def predict_examples(self, examples: Sequence[Example]) -> np.ndarray:
        """What the network says of examples that `inputs.open` has opened, as `predict`."""
        import numpy as np

        return np.concatenate([self._answer(batch) for batch in self.inputs.batches(examples, BATCH)])

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """What the network says of values 0 ... 255 (batch, ..., channels) of any size, as `predict`."""
        return self._answer(self.inputs.from_pixels(pixels))

    def _answer(self, inputs: np.ndarray) -> np.ndarray:
        """The outputs for one batch of standardised inputs."""
        return results_of(self.task).answer(self.model, inputs, self.facts)


def _paths(examples: Any) -> list[str] | None:
    """The paths of image files, or None for arrays."""
    if isinstance(examples, str | os.PathLike):
        return [os.fspath(examples)]
    if len(examples) > 0 and all(isinstance(example, str | os.PathLike) for example in examples):
        return [os.fspath(path) for path in examples]
    return None


def load(path: str | os.PathLike | RunDirectory) -> Trained:
    """The trained network of a run directory, with its standardisation, class names and reader of image files.

    Raises:
        BadInput: no run directory, or a run that is not finished.
    """
    run = path if isinstance(path, RunDirectory) else RunDirectory.open(path)
    run.check_finished()
    import_tensorflow()
    return Trained(run.load_model(), run.read_config()["data"])
