"""`python -m tfcnn.evaluate RUN`: accuracy and confusion matrix of a run's best model, as numbers and as a picture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pipelines
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import choose
from tfcnn.files import write_json, writing
from tfcnn.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

# NumPy and matplotlib are imported in functions, and the model loads TensorFlow: bad input is refused without the wait.
SPLITS = ("train", "validation", "test")


def evaluate(run: RunDirectory, split: str = "test", data_dir: str | None = None) -> dict[str, Any]:
    """Evaluate the best model of a run on a split of the data it was trained on.

    Writes evaluation-SPLIT.json and confusion-SPLIT.png to the run directory.

    Args:
        run: the run directory.
        split: "train", "validation" or "test"; images are not augmented.
        data_dir: folder of prepared data sets; default: that of the training.

    Returns:
        dict: "split", "examples", "accuracy", "per_class" (name -> recall), "class_names" and
        "confusion" (a list of lists of counts; row: true class, column: predicted).

    Raises:
        BadInput: no model in the run directory, or a run of another task.
        pipelines.BadData: the data set cannot be loaded.
    """
    import numpy as np

    from tfcnn.visualize.confusion import draw_confusion

    facts = run.check_task("classification").read_config()
    model = run.load_model()
    config = facts["config"]
    shape = facts["data"]["image_shape"]
    data = pipelines.load(
        facts["data"]["name"],
        task="classification",
        image_size=shape[0] if len(shape) == 3 else None,
        batch_size=config["batch_size"],
        mean=facts["data"]["mean"],
        std=facts["data"]["std"],
        data_dir=data_dir or config["data_dir"],
        data_memory=config["data_memory"],
        on_bad_image=config["on_bad_image"],
        max_bad=config["max_bad"],
        dataset_module=config.get("dataset_module"),
        sound_length=config.get("sound_length"),
    )
    matrix = count_confusions(model, data.evaluation(split), data.num_classes)
    recall = matrix.diagonal() / np.maximum(matrix.sum(1), 1)
    result = {
        "split": split,
        "examples": int(matrix.sum()),
        "accuracy": float(matrix.trace() / matrix.sum()),
        "per_class": dict(zip(data.class_names, recall.round(4).tolist(), strict=True)),
        "class_names": list(data.class_names),
        "confusion": matrix.tolist(),
    }
    write_json(run.path / f"evaluation-{split}.json", result)
    title = f"{config['arch']} on {config['dataset']}, {split}: {result['accuracy']:.2%}"
    with writing(run.path / f"confusion-{split}.png") as path:
        draw_confusion(matrix, data.class_names, path, title=title)
    return result


def count_confusions(model: keras.Model, dataset: tf.data.Dataset, classes: int) -> np.ndarray:
    """The confusion matrix, int (classes, classes), of batches of images and one-hot targets."""
    import numpy as np

    matrix = np.zeros((classes, classes), int)
    for images, targets in dataset:
        predicted = model.predict_on_batch(images).argmax(-1)
        np.add.at(matrix, (targets.numpy().argmax(-1), predicted), 1)
    return matrix


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
    parser = Parser(prog="python -m tfcnn.evaluate", description="Accuracy and confusion matrix of a run.")
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("--split", default="test", metavar="{" + ",".join(SPLITS) + "}", help="which images [test]")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of prepared data sets [that of the training]")
    arguments = parser.parse_args()
    split = choose("split", arguments.split, SPLITS, flag="--split")
    run = RunDirectory.open(arguments.run).check_finished()
    import_tensorflow()
    result = evaluate(run, split, arguments.data_dir)
    print(confusion_text(result))
    print(f"\naccuracy  {result['accuracy']:.2%} of {result['examples']:,} {split} images")
    print(f"written   {run.path / f'evaluation-{split}.json'}, {run.path / f'confusion-{split}.png'}")


if __name__ == "__main__":
    sys.exit(run_main(main))
