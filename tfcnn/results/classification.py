"""Classification: accuracy, scores of each class and confusion matrix; the most probable classes of a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn.class_scores import class_scores, confusion_text, scores_text
from tfcnn.errors import quote_names
from tfcnn.results import Classes, Evaluation, Facts, Network, Options, Outputs, Results, Scores, Served
from tfcnn.results.outputs import probabilities_of, responding
from tfcnn.results.ranking import Ranked, fetch_examples, rank
from tfcnn.tables import as_csv

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data

GUESSES = 5  # of the top-5 accuracy
FEW_CLASSES = 10  # with which five guesses say little
CSV_HEAD = ("file", "rank", "class", "probability")


class Confusions(NamedTuple):
    """Counts of a network's guesses."""

    matrix: np.ndarray  # int (classes, classes); row: true class, column: first guess
    hits: int  # examples whose true class is among the first `GUESSES`
    probabilities: list[float]  # of the true class, of each example


def count_confusions(model: keras.Model, dataset: tf.data.Dataset, classes: int, numbers: Sequence[int]) -> Confusions:
    """The guesses of a network for batches of images and one-hot targets.

    Args:
        model: gives logits of `classes`.
        dataset: the batches.
        classes: of the model.
        numbers: the model's class for each class of the targets.
    """
    import numpy as np

    matrix = np.zeros((classes, classes), int)
    hits = 0
    probabilities: list[float] = []
    model_class = np.array(numbers)
    for images, targets in dataset:
        logits = model.predict_on_batch(images)
        true_class = model_class[targets.numpy().argmax(-1)]
        np.add.at(matrix, (true_class, logits.argmax(-1)), 1)
        better = (logits > np.take_along_axis(logits, true_class[:, None], axis=-1)).sum(-1)
        hits += int((better < GUESSES).sum())
        probabilities += _softmax(logits)[np.arange(len(logits)), true_class].tolist()
    return Confusions(matrix, hits, probabilities)


