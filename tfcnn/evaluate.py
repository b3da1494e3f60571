"""`python -m tfcnn.evaluate RUN`: a run's best model on a split: accuracy, scores of each class, confusion matrix.

Of a run's own data, evaluation-SPLIT.json and confusion-SPLIT.png; of other data with its classes, evaluation-SPLIT-
and confusion-SPLIT- with their name and the beginning of their fingerprint.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pipelines
from tfcnn.class_scores import class_scores, scores_text
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput, choose
from tfcnn.files import write_json, writing
from tfcnn.run_directory import RunDirectory
from tfcnn.training.data import describe_change, describe_duplicates, quote_names

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data

# NumPy and matplotlib are imported in functions, and the model loads TensorFlow: bad input is refused without the wait.
SPLITS = ("train", "validation", "test")
CHANNELS = ("auto", "first", "last")
GUESSES = 5  # of the top-5 accuracy
FEW_CLASSES = 10  # with which five guesses say little


def evaluate(
    run: RunDirectory,
    split: str = "test",
    data_dir: str | None = None,
    dataset: str | None = None,
    channels: str | None = None,
) -> dict[str, Any]:
    """Evaluate the best model of a run on a split of the data it was trained on, or of other data with its classes.

    Writes an evaluation as JSON and a confusion matrix as PNG to the run directory: see `evaluation_files`.

    Args:
        run: the run directory.
        split: "train", "validation" or "test"; images are not augmented.
        data_dir: folder of prepared data sets; default: that of the training.
        dataset: another place of the run's data, or other data, whose classes are matched by name.
        channels: of arrays, as for the training; default: that of the training, or "auto" with `dataset`.

    Returns:
        dict: "split", "dataset", "fingerprint", "examples", "accuracy", "top5" (with more than ten classes), the
        scores of `class_scores`, "class_names", "confusion" (a list of lists of counts; row: true class, column:
        predicted) and "duplicates" (in words, the examples that occur in two splits or classes).

    Raises:
        BadInput: no model in the run directory, or a run of another task; the run's own data have changed; other data
            have a class that the run lacks, or inputs of another shape or range.
        pipelines.BadData: the data set cannot be loaded.
    """
    from pipelines.text import elide
    from tfcnn.visualize.confusion import draw_confusion

    facts = run.check_task("classification").read_config()
    data = load_data_of(facts, data_dir, dataset, channels)
    if dataset is None:
        change = describe_change(facts["data"], data)
        if change:
            raise BadInput(
                f"the data of the run in '{run.path}' have changed: {change}; restore them, "
                f"or evaluate them as they are, into separate files: --dataset {facts['data']['name']}"
            )
    check_inputs(facts["data"], data)
    names = facts["data"]["class_names"]
    numbers = match_classes(data, names)
    counts = count_confusions(run.load_model(), data.evaluation(split), len(names), numbers)
    result = summarise(counts, names, split, data)
    numbers_file, picture_file = evaluation_files(run, result)
    write_json(numbers_file, result)
    name = Path(data.name).name if Path(data.name).is_absolute() else data.name
    title = f"{facts['config']['arch']} on {elide(name, 30)}, {split}: {result['accuracy']:.2%}"
    with writing(picture_file) as path:
        draw_confusion(counts.matrix, names, path, title=title)
    return result


def summarise(counts: Confusions, names: list[str], split: str, data: Data) -> dict[str, Any]:
    """What `evaluate` returns, from the counts of a network's guesses."""
    matrix = counts.matrix
    result = {
        "split": split,
        "dataset": data.name,
        "fingerprint": data.fingerprint,
        "examples": int(matrix.sum()),
        "accuracy": float(matrix.trace() / matrix.sum()),
        **class_scores(matrix, names),
        "class_names": list(names),
        "confusion": matrix.tolist(),
        "duplicates": describe_duplicates(data.facts()),
    }
    if len(names) > FEW_CLASSES:
        result["top5"] = float(counts.hits / matrix.sum())
    return result


def load_data_of(facts: dict[str, Any], data_dir: str | None, dataset: str | None, channels: str | None) -> Data:
    """The data of the run with these facts, or `dataset`, prepared as the run's network takes them."""
    config = facts["config"]
    shape = facts["data"]["image_shape"]
    own_channels = config.get("channels", "auto") if dataset is None else "auto"
    data = pipelines.load(
        dataset or facts["data"]["name"],
        task="classification",
        image_size=shape[0] if len(shape) == 3 else None,
        batch_size=1,  # other data may be few
        like=facts["data"],
        data_dir=data_dir or config["data_dir"],
        data_memory=config["data_memory"],
        on_bad_image=config["on_bad_image"],
        max_bad=config["max_bad"],
        channels=channels or own_channels,
        dataset_module=config.get("dataset_module"),
        sound_length=config.get("sound_length"),
    )
    return dataclasses.replace(data, batch_size=config["batch_size"])


