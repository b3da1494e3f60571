"""Every architecture as SavedModel, LiteRT and ONNX: `python -m benchmarks.export`, which writes docs/export.md.

Small forms of random weights, on random images. For each format the largest difference of an answer from the
network's, and the size of the file; for ONNX also the nodes, and the transposes among them. A network that has a row in
benchmarks/export.csv is not measured again.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tfcnn
from benchmarks.training_runs import ROOT, append_row, read_rows
from tfcnn.cli.startup import import_tensorflow
from tfcnn.export.formats import FORMATS
from tfcnn.models import registry
from tfcnn.tables import as_markdown

if TYPE_CHECKING:
    import keras

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "export.md"
SMALL = json.loads((ROOT / "tests" / "tfcnn" / "models" / "small.json").read_text())  # arguments by family
SHAPES = {1: (1024, 1), 2: (64, 64, 3), 3: (16, 16, 16, 1)}
CLASSES = 5
NAMES = {"savedmodel": "SavedModel", "litert": "LiteRT", "onnx": "ONNX"}
HEAD = ("network", *NAMES.values(), *(f"{name}, KB" for name in NAMES.values()), "nodes", "transposes")
EXAMPLES = 4
INTRODUCTION = """# Exported files

    python -m tfcnn.export RUN --format savedmodel,litert,onnx [--quantize float16|dynamic|int8] --out DIR

writes `saved_model/`, `model.tflite`, `model.onnx` and `export.json`, the report. Each file is reloaded (the SavedModel
in a process without tfcnn, LiteRT with builtin operators only, ONNX after the full check of its graph) and compared
with the network on up to 1,000 test examples. A file beyond its bound fails the command (exit 3) and leaves an earlier
export as it was: outputs of float32 differ by at most 0.001 of their scale, and where a network unpools one in a
thousand may differ by more, because the file may put a maximum back to another of two values that are equal but for
rounding; a quantized file loses at most half a point of the task's metric, or one example.
int8 measures the ranges of activations on 200 training examples.

    $ python -m tfcnn.train --arch lenet5 --epochs 8 --out runs/digits
    $ python -m tfcnn.export runs/digits --format savedmodel,litert,onnx --out files
    format      quantized  difference  agreement  accuracy  network's      bytes    ms  CPU ms
    ------------------------------------------------------------------------------------------
    savedmodel  none          0.0e+00    100.00%    98.89%     98.89%  1,028,630  0.68    0.69
    litert      none          3.0e-07    100.00%    98.89%     98.89%    251,956  0.03    0.04
    onnx        none          2.4e-07    100.00%    98.89%     98.89%    253,719  0.16    0.18
    $ python -m tfcnn.export runs/digits --format litert,onnx --quantize int8 --out small
    litert      int8          1.3e-02    100.00%    98.89%     98.89%     74,096  0.03    0.04
    onnx        int8          1.9e-02    100.00%    98.89%     98.89%     85,509  0.16    0.17

The SavedModel and ONNX take images of any size, LiteRT those of the network's size. LiteRT and ONNX return what
`serve_ready` returns, without names of classes ([signature.py](../tfcnn/export/signature.py)). Those of a detector take
images of the network's size with their regions, and return a box and a score for each region and class, before
non-maximum suppression, as the SavedModel's `serve_regions` does. Detectors have no quantized files, and networks with
unpooling no int8 files. `--saved-model-version 3 --out DIR` writes the SavedModel to DIR/3, as TensorFlow Serving reads
it.

## Architectures

Written by `python -m benchmarks.export` from benchmarks/export.csv: small forms with random weights; the largest
difference in the answers to random images; nodes and transposes of the ONNX file.
"""


def small_form(arch: str) -> keras.Model:
    """A small network with weights off their initial values; batch norms have the statistics of random images.

    With those of fresh layers the logits of deep ResNets grow until one class has all probability, in every file.
    """
    import keras

    family = registry.family_of(arch)
    arguments = SMALL[family.module]
    model = tfcnn.build(arch, SHAPES[family.axes], CLASSES, **arguments)
    rng = np.random.default_rng(0)
    model.set_weights([weight + 0.02 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    inputs = [rng.normal(size=(EXAMPLES, *SHAPES[family.axes])).astype("float32")]
    if len(model.inputs) > 1:
        inputs.append(np.tile(np.float32([8, 8, 40, 48]), (EXAMPLES, 1, 1)))
    model(inputs if len(inputs) > 1 else inputs[0], training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    return model


def facts_of(arch: str) -> dict[str, Any]:
    """Facts of data that the network could have been trained on."""
    family = registry.family_of(arch)
    shape = SHAPES[family.axes]
    return {
        "task": family.task,
        "image_shape": shape,
        "value_range": (0, 255) if family.axes == 2 else (0, 1),
        "dtype": "uint8" if family.axes == 2 else "float32",
        "mean": [0.5] * shape[-1],
        "std": [0.25] * shape[-1],
        "fit": "crop",
        "class_names": [f"class {number}" for number in range(CLASSES)],
    }


def measure(arch: str) -> dict[str, Any]:
    """The row of an architecture."""
    from tfcnn.export import onnx
    from tfcnn.export.comparison import reference_of
    from tfcnn.export.examples import random_examples
    from tfcnn.export.folder import answer_of, write_and_compare
    from tfcnn.export.rewriting import has_unpooling

    facts = facts_of(arch)
    model = small_form(arch)
    examples = random_examples(facts, EXAMPLES)
    reference = reference_of(answer_of(model, facts), facts, examples, has_unpooling(model))
    row: dict[str, Any] = {"arch": arch}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for form in NAMES:
            result = write_and_compare(model, folder, form, "none", None, reference)
            row |= {form: f"{result.difference:.0e}", f"{form}_bytes": result.bytes}
        graph = onnx.load(folder / FORMATS["onnx"].file)
    return row | {"nodes": len(graph.graph.node), "transposes": onnx.count_transposes(graph)}


def cells_of(row: dict[str, str]) -> list[str]:
    """A line of the page."""
    sizes = [f"{int(row[f'{name}_bytes']) / 1e3:,.0f}" for name in NAMES]
    return [row["arch"], *(row[name] for name in NAMES), *sizes, row["nodes"], row["transposes"]]


def write_page() -> None:
    """Write docs/export.md from the rows that there are, in the order of the registry."""
    rows = {row["arch"]: row for row in read_rows(TABLE)}
    lines = [cells_of(rows[arch]) for arch in tfcnn.list_archs() if arch in rows]
    PAGE.write_text(f"{INTRODUCTION}\n{as_markdown(HEAD, lines, words=[0])}\n")


def main() -> None:
    import_tensorflow()
    import keras

    done = {row["arch"] for row in read_rows(TABLE)}
    archs = tfcnn.list_archs()
    first = [family.names[0] for family in registry.FAMILIES]
    for arch in sorted(archs, key=lambda arch: arch not in first):  # a network of each family before all others
        if arch in done:
            continue
        append_row(TABLE, measure(arch))
        write_page()
        keras.backend.clear_session()
        print(f"{arch}: done", flush=True)
    write_page()


if __name__ == "__main__":
    main()
