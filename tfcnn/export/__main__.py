"""`python -m tfcnn.export RUN`: write a finished run's SavedModel, or with --format a folder of files with a report."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput
from tfcnn.export.formats import EXPORT, FORMATS, QUANTIZATIONS, parse_formats
from tfcnn.export.savedmodel import export_savedmodel
from tfcnn.export.signature import check_quantization
from tfcnn.files import SAVED_MODEL, check_target
from tfcnn.run_directory import RunDirectory

DESCRIPTION = (
    "Export a finished run for serving: its SavedModel, or with --format a folder of files. Each of these is "
    "reloaded and compared with the network on the run's test examples; export.json has the report."
)


def main() -> None:
    parser = Parser(prog="python -m tfcnn.export", description=DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("--format", metavar="A,B", help=f"{', '.join(FORMATS)}: write a folder of these")
    quantizations = "{" + ",".join(QUANTIZATIONS) + "}"
    parser.add_argument("--quantize", metavar=quantizations, help="fewer bits, with --format [none]")
    parser.add_argument("--out", metavar="DIR", help="where to write [RUN/saved_model; with --format RUN/export]")
    parser.add_argument(
        "--saved-model-version", metavar="N", help="write the SavedModel to DIR/N, as TensorFlow Serving reads it"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder of prepared data sets [that of the training]")
    arguments = parser.parse_args()
    if arguments.format is None:
        for flag in ("quantize", "data_dir"):
            if getattr(arguments, flag) is not None:
                raise BadInput(f"--{flag.replace('_', '-')} needs --format: choose from {', '.join(FORMATS)}")
        _export_savedmodel(arguments.run, arguments.out, arguments.saved_model_version)
        return
    if arguments.saved_model_version is not None:
        raise BadInput("--saved-model-version writes a SavedModel alone: leave --format out")
    formats = parse_formats(arguments.format, arguments.quantize or "none")
    _export_folder(arguments.run, formats, arguments.quantize or "none", arguments.out, arguments.data_dir)


def _export_savedmodel(run_path: str, out: str | None, version: str | None) -> None:
    number = None if version is None else parse_count("--saved-model-version", version)
    if number is not None and out is None:
        raise BadInput("--saved-model-version needs --out, the folder of the versions")
    run = RunDirectory.open(run_path).check_finished()
    if out is None:
        path = run.saved_model
    elif number is None:
        path = check_target(out, SAVED_MODEL)
    else:
        path = check_version(out, number)
    facts = run.read_config()["data"]
    with contextlib.nullcontext() if out is not None else run.locked():
        import_tensorflow()
        export_savedmodel(run.load_model(), path, facts)
        if out is None:
            run.records.write(path)
    print(f"SavedModel written to {path}")


def check_version(out: str, number: int) -> Path:
    """The folder of a new version of a SavedModel. Raises BadInput if it exists or cannot be created."""
    path = check_target(Path(out) / str(number), SAVED_MODEL)
    if os.path.lexists(path):
        raise BadInput(f"'{path}' exists already; give another --saved-model-version")
    return path


def _export_folder(run_path: str, formats: list[str], quantize: str, out: str | None, data_dir: str | None) -> None:
    run = RunDirectory.open(run_path).check_finished()
    path = check_target(run.path / "export" if out is None else out, EXPORT)
    facts = run.read_config()
    check_quantization(facts["data"]["task"], quantize)
    import_tensorflow()
    from tfcnn.export.examples import examples_of
    from tfcnn.export.folder import describe, export_folder

    with run.locked() if out is None else contextlib.nullcontext():
        model = run.load_model()
        examples, samples = examples_of(facts, model, data_dir, with_samples=quantize == "int8")
        rows = export_folder(model, facts["data"], path, formats, quantize, examples, samples)
    print(describe(rows, facts["data"]["task"], examples))
    print(f"written to {path}")


if __name__ == "__main__":
    sys.exit(run_main(main))