def check_inputs(trained: dict[str, Any], data: Data) -> None:
    """Raises BadInput unless the inputs of `data` have the shape of those that a run was trained on."""
    if data.image_shape != tuple(trained["image_shape"]):
        expected = "x".join(map(str, trained["image_shape"]))
        raise BadInput(
            f"examples of '{data.name}' are {'x'.join(map(str, data.image_shape))}, "
            f"but the run's network takes {expected} (--dataset)"
        )


def match_classes(data: Data, names: list[str]) -> list[int]:
    """The number in `names`, the classes of a run, of each class of `data`. Raises BadInput for one that is missing."""
    numbers = {unicodedata.normalize("NFC", name): number for number, name in enumerate(names)}
    class_names = [unicodedata.normalize("NFC", name) for name in data.class_names]
    unknown = [name for name in class_names if name not in numbers]
    if unknown:
        raise BadInput(
            f"'{data.name}' has {'class' if len(unknown) == 1 else 'classes'} {quote_names(unknown)}, "
            f"but the run knows {quote_names(names)} (--dataset)"
        )
    return [numbers[name] for name in class_names]


def evaluation_files(run: RunDirectory, result: dict[str, Any]) -> tuple[Path, Path]:
    """The JSON and the PNG file of a result of `evaluate`; those of other data than the run's do not replace its."""
    stem = result["split"]
    if result["fingerprint"] != run.read_config()["data"]["fingerprint"]:
        name = result["dataset"]
        if Path(name).is_absolute():
            name = Path(name).stem
        stem += "-" + re.sub(r"[^\w.]+", "-", name)[:40].strip("-") + "-" + result["fingerprint"][:8]
    return run.path / f"evaluation-{stem}.json", run.path / f"confusion-{stem}.png"


class Confusions(NamedTuple):
    """Counts of a network's guesses."""

    matrix: np.ndarray  # int (classes, classes); row: true class, column: first guess
    hits: int  # examples whose true class is among the first `GUESSES`


def count_confusions(model: keras.Model, dataset: tf.data.Dataset, classes: int, numbers: list[int]) -> Confusions:
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
    model_class = np.array(numbers)
    for images, targets in dataset:
        logits = model.predict_on_batch(images)
        true_class = model_class[targets.numpy().argmax(-1)]
        np.add.at(matrix, (true_class, logits.argmax(-1)), 1)
        better = (logits > np.take_along_axis(logits, true_class[:, None], axis=-1)).sum(-1)
        hits += int((better < GUESSES).sum())
    return Confusions(matrix, hits)


def confusion_text(result: dict[str, Any]) -> str:
    r"""The confusion matrix of `evaluate` as text, a dot for 0.

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


def main() -> None:
    description = "Accuracy, scores of each class and confusion matrix of a run."
    parser = Parser(prog="python -m tfcnn.evaluate", description=description)
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("--split", default="test", metavar="{" + ",".join(SPLITS) + "}", help="which images [test]")
    parser.add_argument(
        "--dataset", metavar="PLACE", help="another place of the data, or other data with the run's classes [its own]"
    )
    parser.add_argument("--channels", metavar="{" + ",".join(CHANNELS) + "}", help="of arrays [as for tfcnn.train]")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of prepared data sets [that of the training]")
    arguments = parser.parse_args()
    split = choose("split", arguments.split, SPLITS, flag="--split")
    if arguments.channels is not None:
        choose("channels", arguments.channels, CHANNELS, flag="--channels")
    run = RunDirectory.open(arguments.run).check_finished()
    if arguments.dataset is not None:
        pipelines.check_name(arguments.dataset)
    import_tensorflow()
    result = evaluate(run, split, arguments.data_dir, arguments.dataset, arguments.channels)
    print(confusion_text(result))
    print(f"\n{scores_text(result)}\n")
    print(f"accuracy  {result['accuracy']:.2%} of {result['examples']:,} {split} images")
    print(f"balanced  {result['balanced_accuracy']:.2%} (mean recall of the classes), mean F1 {result['macro_f1']:.2%}")
    if "top5" in result:
        print(f"top 5     {result['top5']:.2%}")
    absent = [name for name, recall in result["per_class"].items() if recall is None]
    if absent:
        print(f"absent    {quote_names(absent)}: no {split} image")
    if result["duplicates"]:
        print(f"twice     {result['duplicates']}")
    print(f"written   {', '.join(map(str, evaluation_files(run, result)))}")


if __name__ == "__main__":
    sys.exit(run_main(main))
