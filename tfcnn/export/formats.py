"""The formats of an export, and the folder that holds them. Standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tfcnn.errors import BadInput, check_packages, choose
from tfcnn.files import Kind, is_part_of_saved_model

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
REPORT = "export.json"


class Format(NamedTuple):
    """One format.

    Attributes:
        file: its file or folder within that of the export.
        module: has `write(model, facts, path, quantize, samples)`, of a float32 network and the facts of its data, one
            of `quantizations`, and raw training examples (n, *image_shape) whose activations int8 measures, or None;
            and `reload(path, model, facts)`, a context of the file, ready to run.
        quantizations: those that it can be written with.
        packages: what it needs besides requirements.txt, by the names of their modules.
    """

    file: str
    module: str
    quantizations: tuple[str, ...]
    packages: tuple[str, ...] = ()


FORMATS = {
    "savedmodel": Format("saved_model", "tfcnn.export.reloading", ("none",)),
    "litert": Format("model.tflite", "tfcnn.export.litert", QUANTIZATIONS, ("ai_edge_litert",)),
    "onnx": Format("model.onnx", "tfcnn.export.onnx", QUANTIZATIONS, ("onnx", "onnxruntime", "tf2onnx")),
}


def parse_formats(text: str, quantize: str) -> list[str]:
    """The formats of --format, "litert,onnx", each once.

    Raises:
        BadInput: an unknown format or quantization, none of the formats takes the quantization, or a package of one is
            not installed.
    """
    names = list(dict.fromkeys(choose("format", name.strip(), FORMATS, flag="--format") for name in text.split(",")))
    choose("quantization", quantize, QUANTIZATIONS, flag="--quantize")
    if not any(quantize in FORMATS[name].quantizations for name in names):
        takers = [name for name, row in FORMATS.items() if quantize in row.quantizations]
        raise BadInput(f"--quantize {quantize} is for {' and '.join(takers)}, not for --format {text}")
    for name in names:
        check_packages(f"--format {name}", FORMATS[name].packages, extra="export")
    return names


def is_export(path: Path) -> bool:
    """Whether a path is a folder of an export and nothing else, or an empty one."""
    if path.is_symlink() or not path.is_dir():
        return False
    names = {row.file for row in FORMATS.values()} | {REPORT}
    entries = list(path.iterdir())
    folder = path / FORMATS["savedmodel"].file
    return (
        all(entry.name in names and not entry.is_symlink() for entry in entries)
        and all(entry.is_file() for entry in entries if entry != folder)
        and (not folder.exists() or is_part_of_saved_model(folder))
        and (not entries or path / REPORT in entries)
    )


EXPORT = Kind("an export", is_export)


def quantization_of(name: str, quantize: str) -> str:
    """What a format gets of --quantize: a SavedModel stays as it is."""
    return quantize if quantize in FORMATS[name].quantizations else "none"
