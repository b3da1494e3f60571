"""Segmentation: intersection over union, pixel accuracy and confusion of the classes; masks and overlays of files.

Positions of label 255 do not count. A network whose map is smaller than the mask is scored at the positions that it
predicts, as it was trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.class_scores import confusion_table, confusion_text
from tfcnn.errors import quote_names
from tfcnn.map_places import match_map
from tfcnn.results import Classes, Evaluation, Facts, Network, Options, Outputs, Results, Scores, Served, before_noun
from tfcnn.results.masks import predict_masks
from tfcnn.results.outputs import probabilities_of, responding
from tfcnn.results.ranking import Ranked, fetch_examples, rank
from tfcnn.results.resampling import places_of
from tfcnn.tables import Table, as_text
from tfcnn.tasks import IGNORE_LABEL

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data
    from pipelines.inputs import Example

MOST_CLASSES = 24  # in a sheet's legend
WRONG = (0.85, 0.1, 0.1)  # colour of wrong pixels
LIGHTER = 0.6  # exponent of the palette's shares: VOC's dark red of class 8 is hardly seen on black


def count_pixels(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """The confusion matrix of each image.

    Args:
        truth: whole numbers (batch, ...), 0 ... classes - 1, or 255 where it is not counted.
        predicted: whole numbers (batch, ...).
        classes: number of classes.

    Returns:
        int64 (batch, classes, classes): pixels; row: true class, column: predicted.
    """
    import numpy as np

    counts = []
    for true_mask, mask in zip(truth, predicted, strict=True):
        valid = true_mask != IGNORE_LABEL
        pairs = true_mask[valid].astype(np.int64) * classes + mask[valid]
        counts.append(np.bincount(pairs, minlength=classes**2).reshape(classes, classes))
    return np.array(counts)


def class_ious(matrix: np.ndarray) -> np.ndarray:
    """Intersection over union of each class of a confusion matrix, float64 (classes,); NaN of a class without a pixel.

    >>> import numpy as np
    >>> class_ious(np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]])).tolist()
    [0.75, 0.5, nan]
    """
    import numpy as np

    intersection = matrix.diagonal().astype(float)
    union = matrix.sum(0) + matrix.sum(1) - intersection
    return np.divide(intersection, union, out=np.full_like(intersection, np.nan), where=union > 0)


def mean_iou(matrix: np.ndarray) -> float:
    """The mean of `class_ious` over the classes that the masks or the predictions have; NaN if there are none."""
    import numpy as np

    ious = class_ious(matrix)
    present = ious[np.isfinite(ious)]
    return float(present.mean()) if len(present) else float("nan")


def evaluate(model: keras.Model, data: Data, split: str, classes: Classes) -> Scores:
    """The scores of a network for masks.

    Returns:
        dict: "mean_iou", "pixel_accuracy"; by the name of a class "iou" (None of one that neither the masks nor the
        predictions have), "recall" and "pixels" (those of the masks); "class_names", "confusion" (a list of lists of
        pixels; row: true class, column: predicted), and "ranked": the worst, the median and the best images by their
        own mean IoU, as lists of [group, number in the split, mean IoU].
    """
    import numpy as np

    names = list(classes.names)
    numbers = _number_table(classes)
    matrix = np.zeros((len(names), len(names)), np.int64)
    own_ious = []
    for inputs, targets in data.evaluation(split):
        predicted = model.predict_on_batch(inputs).argmax(-1)
        for counts in count_pixels(numbers[targets.numpy()], predicted, len(names)):
            matrix += counts
            own_ious.append(mean_iou(counts))
    ious = class_ious(matrix)
    pixels = matrix.sum(1)
    recall = np.divide(matrix.diagonal(), pixels, out=np.full(len(names), np.nan), where=pixels > 0)
    return {
        "mean_iou": mean_iou(matrix),
        "pixel_accuracy": float(matrix.trace() / max(matrix.sum(), 1)),
        "iou": {name: _share(value) for name, value in zip(names, ious, strict=True)},
        "recall": {name: _share(value) for name, value in zip(names, recall, strict=True)},
        "pixels": dict(zip(names, pixels.tolist(), strict=True)),
        "class_names": names,
        "confusion": matrix.tolist(),
        "ranked": [list(ranked) for ranked in rank(own_ious)],
    }


def _number_table(classes: Classes) -> np.ndarray:
    """The run's class for each value of the data's masks: uint8 (256,); 255 stays."""
    import numpy as np

    table = np.full(256, IGNORE_LABEL, np.uint8)
    table[: len(classes.numbers)] = classes.numbers
    return table


def _share(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def describe(result: Scores) -> str:
    """The confusion matrix, in percent of the pixels of the true class, and the scores as text."""
    names = result["class_names"]
    totals = [result["pixels"][name] for name in names]
    shares = [
        [f"{100 * count / max(total, 1):.1f}" if count else 0 for count in row]
        for row, total in zip(result["confusion"], totals, strict=True)
    ]
    rows = []
    for name, total in zip(names, totals, strict=True):
        scores = [result[key][name] for key in ("iou", "recall")]
        rows.append([name, *("-" if score is None else f"{score:.2%}" for score in scores), f"{total:,}"])
    absent = [name for name, total in zip(names, totals, strict=True) if not total]
    lines = [
        "percent of the pixels of each true class",
        confusion_text({"class_names": names, "confusion": shares}),
        "\n" + as_text(("class", "IoU", "recall", "pixels"), rows, words=[0]) + "\n",
        f"mean IoU        {result['mean_iou']:.2%} of {result['examples']:,} {before_noun(result['split'])}images",
        f"pixel accuracy  {result['pixel_accuracy']:.2%} of {sum(totals):,} pixels",
    ]
    if absent:
        lines.append(f"absent          {quote_names(absent)}: no {before_noun(result['split'])}pixel")
    return "\n".join(lines)


def class_table(scores: Scores) -> Table:
    """The scores of each class."""
    keys = ("iou", "recall", "pixels")
    rows = [[name, *(scores[key][name] for key in keys)] for name in scores["class_names"]]
    return Table(("class", *keys), rows)


def draw_confusion(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw the confusion matrix, in percent of the pixels of the true class."""
    import numpy as np

    from tfcnn.visualize import confusion

    matrix = np.array(evaluation.scores["confusion"])
    percent = (100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)).round(1)
    confusion.draw_confusion(percent, tuple(evaluation.classes.names), path, title=title)


