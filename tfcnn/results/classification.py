"""Classification: accuracy, scores of each class, confusion, calibration; the most probable classes of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.calibration import BINS, Bin, bin_confidences, expected_calibration_error
from tfcnn.class_scores import class_scores, confusion_table, confusion_text, scores_text
from tfcnn.errors import quote_names
from tfcnn.results import Classes, Evaluation, Facts, Network, Options, Outputs, Results, Scores, Served, before_noun
from tfcnn.results.guesses import read_guesses, softmax
from tfcnn.results.labels import predict_labels
from tfcnn.results.outputs import probabilities_of, responding
from tfcnn.results.ranking import Ranked, fetch_examples, rank
from tfcnn.tables import Table

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data
    from pipelines.inputs import Example

FEW_CLASSES = 10  # with which five guesses say little
MOST_MISTAKES = 12  # of the gallery
COLUMNS = 4  # of the gallery


def evaluate(model: keras.Model, data: Data, split: str, classes: Classes) -> Scores:
    """The scores of a classifier.

    Returns:
        dict: "accuracy", "top5" (with more than ten classes), the scores of `class_scores`; "ece", the expected
        calibration error, and "mean_confidence"; "class_names", "confusion" (a list of lists of counts; row: true
        class, column: predicted); "reliability", the rows of `calibration.bin_confidences`; "ranked": the worst, the
        median and the best by the probability of their true class, as lists of [group, number in the split,
        probability]; and "mistakes": the wrong examples of the highest confidence, as lists of [number in the split,
        true class, predicted class, probability].
    """
    names = list(classes.names)
    guesses = read_guesses(model, data.evaluation(split), classes.numbers)
    matrix = guesses.confusion(len(names))
    bins = bin_confidences(guesses.confidence, guesses.first == guesses.true)
    scores = {
        "accuracy": float(matrix.trace() / matrix.sum()),
        **class_scores(matrix, names),
        "ece": expected_calibration_error(bins),
        "mean_confidence": float(guesses.confidence.mean()),
        "class_names": names,
        "confusion": matrix.tolist(),
        "reliability": [row._asdict() for row in bins],
        "ranked": [list(ranked) for ranked in rank(guesses.true_probability.tolist())],
        "mistakes": [
            [number, names[guesses.true[number]], names[guesses.first[number]], float(guesses.confidence[number])]
            for number in guesses.mistakes(MOST_MISTAKES)
        ],
    }
    if len(names) > FEW_CLASSES:
        scores["top5"] = guesses.top(5)
    return scores


def describe(result: Scores) -> str:
    """The confusion matrix and the scores as text."""
    split = before_noun(result["split"])
    lines = [
        confusion_text(result),
        f"\n{scores_text(result)}\n",
        f"accuracy  {result['accuracy']:.2%} of {result['examples']:,} {split}images",
        f"balanced  {result['balanced_accuracy']:.2%} (mean recall of the classes), mean F1 {result['macro_f1']:.2%}",
    ]
    if "top5" in result:
        lines.append(f"top 5     {result['top5']:.2%}")
    lines.append(
        f"ECE       {result['ece']:.2%} (expected calibration error, {BINS} bins of equal width), "
        f"mean confidence {result['mean_confidence']:.2%}"
    )
    absent = [name for name, recall in result["per_class"].items() if recall is None]
    if absent:
        lines.append(f"absent    {quote_names(absent)}: no {split}image")
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
    probabilities = softmax(evaluation.model.predict_on_batch(inputs))
    shares = inputs * np.asarray(data.std) + np.asarray(data.mean)
    panels: dict[str, list[np.ndarray]] = {}
    titles: dict[str, list[str]] = {}
    for row, share, target, probability in zip(ranked, shares, targets, probabilities, strict=True):
        best = int(probability.argmax())
        true_name = names[numbers[int(target.argmax())]]
        panels.setdefault(row.group, []).append(sheet.as_picture(share))
        titles.setdefault(row.group, []).append(_words(row.number, true_name, names[best], probability[best]))
    rows = [sheet.Row(group, panels[group], titles[group]) for group in panels]
    note = "by the probability of the true class" + sheet.DESCRIPTIONS.get(inputs.ndim, "")
    sheet.draw_sheet(rows, path, title=title, note=note)


def _words(number: int, true_name: str, predicted: str, probability: float) -> str:
    """The title of an example in a sheet."""
    return f"number {number}: {true_name}\npredicted {predicted}, {probability:.1%}"


def draw_mistakes(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw the wrong examples of the highest confidence, that of the highest first."""
    import numpy as np

    from tfcnn.visualize import sheet

    data = evaluation.data
    mistakes = evaluation.scores["mistakes"]
    if not mistakes:
        sheet.draw_words("no example is classified wrongly", path, title=title)
        return
    inputs, _ = fetch_examples(data, evaluation.split, [number for number, *_ in mistakes])
    shares = inputs * np.asarray(data.std) + np.asarray(data.mean)
    rows = []
    for first in range(0, len(mistakes), COLUMNS):
        part = slice(first, first + COLUMNS)
        titles = [_words(*mistake) for mistake in mistakes[part]]
        label = f"{first + 1} to {first + len(titles)}" if len(titles) > 1 else str(first + 1)
        rows.append(sheet.Row(label, [sheet.as_picture(share) for share in shares[part]], titles))
    note = "mistakes of the highest confidence" + sheet.DESCRIPTIONS.get(inputs.ndim, "")
    sheet.draw_sheet(rows, path, title=title, note=note)


def draw_reliability(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw accuracy over confidence."""
    from tfcnn.visualize import reliability

    bins = [Bin(**row) for row in evaluation.scores["reliability"]]
    note = f"expected calibration error {evaluation.scores['ece']:.2%}, {BINS} bins"
    reliability.draw_reliability(bins, path, title=title, note=note)


def class_table(scores: Scores) -> Table:
    """The scores of each class."""
    keys = {"precision": "precision", "recall": "per_class", "f1": "f1", "examples": "support"}
    rows = [[name, *(scores[key][name] for key in keys.values())] for name in scores["class_names"]]
    return Table(("class", *keys), rows)


def reliability_table(scores: Scores) -> Table:
    """Accuracy over confidence."""
    return Table(Bin._fields, [list(row.values()) for row in scores["reliability"]])


def predict(network: Network, examples: Sequence[Example], options: Options) -> Iterator[str]:
    """For each example a line, or one table: see `predict_labels`."""
    return predict_labels(network, examples, options)


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
    pictures={
        "confusion": draw_confusion,
        "reliability": draw_reliability,
        "ranked": draw_ranked,
        "mistakes": draw_mistakes,
    },
    tables={"classes": class_table, "confusion": confusion_table, "reliability": reliability_table},
    answer=probabilities_of,
    flags=("top", "format", "out", "batch_size", "tta", "cam"),
    predict=predict,
    serve=serve,
    respond=responding(serve),
)
