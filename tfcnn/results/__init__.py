"""What comes of a trained network, by task: a file of this room for each, found through `tfcnn.tasks.TASKS`.

Each file ends with `RESULTS`, a `Results`. The commands call it and know no task: `tfcnn.evaluate` its `evaluate`,
`describe` and `pictures`; `tfcnn.predict` its `predict`; `tfcnn.load` its `answer`; `tfcnn.export` its `serve`;
`tfcnn.serve` its `respond`. Another task is a row of TASKS, a file here, and rows of `tfcnn.losses.LOSSES` and
`tfcnn.metrics.METRICS`.

NumPy, Matplotlib and TensorFlow are imported in the functions, so that bad input is refused without the wait for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tfcnn.tables import Table
from tfcnn.tasks import TASKS

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data
    from pipelines.inputs import Example, Inputs

Scores = dict[str, Any]
Facts = Mapping[str, Any]  # of the training data, as config.json keeps them
ALL = "all"  # of a data set's examples, in place of a split
Outputs = dict[str, Any]  # of an exported endpoint: tensors by name
INFERENCES = ("resize", "tile")  # the first is the default
FORMS = ("text", "csv", "json")  # of what `predict` prints of a classifier
VIEWS = ("none", "flip", "five-crop", "ten-crop")  # of an image, see `tfcnn.results.views`


class Classes(NamedTuple):
    """The classes of a run, and of the data that it is evaluated on.

    Attributes:
        names: of the run's classes, in the order of the network's outputs; none in a reconstruction.
        numbers: the run's class for each class of the data.
    """

    names: Sequence[str]
    numbers: Sequence[int]


class Evaluation(NamedTuple):
    """An evaluation, for its pictures.

    Attributes:
        model: as trained, from standardised examples.
        data: with the targets that the network predicts.
        split: "train", "validation", "test" or "all".
        classes: of the run and of the data.
        scores: what `Results.evaluate` returned.
    """

    model: keras.Model
    data: Data
    split: str
    classes: Classes
    scores: Scores


class Options(NamedTuple):
    """The flags of `tfcnn.predict`. A task takes those that its `Results.flags` name.

    Attributes:
        top: classes to show for an image.
        format: of their table, one of FORMS.
        out: the folder to write.
        inference: how an image of another size than the network's is segmented: "resize" or "tile".
        batch_size: examples that the network gets at once.
        tta: test-time augmentation, one of VIEWS.
        cam: whether to write pictures of Grad-CAM.
    """

    top: int = 3
    format: str = FORMS[0]
    out: Path | None = None
    inference: str = INFERENCES[0]
    batch_size: int = 32
    tta: str = VIEWS[0]
    cam: bool = False


class Network(Protocol):
    """What `tfcnn.trained.Trained` has; it stands above this room."""

    model: keras.Model  # float32
    facts: dict[str, Any]
    class_names: tuple[str, ...]
    inputs: Inputs  # reads files and arrays as the run's evaluation does

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """What the network says of values 0 ... 255 (batch, ...), as `Results.answer` puts it."""


class Served(NamedTuple):
    """TensorFlow functions from a network's float32 outputs for a batch to what an exported endpoint returns.

    Attributes:
        ready: of examples at the network's size.
        images: of images of one size: also takes int32 (2,), the height and the width that they had.
        files: of image files: also takes int32 (batch, 2), the height and the width of each.
    """

    ready: Callable[[tf.Tensor], Outputs]
    images: Callable[[tf.Tensor, tf.Tensor], Outputs]
    files: Callable[[tf.Tensor, tf.Tensor], Outputs]


class ServedRegions(NamedTuple):
    """TensorFlow functions from standardised images, and regions of them, to what an exported endpoint returns.

    Attributes:
        ready: of images and regions at the network's size.
        images: of images of one size, fitted to the network's: also takes int32 (2,), the height and the width that
            they had; the regions are in pixels of those.
        candidates: of images and regions at the network's size: what each region says, before any is chosen.
    """

    ready: Callable[[tf.Tensor, tf.Tensor], Outputs]
    images: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Outputs]
    candidates: Callable[[tf.Tensor, tf.Tensor], Outputs]


class Results(NamedTuple):
    """What one task makes of a network's outputs.

    Attributes:
        evaluate: (model, data, split, classes) -> scores for JSON, the headline's first. The command adds "split",
            "dataset", "fingerprint", "examples" and "duplicates".
        describe: (scores) -> the text that `tfcnn.evaluate` prints.
        pictures: by the beginning of a file's name, as "confusion": (evaluation, path, title) draws a PNG. Training
            draws "sheet" of the test split, where there is one.
        tables: by the beginning of a file's name: (scores) -> a table for CSV.
        answer: (model, standardised inputs, facts) -> what `tfcnn.load(RUN).predict` returns; its shape but for the
            batch is the same for all inputs of a run.
        flags: the fields of `Options` that `predict` heeds.
        predict: (network, opened examples, options) -> the lines that `tfcnn.predict` prints, one for each.
        serve: (model, facts) -> what the exported endpoints return.
        respond: (model, facts) -> a function of standardised inputs (batch, *image_shape) and sizes int32 (batch, 2),
            the heights and widths that the images had: what `tfcnn.serve` answers, arrays (batch, ...) by name. The
            answer for an example is the same in any batch.
    """

    evaluate: Callable[[keras.Model, Data, str, Classes], Scores]
    describe: Callable[[Scores], str]
    pictures: Mapping[str, Callable[[Evaluation, Path, str], None]]
    tables: Mapping[str, Callable[[Scores], Table]]
    answer: Callable[[keras.Model, np.ndarray, Facts], np.ndarray]
    flags: tuple[str, ...]
    predict: Callable[[Network, Sequence[Example], Options], Iterator[str]]
    serve: Callable[[keras.Model, Facts], Served | ServedRegions]
    respond: Callable[[keras.Model, Facts], Callable[[np.ndarray, np.ndarray], Outputs]]


def results_of(task: str) -> Results:
    """The results of a task: `RESULTS` of its file."""
    return importlib.import_module(TASKS[task].results).RESULTS


def before_noun(split: str) -> str:
    """A split as it stands before a noun: "test "; "" where all examples are meant."""
    return "" if split == ALL else f"{split} "


def title_of(arch: str, task: str, dataset: str, split: str, scores: Scores) -> str:
    """The title of a picture of an evaluation: network, data, split and headline."""
    headline = TASKS[task].headline
    return f"{subject_of(arch, dataset)}, {split}: {headline.label} {headline.form.format(scores[headline.name])}"


def subject_of(arch: str, dataset: str) -> str:
    """What a picture of a run is of: network and data, of a folder or a file its name alone."""
    from pipelines.text import elide

    place = dataset.removeprefix("hf:")
    name = Path(place).name if Path(place).is_absolute() else dataset
    return f"{arch} on {elide(name, 30)}"
