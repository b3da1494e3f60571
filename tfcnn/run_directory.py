"""The run directory: what a run leaves behind, complete and movable. Standard library only.

    config.json  history.csv  metrics.json  curves.png  checkpoints/  model.keras  saved_model/

Every file is written beside its place and then moved there, so that a reader or a crash never meets half of one.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfcnn.config import BadInput


def default_path(arch: str, dataset: str) -> Path:
    """A name that is free: runs/mobilenet-digits-20261120-101500."""
    dataset = Path(dataset).stem if Path(dataset).exists() else dataset.replace("/", "-")
    stem = f"{arch}-{dataset}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    path, number = Path("runs") / stem, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{stem}-{number}"
    return path


BAD_FILES = "bad_files.csv"


class RunDirectory:
    """The files of one run, by name."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.history = self.path / "history.csv"
        self.metrics = self.path / "metrics.json"
        self.curves = self.path / "curves.png"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.keras"
        self.saved_model = self.path / "saved_model"

    @classmethod
    def opened(cls, path: str | os.PathLike) -> RunDirectory:
        """The run in an existing directory. Raises BadInput if there is none."""
        run = cls(path)
        if not run.config.is_file():
            raise BadInput(f"'{path}' is not a run directory: it has no config.json (tfcnn.train makes one)")
        return run

    def check_new(self) -> None:
        """Raises BadInput if the directory exists or cannot be made. Writes nothing."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise BadInput(f"'{self.path}' exists already; give another --out, or --resume to continue the run in it")
        parent = self.path.absolute()
        while not parent.exists():
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise BadInput(f"'{self.path}' cannot be made: '{parent}' is not a folder that can be written to (--out)")

    def read_config(self) -> dict[str, Any]:
        """config.json: {"config": the flags, "arguments": of the builder, "data": facts, ...}."""
        return _read(self.config)

    def read_metrics(self) -> dict[str, Any]:
        """metrics.json: accuracies, speed, cost, versions."""
        return _read(self.metrics)

    def check_trained(self) -> RunDirectory:
        """This run, if it is finished. Raises BadInput if it has no best model and SavedModel yet."""
        if not (self.model.is_file() and self.saved_model.is_dir()):
            raise BadInput(
                f"the run in '{self.path}' is not finished; tfcnn.train --resume --out {self.path} goes on with it"
            )
        return self

    def check_task(self, task: str) -> RunDirectory:
        """This run, if its network is for `task`. Raises BadInput if not."""
        found = self.read_config()["data"]["task"]
        if found != task:
            raise BadInput(f"the run in '{self.path}' is for {found}; this command takes runs for {task} (RUN)")
        return self

    def load_model(self):
        """The best model, a keras.Model."""
        import keras

        import tfcnn.layers  # noqa: F401  (registers what a saved model may hold)

        return keras.saving.load_model(self.model)

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """history.csv: a line an epoch."""
        with writing(self.history) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def write_bad_files(self, bad: Iterable[Any]) -> None:
        """bad_files.csv: path, class_name and reason of each file of the data that was left out; none, no file."""
        rows = [(file.path, file.class_name, file.reason) for file in bad]
        if rows:
            with writing(self.path / BAD_FILES) as path, path.open("w", newline="") as file:
                csv.writer(file).writerows([("path", "class", "reason"), *rows])

    def read_history(self) -> list[dict[str, float]]:
        """The lines of history.csv, epochs as whole numbers; none if there is no file yet."""
        if not self.history.exists():
            return []
        with self.history.open(newline="") as file:
            return [{k: int(v) if k == "epoch" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A path to write a file or a folder to, which becomes `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, old = (path.with_name(f".{word}-{os.getpid()}-{path.name}") for word in ("draft", "old"))
    try:
        yield draft
        if path.is_dir():  # a folder can be moved to no place that is taken
            os.replace(path, old)
        os.replace(draft, path)
    finally:
        for left in (draft, old):
            if left.is_dir():
                shutil.rmtree(left)
            left.unlink(missing_ok=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a dict as indented JSON."""
    with writing(path) as draft:
        draft.write_text(json.dumps(value, indent=2) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise BadInput(f"'{path}' is not readable JSON: {error}") from error
