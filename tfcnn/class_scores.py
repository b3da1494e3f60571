"""A confusion matrix as text, and precision, recall and F1 of each class, as scikit-learn reports them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tfcnn.tables import Table, as_text

if TYPE_CHECKING:
    import numpy as np

# NumPy and scikit-learn take a second to import: bad input is refused without the wait.


def class_scores(matrix: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Precision, recall and F1 of each class, by sklearn.metrics.classification_report.

    Args:
        matrix: int (classes, classes) of counts; row: true class, column: predicted.
        names: of the classes.

    Returns:
        dict: "balanced_accuracy" (the mean recall of the classes that have an example, as
        sklearn.metrics.balanced_accuracy_score), "macro_f1" (the mean F1), and by the name of a class "per_class" (its
        recall), "precision", "f1" and "support" (its examples). None is a share of nothing: the recall of a class
        without an example, the precision of one that is never predicted, the F1 where both hold.
    """
    import numpy as np
    from sklearn.metrics import classification_report

    true_class, predicted = np.indices(matrix.shape)
    numbers = [str(number) for number in range(len(names))]  # a class may have the name of an average
    report = classification_report(
        true_class.ravel(),
        predicted.ravel(),
        labels=range(len(names)),
        target_names=numbers,
        sample_weight=matrix.ravel(),
        output_dict=True,
        zero_division=np.nan,
    )
    rows = {name: report[number] for name, number in zip(names, numbers, strict=True)}
    return {
        "balanced_accuracy": float(report["macro avg"]["recall"]),
        "macro_f1": float(report["macro avg"]["f1-score"]),
        "per_class": {name: _share(row["recall"]) for name, row in rows.items()},
        "precision": {name: _share(row["precision"]) for name, row in rows.items()},
        "f1": {name: _share(row["f1-score"]) for name, row in rows.items()},
        "support": {name: int(row["support"]) for name, row in rows.items()},
    }


def _share(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def scores_text(result: dict[str, Any]) -> str:
    """The scores of each class of a result of `class_scores` as a table, a dash where there is none.

    >>> scores = {"precision": {"cat": 0.9}, "per_class": {"cat": 0.45}, "f1": {"cat": 0.6}, "support": {"cat": 20}}
    >>> print(scores_text(scores))
    class  precision  recall      F1  examples
    ------------------------------------------
    cat       90.00%  45.00%  60.00%        20
    """
    rows = []
    for name, support in result["support"].items():
        scores = [result[key][name] for key in ("precision", "per_class", "f1")]
        rows.append([name, *("-" if score is None else f"{score:.2%}" for score in scores), f"{support:,}"])
    return as_text(("class", "precision", "recall", "F1", "examples"), rows, words=[0])


def confusion_text(result: dict[str, Any]) -> str:
    r"""The confusion matrix of an evaluation as text, a dot for 0.

    >>> print(confusion_text({"class_names": ["cat", "dog"], "confusion": [[9, 1], [0, 12]]}))
    true \ predicted  cat  dog
    cat                 9    1
    dog                 .   12
    """
    names = result["class_names"]
    head = "true \\ predicted"
    counts = [str(count) for row in result["confusion"] for count in row]
    width = max(map(len, [*names, *counts]))
    first = max(len(head), width)
    lines = [head.ljust(first) + "".join(f"  {name:>{width}}" for name in names)]
    for name, row in zip(names, result["confusion"], strict=True):
        lines.append(name.ljust(first) + "".join(f"  {count or '.':>{width}}" for count in row))
    return "\n".join(lines)


def confusion_table(result: dict[str, Any]) -> Table:
    """The confusion matrix of an evaluation: a row for each true class, a column for each predicted one.

    >>> confusion_table({"class_names": ["cat", "dog"], "confusion": [[9, 1], [0, 12]]}).rows
    [['cat', 9, 1], ['dog', 0, 12]]
    """
    names = result["class_names"]
    rows = [[name, *counts] for name, counts in zip(names, result["confusion"], strict=True)]
    return Table(("true class", *names), rows)
