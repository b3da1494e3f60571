"""What `tfcnn.predict` prints and writes of a classification: tables of the most probable classes, Grad-CAM."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tfcnn.errors import BadInput
from tfcnn.results import Facts, Network, Options
from tfcnn.results.folder import name_outputs, write_table, writing_predictions
from tfcnn.results.views import check_views, predict_views
from tfcnn.tables import as_csv

if TYPE_CHECKING:
    import numpy as np

    from pipelines.inputs import Example

CSV_HEAD = ("file", "rank", "class", "probability")


class Answer(NamedTuple):
    """What the network says of a file.

    Attributes:
        file: its name.
        classes: names and probabilities, the most probable first.
        picture: the name of its picture; "" where there is none.
    """

    file: str
    classes: list[tuple[str, float]]
    picture: str = ""


def best_classes(probabilities: np.ndarray, names: Sequence[str], top: int) -> list[tuple[str, float]]:
    """The `top` most probable classes of one example, the first the best, with their probabilities."""
    best = probabilities.argsort()[::-1][:top]
    return [(names[i], float(probabilities[i])) for i in best]


def predict_labels(network: Network, examples: Sequence[Example], options: Options) -> Iterator[str]:
    """For each example a line: its path, and the most probable classes; or all as a table of CSV or as JSON.

    With `options.out` also predictions.csv there, and with `options.cam` for each image a picture.

    Raises:
        BadInput: pictures or views of what is no image.
    """
    check_views(network.facts, options.tta)
    check_pictures(network.facts, options)
    with contextlib.ExitStack() as stack:
        folder = None if options.out is None else stack.enter_context(writing_predictions(options.out))
        answers: Iterable[Answer] = _answers(network, examples, options, folder)
        if folder is not None:
            answers = list(answers)
            head = (*CSV_HEAD, "picture") if options.cam else CSV_HEAD
            write_table(folder, head, [row[: len(head)] for row in _ranked_rows(answers)])
        yield from _write(answers, options.format, max(len(example.name) for example in examples))


def check_pictures(facts: Facts, options: Options) -> None:
    """Raises BadInput for pictures of what is no image."""
    if options.cam and len(facts["image_shape"]) != 3:
        shape = "x".join(map(str, facts["image_shape"]))
        raise BadInput(f"--cam is for images, and this run takes examples of {shape}: leave it out")


def _answers(network: Network, examples: Sequence[Example], options: Options, folder: Path | None) -> Iterator[Answer]:
    """The answer for each example, whose picture is written to the folder if the options ask for it."""
    names = name_outputs([example.name for example in examples], ("-cam.png",))
    number = 0
    for batch in predict_views(network, examples, options):
        for probabilities in batch:
            picture = ""
            if options.cam and folder is not None:
                picture = names[number][0]
                write_cam(network, examples[number], int(probabilities.argmax()), folder / picture)
            classes = best_classes(probabilities, network.class_names, options.top)
            yield Answer(examples[number].name, classes, picture)
            number += 1


def _write(answers: Iterable[Answer], form: str, width: int) -> Iterator[str]:
    """The answers as lines of text, or as one table of CSV or JSON."""
    if form == "csv":
        yield as_csv(CSV_HEAD, (row[: len(CSV_HEAD)] for row in _ranked_rows(answers)))
    elif form == "json":
        rows = [
            {"file": answer.file, "classes": [{"name": name, "probability": share} for name, share in answer.classes]}
            for answer in answers
        ]
        yield json.dumps(rows, indent=1)
    else:
        for answer in answers:
            yield f"{answer.file:{width}}  " + "  ".join(f"{name} {share:.1%}" for name, share in answer.classes)


def _ranked_rows(answers: Iterable[Answer]) -> Iterator[tuple[str, int, str, float, str]]:
    """A row for each file and class, the most probable first."""
    for answer in answers:
        for place, (name, share) in enumerate(answer.classes, start=1):
            yield answer.file, place, name, share, answer.picture


def write_cam(network: Network, example: Example, label: int, path: Path) -> None:
    """Write an image of its own size with Grad-CAM's heat for a class over it; what the network is not given is grey.

    Raises:
        BadInput: a network that cannot be looked into.
    """
    import numpy as np
    from PIL import Image

    from pipelines.fitting import undo_fit
    from tfcnn.visualize.attribution import grad_cam
    from tfcnn.visualize.pictures import as_rgb, overlay
    from tfcnn.visualize.points import Target

    pixels = network.inputs.pixels(example)
    try:
        (heat,) = grad_cam(network.model, network.inputs.from_pixels(pixels[None]), Target(channel=label))
    except ValueError as error:
        raise BadInput(f"{error}: leave --cam out") from error
    height, width, _ = network.facts["image_shape"]
    steps = (height / heat.shape[0], width / heat.shape[1])
    first = ((steps[0] - 1) / 2, (steps[1] - 1) / 2)
    size = np.array(pixels.shape[:2], np.int32)
    values, inside = undo_fit(heat[None, ..., None], size, height, width, network.facts["fit"], first, steps)
    shares = np.clip(pixels / 255, 0, 1)
    picture = np.array(overlay(shares, values.numpy()[0, ..., 0]))
    grey = as_rgb(shares.mean(-1, keepdims=True))
    picture[~inside.numpy()] = grey[~inside.numpy()]
    Image.fromarray((255 * picture).round().astype(np.uint8)).save(path)
