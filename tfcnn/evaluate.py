"""`python -m tfcnn.evaluate RUN`: the scores of a run's best model on a split, as its task has them, and pictures.

Of a run's own data, evaluation-SPLIT.json with all results, evaluation-SPLIT.csv with the scores that are one number,
TABLE-SPLIT.csv and PICTURE-SPLIT.png; of other data with its classes, SPLIT is followed by their name and the beginning
of their fingerprint.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipelines
from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.errors import BadInput, choose, quote_names
from tfcnn.files import write_json, writing
from tfcnn.results import ALL, Classes, Evaluation, results_of, title_of
from tfcnn.run_directory import RunDirectory
from tfcnn.tables import Table, as_csv
from tfcnn.training.data import describe_change, describe_duplicates
from tfcnn.training.targets import match_masks

if TYPE_CHECKING:
    from pipelines.dataset import Data

# NumPy and matplotlib are imported in functions, and the model loads TensorFlow: bad input is refused without the wait.
SPLITS = ("train", "validation", "test", ALL)
CHANNELS = ("auto", "first", "last")


def evaluate(
    run: RunDirectory,
    split: str = "test",
    data_dir: str | None = None,
    dataset: str | None = None,
    channels: str | None = None,
) -> dict[str, Any]:
    """Evaluate the best model of a run on a split of the data it was trained on, or of other data with its classes.

    Writes an evaluation as JSON and CSV, and its pictures as PNG, to the run directory: see `evaluation_files`.

    Args:
        run: the run directory.
        split: "train", "validation", "test", or "all" of other data; images are not augmented.
        data_dir: folder of prepared data sets; default: that of the training.
        dataset: another place of the run's data, or other data, whose classes are matched by name.
        channels: of arrays, as for the training; default: that of the training, or "auto" with `dataset`.

    Returns:
        dict: "split", "dataset", "fingerprint", "examples", the scores of the task (`tfcnn.results`) and "duplicates"
        (in words, the examples that occur in two splits or classes).

    Raises:
        BadInput: no model in the run directory; the run's own data have changed; other data have a class that the run
            lacks, or inputs of another shape or range; "all" of the run's own data.
        pipelines.BadData: the data set cannot be loaded.
    """
    facts = run.read_config()
    task = facts["data"]["task"]
    results = results_of(task)
    data = load_data_of(facts, data_dir, dataset, channels)
    if dataset is None:
        change = describe_change(facts["data"], data)
        if change:
            raise BadInput(
                f"the data of the run in '{run.path}' have changed: {change}; restore them, "
                f"or evaluate them as they are, into separate files: --dataset {facts['data']['name']}"
            )
    if split == ALL and data.fingerprint == facts["data"]["fingerprint"]:
        raise BadInput(
            f"--split {ALL} of the run's own data has the images it was trained on: take --split test, or other data "
            f"(--dataset)"
        )
    check_inputs(facts["data"], data)
    names = facts["data"]["class_names"] or []
    classes = Classes(names, match_classes(data, names))
    model = run.load_model()
    data = match_masks(data, model)
    scores = results.evaluate(model, data, split, classes)
    result = {
        "split": split,
        "dataset": data.name,
        "fingerprint": data.fingerprint,
        "examples": sum(data.sizes.values()) if split == ALL else data.sizes[split],
        **scores,
        "duplicates": describe_duplicates(data.facts()),
    }
    stem = file_stem(run, result)
    write_json(run.path / f"evaluation-{stem}.json", result)
    write_tables(run, result)
    title = title_of(facts["config"]["arch"], task, data.name, split, scores)
    evaluation = Evaluation(model, data, split, classes, result)
    for name, draw in results.pictures.items():
        with writing(run.path / f"{name}-{stem}.png") as path:
            draw(evaluation, path, title)
    return result


def write_tables(run: RunDirectory, result: dict[str, Any]) -> None:
    """Write the scores that are one number, and the tables of the task, as CSV."""
    numbers = [(name, value) for name, value in result.items() if not isinstance(value, list | dict)]
    tables = {"evaluation": Table(("score", "value"), numbers)}
    for name, as_table in results_of(run.read_config()["data"]["task"]).tables.items():
        tables[name] = as_table(result)
    stem = file_stem(run, result)
    for name, table in tables.items():
        with writing(run.path / f"{name}-{stem}.csv") as path:
            path.write_text(as_csv(*table) + "\n", "utf-8", errors="surrogateescape")


def load_data_of(facts: dict[str, Any], data_dir: str | None, dataset: str | None, channels: str | None) -> Data:
    """The data of the run with these facts, or `dataset`, prepared as the run's network takes them."""
    config = facts["config"]
    shape = facts["data"]["image_shape"]
    own_channels = config.get("channels", "auto") if dataset is None else "auto"
    data = pipelines.load(
        dataset or facts["data"]["name"],
        task=facts["data"]["task"],
        image_size=shape[:2] if len(shape) == 3 else None,
        batch_size=1,  # other data may be few
        like=facts["data"],
        data_dir=data_dir or config["data_dir"],
        data_memory=config["data_memory"],
        on_bad_image=config["on_bad_image"],
        max_bad=config["max_bad"],
        channels=channels or own_channels,
        mask_values=Config(**config | {"resume": False}).listed_mask_values,
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


def evaluation_files(run: RunDirectory, result: dict[str, Any]) -> list[Path]:
    """The files of a result of `evaluate`: JSON, then CSV, then pictures."""
    stem = file_stem(run, result)
    results = results_of(run.read_config()["data"]["task"])
    names = [
        f"evaluation-{stem}.json",
        *(f"{table}-{stem}.csv" for table in ("evaluation", *results.tables)),
        *(f"{picture}-{stem}.png" for picture in results.pictures),
    ]
    return [run.path / name for name in names]


def file_stem(run: RunDirectory, result: dict[str, Any]) -> str:
    """The end of the names of a result's files: the split, and for other data than the run's their name and mark."""
    stem = result["split"]
    if result["fingerprint"] == run.read_config()["data"]["fingerprint"]:
        return stem
    name = result["dataset"]
    if Path(name).is_absolute():
        name = Path(name).stem
    return stem + "-" + re.sub(r"[^\w.]+", "-", name)[:40].strip("-") + "-" + result["fingerprint"][:8]


def main() -> None:
    description = "The scores of a run on a split of its data, as its task has them, with pictures."
    parser = Parser(prog="python -m tfcnn.evaluate", description=description)
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument(
        "--split",
        default="test",
        metavar="{" + ",".join(SPLITS) + "}",
        help="which images; all: every one of other data, --dataset [test]",
    )
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
    results = results_of(run.read_config()["data"]["task"])
    if arguments.dataset is not None:
        pipelines.check_name(arguments.dataset)
    import_tensorflow()
    result = evaluate(run, split, arguments.data_dir, arguments.dataset, arguments.channels)
    print(results.describe(result))
    if result["duplicates"]:
        print(f"twice     {result['duplicates']}")
    names = [file.name for file in evaluation_files(run, result)]
    print(f"written   to {run.path}: {', '.join(names)}")


if __name__ == "__main__":
    sys.exit(run_main(main))
