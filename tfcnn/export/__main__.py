"""`python -m tfcnn.export RUN`: write a finished run's SavedModel."""

from __future__ import annotations

import sys
from pathlib import Path

from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import choose
from tfcnn.export.savedmodel import export_savedmodel
from tfcnn.files import SAVED_MODEL, check_target
from tfcnn.run_directory import RunDirectory

FORMATS = ("savedmodel",)


def main() -> None:
    parser = Parser(prog="python -m tfcnn.export", description="Export a finished run for serving.")
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("--format", nargs="+", default=["savedmodel"], metavar="FORMAT", help="savedmodel")
    parser.add_argument("--out", metavar="DIR", help="where to write it [RUN/saved_model]")
    arguments = parser.parse_args()
    for name in arguments.format:
        choose("format", name, FORMATS, flag="--format")
    run = RunDirectory.open(arguments.run).check_finished()
    if arguments.out is not None:
        path = check_target(arguments.out, SAVED_MODEL)
        _export(run, path)
    else:
        path = run.saved_model
        with run.locked():
            _export(run, path)
            run.records.write(path)
    print(f"SavedModel written to {path}")


def _export(run: RunDirectory, path: Path) -> None:
    facts = run.read_config()["data"]
    import_tensorflow()
    export_savedmodel(run.load_model(), path, facts)


if __name__ == "__main__":
    sys.exit(run_main(main))
