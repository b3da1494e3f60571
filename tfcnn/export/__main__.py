"""`python -m tfcnn.export RUN`: a trained run as files that serve it."""

from __future__ import annotations

import sys
from pathlib import Path

from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import choose
from tfcnn.export.savedmodel import export_savedmodel
from tfcnn.run_directory import RunDirectory

FORMATS = ("savedmodel",)


def main() -> None:
    parser = Parser(prog="python -m tfcnn.export", description="Export a trained run for serving.")
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("--format", nargs="+", default=["savedmodel"], metavar="FORMAT", help="savedmodel")
    parser.add_argument("--out", metavar="DIR", help="where to write it [RUN/saved_model]")
    given = parser.parse_args()
    for name in given.format:
        choose("format", name, FORMATS, flag="--format")
    run = RunDirectory.opened(given.run).check_trained()
    import_tensorflow()
    model, facts = run.load_model(), run.read_config()["data"]
    path = Path(given.out or run.saved_model)
    export_savedmodel(model, path, facts)
    print(f"SavedModel written to {path}")


if __name__ == "__main__":
    sys.exit(run_main(main))
