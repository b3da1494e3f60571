"""Detection: mean average precision, precision over recall; boxes drawn into images, and COCO's JSON.

Proposals are computed by selective search on the image at the network's size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.errors import quote_names
from tfcnn.results import (
    Classes,
    Evaluation,
    Facts,
    Network,
    Options,
    Outputs,
    Results,
    Scores,
    ServedRegions,
    before_noun,
)
from tfcnn.results.folder import name_outputs, writing_predictions
from tfcnn.results.ranking import Ranked, rank
from tfcnn.tables import Table, as_text

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data
    from pipelines.inputs import Example
    from tfcnn.detection.detector import Detect
    from tfcnn.detection.metrics import Curve

SHOWN = 0.5  # least score of a detection that is drawn and printed
SHEET_TEXT = 1 / 14  # height of the letters in the panels of a sheet, which are small


def evaluate(model: keras.Model, data: Data, split: str, classes: Classes) -> Scores:
    """The scores of a detector.

    Returns:
        dict: "map50", the mean average precision at IoU 0.5; "map", COCO's, over the IoUs 0.5, 0.55 ... 0.95; by the
        name of a class "ap50", "ap" (both None of a class without a box) and "boxes" (its true ones); "detections";
        "precision_recall": at IoU 0.5 the best precision of each class at the recalls 0, 0.01 ... 1 or beyond;
        "class_names"; and "ranked": the worst, the median and the best images by their F1 at IoU 0.5 and score 0.5, as
        lists of [group, number in the split, F1].
    """
    from tfcnn.detection.detector import detect_all
    from tfcnn.detection.examples import read_examples
    from tfcnn.detection.metrics import mean_average_precision, precision_recall

    truths: list[dict[str, Any]] = []

    def noting_truths() -> Iterator[Any]:
        for example in read_examples(data, split):
            truths.append(in_classes_of_run(example.truth, classes))
            yield example

    detections = detect_all(model, noting_truths())
    names = list(classes.names)
    overall = mean_average_precision(detections, truths)
    half = mean_average_precision(detections, truths, [0.5])
    counts = [sum(int((truth["labels"] == label).sum()) for truth in truths) for label in range(len(names))]
    curves = precision_recall(detections, truths)
    return {
        "map50": half["ap50"],
        "map": overall["map"],
        "ap50": {name: half["per_class"].get(label) for label, name in enumerate(names)},
        "ap": {name: overall["per_class"].get(label) for label, name in enumerate(names)},
        "boxes": dict(zip(names, counts, strict=True)),
        "detections": sum(len(row["scores"]) for row in detections),
        "precision_recall": {names[label]: best_precisions(curve) for label, curve in curves.items()},
        "class_names": names,
        "ranked": [list(row) for row in rank([f1(row, truth) for row, truth in zip(detections, truths, strict=True)])],
    }


def in_classes_of_run(truth: Mapping[str, np.ndarray], classes: Classes) -> dict[str, np.ndarray]:
    """The truth of an image with the run's numbers of classes."""
    import numpy as np

    return {"boxes": truth["boxes"], "labels": np.asarray(classes.numbers, "int32")[truth["labels"]]}


def best_precisions(curve: Curve) -> list[float]:
    """The best precision at each of the recalls 0, 0.01 ... 1 or beyond, 0 where there is none."""
    import numpy as np

    beyond = np.maximum.accumulate(curve.precision[::-1])[::-1]
    places = np.searchsorted(curve.recall, np.linspace(0, 1, 101))
    return np.append(beyond, 0.0)[places].round(4).tolist()