def draw_sheet(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw image, truth, prediction and error of the worst, the median and the best images."""
    import numpy as np

    from tfcnn.visualize import sheet
    from tfcnn.visualize.palette import voc_palette

    data = evaluation.data
    names = evaluation.classes.names
    ranked = [Ranked(*row) for row in evaluation.scores["ranked"]]
    inputs, targets = fetch_examples(data, evaluation.split, [row.number for row in ranked])
    truths = _number_table(evaluation.classes)[targets]
    predictions = evaluation.model.predict_on_batch(inputs).argmax(-1).astype(np.uint8)
    images = (inputs * np.asarray(data.std) + np.asarray(data.mean)).clip(0, 1)
    match = match_map(evaluation.model, data.image_shape[:-1])
    colours = (voc_palette() / 255) ** LIGHTER
    note = "of each volume the slice with most of its classes" if targets.ndim == 4 else ""
    rows: list[sheet.Row] = []
    for row, image, truth, prediction in zip(ranked, images, truths, predictions, strict=True):
        image = image if match is None else image[np.ix_(*match.places)]
        if truth.ndim == 3:
            middle = _fullest_slice(truth)
            image, truth, prediction = image[middle], truth[middle], prediction[middle]
        label = f"{row.group}\nnumber {row.number}\nmean IoU\n{row.score:.1%}"
        error = _draw_error(image, truth, prediction)
        titles = [] if rows else ["image", "truth", "prediction", "error"]
        rows.append(sheet.Row(label, [sheet.as_picture(image), colours[truth], colours[prediction], error], titles))
    shown = [number for number in np.unique([truths, predictions]) if number < len(names)][:MOST_CLASSES]
    legend = [(names[number], _colour(colours[number])) for number in shown]
    if (truths == IGNORE_LABEL).any():
        legend.append(("ignored", _colour(colours[IGNORE_LABEL])))
    sheet.draw_sheet(
        rows,
        path,
        title=title,
        legend=[*legend, ("wrong", WRONG)],
        note=note,
    )


def _colour(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue


def _fullest_slice(mask: np.ndarray) -> int:
    """The slice of a mask (depth, height, width) with the most pixels of other classes than the first."""
    return int(((mask != 0) & (mask != IGNORE_LABEL)).sum((1, 2)).argmax())


def _draw_error(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The image in pale grey, with wrong pixels in `WRONG` and ignored ones white."""
    import numpy as np

    grey = 0.5 + 0.35 * image.mean(-1, keepdims=True)
    result = np.repeat(grey, 3, axis=-1)
    result[(truth != prediction) & (truth != IGNORE_LABEL)] = WRONG
    result[truth == IGNORE_LABEL] = 1
    return result


def serve(model: keras.Model, facts: Facts) -> Served:
    """What the endpoints return.

    ready: "probabilities" (batch, height, width, classes) and "class" (batch, height, width), the network's map.
    images: the same at the images' own size; "class" is 255 where the network predicts nothing.
    files: "probabilities", the network's map, and "mask", string (batch,): a grey PNG of each file's own size, whose
    values are the numbers of the classes, or 255.
    """
    import tensorflow as tf

    from tfcnn.results.loops import map_apart

    def ready(outputs: tf.Tensor) -> Outputs:
        probabilities = tf.nn.softmax(outputs)
        return {"probabilities": probabilities, "class": tf.argmax(probabilities, axis=-1)}

    def without_sizes(outputs: tf.Tensor, sizes: Any) -> Outputs:
        return ready(outputs)

    if len(facts["image_shape"]) != 3:  # volumes have the network's size
        return Served(ready, without_sizes, without_sizes)
    places = places_of(model, facts)

    def images(outputs: tf.Tensor, size: tf.Tensor) -> Outputs:
        probabilities, inside = places.undo(tf.nn.softmax(outputs), size)
        best = tf.argmax(probabilities, axis=-1)
        return {"probabilities": probabilities, "class": tf.where(inside, best, IGNORE_LABEL)}

    def files(outputs: tf.Tensor, sizes: tf.Tensor) -> Outputs:
        def encode(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            mask = images(pair[0][None], pair[1])["class"][0]
            return tf.io.encode_png(tf.cast(mask, tf.uint8)[..., None])

        masks = map_apart(encode, (outputs, sizes), tf.TensorSpec((), tf.string))
        return {"probabilities": tf.nn.softmax(outputs), "mask": masks}

    return Served(ready, images, files)


def predict(network: Network, examples: Sequence[Example], options: Options) -> Iterator[str]:
    """For each example a line: its path, and the share of each class; with --out its mask and more."""
    return predict_masks(network, examples, options)


RESULTS = Results(
    evaluate=evaluate,
    describe=describe,
    pictures={"confusion": draw_confusion, "sheet": draw_sheet},
    tables={"classes": class_table, "confusion": confusion_table},
    answer=probabilities_of,
    flags=("out", "inference", "tta"),
    predict=predict,
    serve=serve,
    respond=responding(serve),
)
