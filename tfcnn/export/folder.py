"""A folder of exported files, each reloaded and compared with its network, with a report.

saved_model/  model.tflite  model.onnx  export.json
"""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.errors import BadInput, ExportFailed, first_line
from tfcnn.export.comparison import (
    LARGEST_DIFFERENCE,
    LARGEST_LOSS,
    LARGEST_LOSS_OF_SHARES,
    Examples,
    Reference,
    Row,
    compare,
    reference_of,
)
from tfcnn.export.formats import EXPORT, FORMATS, REPORT, quantization_of
from tfcnn.export.signature import check_quantization, signature_of
from tfcnn.files import DiskFull, write_json, writing
from tfcnn.model_files import in_float32
from tfcnn.results import Outputs
from tfcnn.tables import as_text
from tfcnn.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras
    import numpy as np

HEAD = ("format", "quantized", "difference", "agreement", "score", "network's", "bytes", "ms", "CPU ms")


def export_folder(
    model: keras.Model,
    facts: dict[str, Any],
    path: Path,
    formats: Sequence[str],
    quantize: str,
    examples: Examples,
    samples: np.ndarray | None = None,
) -> list[Row]:
    """Write a folder of files, compare each with the network, and keep the folder if all are good.

    Args:
        model: from standardised examples to logits, or to standardised images.
        facts: of the training data.
        path: of the folder; an earlier export there is replaced when this one is complete and good.
        formats: names of FORMATS.
        quantize: for the formats that take it.
        examples: to compare on.
        samples: raw training examples (n, *image_shape), for int8.

    Raises:
        ExportFailed: a file does not run or is beyond its bound; what was at `path` is still there.
        BadInput: a format or quantization that the network has not.
    """
    from tfcnn.export.rewriting import has_unpooling

    model = in_float32(model)
    check_network(model, facts, quantize, samples)
    reference = reference_of(answer_of(model, facts), facts, examples, has_unpooling(model))
    rows: list[Row] = []
    with writing(path, replaces=EXPORT) as draft:
        draft.mkdir()
        for name in formats:
            rows.append(write_and_compare(model, draft, name, quantize, samples, reference))
        bad = [row for row in rows if row.problem]
        if bad:
            print(describe(rows, facts["task"], examples))
            raise ExportFailed(f"the file of {bad[0].format} is not good: {bad[0].problem}; nothing was written")
        write_json(draft / REPORT, report_of(rows, facts, examples, samples))
    return rows


def check_network(model: keras.Model, facts: dict[str, Any], quantize: str, samples: np.ndarray | None) -> None:
    """Raises BadInput for a quantization that the network or its task has not."""
    from tfcnn.export.rewriting import has_unpooling

    check_quantization(facts["task"], quantize)
    if quantize == "int8" and has_unpooling(model):
        raise BadInput(
            "--quantize int8 is not for networks with unpooling: rounding to 8 bits makes ties, so that values return "
            "to other places; take --quantize float16 or dynamic"
        )
    if quantize == "int8" and samples is None:
        raise BadInput("--quantize int8 measures activations on training examples, and this run has none at hand")


def write_and_compare(
    model: keras.Model, folder: Path, name: str, quantize: str, samples: np.ndarray | None, reference: Reference
) -> Row:
    """Write one format into a folder, and compare it. Raises ExportFailed if it does not convert or run.

    Args:
        model, quantize, samples: as for `export_folder`; the model is float32.
        folder: that exists.
        name: of the format.
        reference: the network, and the examples.
    """
    module = importlib.import_module(FORMATS[name].module)
    path = folder / FORMATS[name].file
    quantization = quantization_of(name, quantize)
    with contextlib.ExitStack() as stack:
        try:
            module.write(model, reference.facts, path, quantization, samples)
            reloaded = stack.enter_context(module.reload(path, model, reference.facts))
        except (DiskFull, OSError):
            raise
        except Exception as error:  # each converter and each runtime has many
            raise ExportFailed(f"the network does not convert to {name}: {first_line(error)[:300]}") from error
        return compare(name, quantization, path, reloaded, reference)


def answer_of(model: keras.Model, facts: dict[str, Any]) -> Callable[..., Outputs]:
    """The function of a network that its files are compared with: raw inputs -> outputs by name."""
    import tensorflow as tf

    signature = signature_of(model, facts)
    serve = tf.function(signature.serve, input_signature=signature.specs(), autograph=False)

    def answer(*inputs: np.ndarray) -> Outputs:
        return {name: values.numpy() for name, values in serve(*inputs).items()}

    return answer


def report_of(
    rows: Sequence[Row], facts: dict[str, Any], examples: Examples, samples: np.ndarray | None
) -> dict[str, Any]:
    """The report as export.json has it."""
    task = facts["task"]
    return {
        "task": task,
        "headline": TASKS[task].headline.name,
        "examples": examples.words,
        "samples": None if samples is None else len(samples),
        "bounds": {
            "difference": LARGEST_DIFFERENCE,
            "loss of a quantized file": LARGEST_LOSS.get(task, LARGEST_LOSS_OF_SHARES),
        },
        "files": [row._asdict() | {"file": FORMATS[row.format].file} for row in rows],
    }


def describe(rows: Sequence[Row], task: str, examples: Examples) -> str:
    """The rows as text."""
    form = TASKS[task].headline.form
    body = []
    for row in rows:
        scores = ["-" if score is None else form.format(score) for score in (row.score, row.reference)]
        agreement = "-" if row.agreement is None else f"{row.agreement:.2%}"
        times = (f"{row.wall_ms:.2f}", f"{row.cpu_ms:.2f}")
        body.append([row.format, row.quantize, f"{row.difference:.1e}", agreement, *scores, f"{row.bytes:,}", *times])
    label = TASKS[task].headline.label
    head = [label if name == "score" else name for name in HEAD]
    return f"{as_text(head, body, words=[0, 1])}\n\non {examples.words}; times of one example, on one thread"