def f1(detections: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> float:
    """Twice the hits over the boxes and the detections of an image, at IoU 0.5 and score 0.5; 1 if it has neither."""
    from tfcnn.detection.metrics import precision_recall

    shown = {name: values[detections["scores"] >= SHOWN] for name, values in detections.items()}
    both = len(shown["labels"]) + len(truth["labels"])
    hits = 0.0
    for label, curve in precision_recall([shown], [truth]).items():
        recall = curve.recall[-1] if len(curve.recall) else 0.0
        hits += recall * (truth["labels"] == label).sum()
    return float(2 * hits / both) if both else 1.0


def describe(result: Scores) -> str:
    """The scores as text."""
    rows = []
    for name, count in result["boxes"].items():
        averages = [result[key][name] for key in ("ap50", "ap")]
        rows.append([name, *("-" if value is None else f"{value:.2%}" for value in averages), f"{count:,}"])
    lines = [
        as_text(("class", "AP at IoU 0.5", "AP", "boxes"), rows, words=[0]) + "\n",
        f"mAP@.5    {result['map50']:.2%} of {result['examples']:,} {before_noun(result['split'])}images",
        f"COCO mAP  {result['map']:.2%} (mean over IoU 0.5 ... 0.95)",
    ]
    absent = [name for name, count in result["boxes"].items() if not count]
    if absent:
        lines.append(f"absent    {quote_names(absent)}: no {before_noun(result['split'])}box")
    return "\n".join(lines)


def class_table(scores: Scores) -> Table:
    """The scores of each class."""
    keys = ("ap50", "ap", "boxes")
    rows = [[name, *(scores[key][name] for key in keys)] for name in scores["class_names"]]
    return Table(("class", *keys), rows)


def draw_precision_recall(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw precision over recall of each class."""
    from tfcnn.visualize import precision_recall

    scores = evaluation.scores
    precision_recall.draw_precision_recall(scores["precision_recall"], scores["ap50"], path, title=title)


def draw_sheet(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw truth and detections of the worst, the median and the best images."""
    from pipelines.labelled_boxes import draw_boxes
    from tfcnn.detection.detector import detect_all
    from tfcnn.detection.examples import read_examples
    from tfcnn.detection.pixels import to_pixels
    from tfcnn.visualize import sheet

    data = evaluation.data
    names = evaluation.classes.names
    ranked = [Ranked(*row) for row in evaluation.scores["ranked"]]
    wanted = {row.number for row in ranked}
    examples = {n: row for n, row in enumerate(read_examples(data, evaluation.split)) if n in wanted}
    all_detections = detect_all(evaluation.model, [examples[row.number] for row in ranked])
    rows: list[sheet.Row] = []
    for row, detections in zip(ranked, all_detections, strict=True):
        example = examples[row.number]
        image = to_pixels(example.image, data.mean, data.std)
        truth = in_classes_of_run(example.truth, evaluation.classes)
        panels = [
            image,
            draw_boxes(image, labelled_truth(truth, names), SHEET_TEXT),
            draw_boxes(image, labelled(detections, names), SHEET_TEXT),
        ]
        label = f"{row.group}\nnumber {row.number}\nF1 {row.score:.1%}"
        titles = [] if rows else ["image", "truth", "detections"]
        rows.append(sheet.Row(label, [panel / 255 for panel in panels], titles))
    note = f"detections of a score from {SHOWN:g} on"
    sheet.draw_sheet(rows, path, title=title, note=note)


def labelled(detections: Mapping[str, np.ndarray], names: Sequence[str]) -> list[Any]:
    """What is drawn of the detections in an image, the best last, so that it lies above the others."""
    from pipelines.labelled_boxes import Labelled

    rows = zip(detections["boxes"], detections["scores"], detections["labels"], strict=True)
    return [Labelled(box, f"{names[label]} {score:.0%}", int(label)) for box, score, label in rows if score >= SHOWN]


def labelled_truth(truth: Mapping[str, np.ndarray], names: Sequence[str]) -> list[Any]:
    """What is drawn of the true boxes of an image."""
    from pipelines.labelled_boxes import Labelled

    return [Labelled(box, names[label], int(label)) for box, label in zip(truth["boxes"], truth["labels"], strict=True)]


def answer(model: keras.Model, inputs: np.ndarray, facts: Facts) -> np.ndarray:
    """The detections in standardised images, float32 (batch, 100, 6): see `tfcnn.trained.Trained.predict`."""
    from tfcnn.detection.detector import detector_of

    return _detect_rows(detector_of(model), inputs, facts)


def _detect_rows(detect: Detect, inputs: np.ndarray, facts: Facts) -> np.ndarray:
    import numpy as np

    from tfcnn.detection.detector import MOST
    from tfcnn.detection.examples import Example, pad
    from tfcnn.detection.pixels import to_pixels
    from tfcnn.detection.proposals import selective_search

    pixels = to_pixels(inputs, facts["mean"], facts["std"])
    examples = [Example(image, selective_search(raw), {}) for image, raw in zip(inputs, pixels, strict=True)]
    rows = []
    for row in detect(examples):
        columns = [row["boxes"], row["scores"][:, None], row["labels"][:, None]]
        rows.append(np.concatenate(columns, axis=1).astype(np.float32))
    return pad(rows, MOST)


def predict(network: Network, examples: Sequence[Example], options: Options) -> Iterator[str]:
    """For each example a line: its path, and its detections, the best first.

    With --out for each image a picture with its boxes, and detections.json in the form of COCO's results, which has
    those of lower scores too; its image_id is the path. Boxes are in pixels of the file.
    """
    from tfcnn.detection.coco import write_results

    names = name_outputs([example.name for example in examples], (".png",))
    width = max(len(example.name) for example in examples)
    all_detections: list[dict[str, np.ndarray]] = []
    with contextlib.ExitStack() as stack:
        folder = None if options.out is None else stack.enter_context(writing_predictions(options.out))
        for example, (name,) in zip(examples, names, strict=True):
            pixels = network.inputs.pixels(example)
            detections = detect_in(network, pixels)
            all_detections.append(detections)
            if folder is not None:
                write_picture(pixels, labelled(detections, network.class_names), folder / name)
            yield f"{example.name:{width}}  {_words(detections, network.class_names)}"
        if folder is not None:
            write_results(folder / "detections.json", all_detections, [example.name for example in examples])


def detect_in(network: Network, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The detections in an image (height, width, channels) of 0 ... 255, in its own pixels."""
    import numpy as np

    rows = network.predict_pixels(pixels[None])[0]
    rows = rows[rows[:, 5] >= 0]
    boxes = leave_network(rows, np.array(pixels.shape[:2], np.int32), network.facts)
    return {"boxes": boxes, "scores": rows[:, 4], "labels": rows[:, 5].astype(int)}


def leave_network(rows: np.ndarray, size: np.ndarray, facts: Facts) -> np.ndarray:
    """The boxes of the rows of `answer` for an image, in its pixels: float32 (n, 4), -1 where there is no detection.

    Args:
        rows: float32 (n, 6).
        size: int32 (2,), height and width of the image.
        facts: of the training data.
    """
    from tfcnn.results.frames import Frame

    return Frame.of(size, facts).leave(rows[:, :4], rows[:, 5] >= 0).numpy()


def respond(model: keras.Model, facts: Facts) -> Callable[[np.ndarray, np.ndarray], Outputs]:
    """A function to "boxes", "scores", "class" and "class_name" as `serve` names them, 100 rows for each image."""
    import numpy as np

    from tfcnn.detection.detector import detector_of

    detect = detector_of(model)
    names = np.array(["", *facts["class_names"]], object)

    def respond_to(inputs: np.ndarray, sizes: np.ndarray) -> Outputs:
        rows = _detect_rows(detect, inputs, facts)
        classes = rows[..., 5].astype(np.int32)
        boxes = [leave_network(of_image, size, facts) for of_image, size in zip(rows, sizes, strict=True)]
        return {"boxes": np.stack(boxes), "scores": rows[..., 4], "class": classes, "class_name": names[classes + 1]}

    return respond_to


def _words(detections: Mapping[str, np.ndarray], names: Sequence[str]) -> str:
    """The shown detections of an image in words."""
    rows = zip(detections["boxes"], detections["scores"], detections["labels"], strict=True)
    words = [
        f"{names[label]} {score:.1%} at {', '.join(f'{side:.0f}' for side in box)}"
        for box, score, label in rows
        if score >= SHOWN
    ]
    return "  ".join(words) or "nothing"


def write_picture(pixels: np.ndarray, boxes: Sequence[Any], path: Path) -> None:
    """Write an image with boxes as PNG."""
    from PIL import Image

    from pipelines.labelled_boxes import draw_boxes

    Image.fromarray(draw_boxes(pixels.clip(0, 255).round().astype("uint8"), boxes)).save(path)


def serve(model: keras.Model, facts: Facts) -> ServedRegions:
    """The endpoints take images with regions: selective search is no part of a TensorFlow graph.

    They return "boxes" float32 (batch, n, 4) as x1, y1, x2, y2 in pixels of the images, "scores" float32 (batch, n),
    the best first, "class" int32 (batch, n), -1 where an image has no more, and "class_name", "" there. Candidates are
    "boxes" float32 (batch, r, classes, 4) and "scores" float32 (batch, r, classes), of every region in its order.
    """
    import tensorflow as tf

    from tfcnn.detection import detector
    from tfcnn.results.frames import Frame

    names = tf.constant(["", *facts["class_names"]])

    def ready(images: tf.Tensor, regions: tf.Tensor) -> Outputs:
        detections = detector.detect(model, images, regions)
        return {
            "boxes": detections.boxes,
            "scores": detections.scores,
            "class": detections.classes,
            "class_name": tf.gather(names, detections.classes + 1),
        }

    def images(images: tf.Tensor, regions: tf.Tensor, size: tf.Tensor) -> Outputs:
        frame = Frame.of(size, facts)
        outputs = ready(images, frame.enter(regions))
        return outputs | {"boxes": frame.leave(outputs["boxes"], outputs["class"] >= 0)}

    def candidates(images: tf.Tensor, regions: tf.Tensor) -> Outputs:
        return detector.candidates(model, images, regions)._asdict()

    return ServedRegions(ready, images, candidates)


RESULTS = Results(
    evaluate=evaluate,
    describe=describe,
    pictures={"precision-recall": draw_precision_recall, "sheet": draw_sheet},
    tables={"classes": class_table},
    answer=answer,
    flags=("out",),
    predict=predict,
    serve=serve,
    respond=respond,
)