def _softmax(logits: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    return softmax(logits.astype("float64"), axis=-1)


def evaluate(model: keras.Model, data: Data, split: str, classes: Classes) -> Scores:
    """The scores of a classifier.

    Returns:
        dict: "accuracy", "top5" (with more than ten classes), the scores of `class_scores`, "class_names", "confusion"
        (a list of lists of counts; row: true class, column: predicted), and "ranked": the worst, the median and the
        best by the probability of their true class, as lists of [group, number in the split, probability].
    """
    names = list(classes.names)
    counts = count_confusions(model, data.evaluation(split), len(names), classes.numbers)
    matrix = counts.matrix
    scores = {
        "accuracy": float(matrix.trace() / matrix.sum()),
        **class_scores(matrix, names),
        "class_names": names,
        "confusion": matrix.tolist(),
        "ranked": [list(ranked) for ranked in rank(counts.probabilities)],
    }
    if len(names) > FEW_CLASSES:
        scores["top5"] = float(counts.hits / matrix.sum())
    return scores


def describe(result: Scores) -> str:
    """The confusion matrix and the scores as text."""
    split = result["split"]
    lines = [
        confusion_text(result),
        f"\n{scores_text(result)}\n",
        f"accuracy  {result['accuracy']:.2%} of {result['examples']:,} {split} images",
        f"balanced  {result['balanced_accuracy']:.2%} (mean recall of the classes), mean F1 {result['macro_f1']:.2%}",
    ]
    if "top5" in result:
        lines.append(f"top 5     {result['top5']:.2%}")
    absent = [name for name, recall in result["per_class"].items() if recall is None]
    if absent:
        lines.append(f"absent    {quote_names(absent)}: no {split} image")
    return "\n".join(lines)


def draw_confusion(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw the confusion matrix."""
    import numpy as np

    from tfcnn.visualize import confusion

    matrix = np.array(evaluation.scores["confusion"])
    confusion.draw_confusion(matrix, tuple(evaluation.classes.names), path, title=title)


def draw_ranked(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw the worst, the median and the best examples: sounds as spectrograms, volumes as slices."""
    import numpy as np

    from tfcnn.visualize import sheet

    data = evaluation.data
    names, numbers = evaluation.classes
    ranked = [Ranked(*row) for row in evaluation.scores["ranked"]]
    inputs, targets = fetch_examples(data, evaluation.split, [row.number for row in ranked])
    probabilities = _softmax(evaluation.model.predict_on_batch(inputs))
    shares = inputs * np.asarray(data.std) + np.asarray(data.mean)
    panels: dict[str, list[np.ndarray]] = {}
    titles: dict[str, list[str]] = {}
    for row, share, target, probability in zip(ranked, shares, targets, probabilities, strict=True):
        best = int(probability.argmax())
        true_name = names[numbers[int(target.argmax())]]
        words = f"number {row.number}: {true_name}\npredicted {names[best]}, {probability[best]:.1%}"
        panels.setdefault(row.group, []).append(sheet.as_picture(share))
        titles.setdefault(row.group, []).append(words)
    rows = [sheet.Row(group, panels[group], titles[group]) for group in panels]
    note = "by the probability of the true class" + sheet.DESCRIPTIONS.get(inputs.ndim, "")
    sheet.draw_sheet(rows, path, title=title, note=note)


def best_classes(probabilities: np.ndarray, names: Sequence[str], top: int) -> list[tuple[str, float]]:
    """The `top` most probable classes of one example, the first the best, with their probabilities."""
    best = probabilities.argsort()[::-1][:top]
    return [(names[i], float(probabilities[i])) for i in best]


def predict(network: Network, paths: Sequence[str], options: Options) -> Iterator[str]:
    """For each file a line: its path, and the most probable classes; or all of them as a table of CSV or as JSON."""
    examples = network.inputs.open(paths)
    names = [example.name for example in examples]
    answers = (
        best_classes(probabilities, network.class_names, options.top)
        for probabilities in network.predict_examples(examples)
    )
    if options.format == "csv":
        yield as_csv(CSV_HEAD, _ranked_rows(names, answers)).rstrip("\n")
    elif options.format == "json":
        rows = [
            {"file": name, "classes": [{"name": each, "probability": share} for each, share in classes]}
            for name, classes in zip(names, answers, strict=True)
        ]
        yield json.dumps(rows, indent=1)
    else:
        width = max(map(len, names))
        for name, classes in zip(names, answers, strict=True):
            yield f"{name:{width}}  " + "  ".join(f"{each} {share:.1%}" for each, share in classes)


def _ranked_rows(
    names: Sequence[str], answers: Iterable[list[tuple[str, float]]]
) -> Iterator[tuple[str, int, str, float]]:
    """A row for each file and class, the most probable first."""
    for name, classes in zip(names, answers, strict=True):
        for place, (each, share) in enumerate(classes, start=1):
            yield name, place, each, share


def serve(model: keras.Model, facts: Facts) -> Served:
    """All endpoints return the probabilities, the number and the name of the best class."""
    import tensorflow as tf

    def ready(outputs: tf.Tensor) -> Outputs:
        probabilities = tf.nn.softmax(outputs)
        best = tf.argmax(probabilities, axis=-1)
        return {"probabilities": probabilities, "class": best, "class_name": tf.gather(facts["class_names"], best)}

    def with_sizes(outputs: tf.Tensor, sizes: Any) -> Outputs:
        return ready(outputs)

    return Served(ready, with_sizes, with_sizes)


RESULTS = Results(
    evaluate=evaluate,
    describe=describe,
    pictures={"confusion": draw_confusion, "ranked": draw_ranked},
    answer=probabilities_of,
    flags=("top", "format"),
    predict=predict,
    serve=serve,
    respond=responding(serve),
)
