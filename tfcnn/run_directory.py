"""The run directory: the files of a run, complete and movable. Imports no TensorFlow.

    config.json  history.csv  metrics.json  curves.png  checkpoints/  model.keras  saved_model/

Every file is written under another name and then moved to its own, so that no reader or crash meets half a file.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.errors import BadInput
from tfcnn.files import read_json, writing

if TYPE_CHECKING:
    import keras

BAD_FILES = "bad_files.csv"


def default_path(arch: str, dataset: str) -> Path:
    """A free name: runs/mobilenet-digits-20261120-101500."""
    dataset = Path(dataset).stem if Path(dataset).exists() else dataset.replace("/", "-")
    stem = f"{arch}-{dataset}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    path = Path("runs") / stem
    number = 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{stem}-{number}"
    return path


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
        self.lock = self.path / ".lock"
        self.holder = (
            self.path / ".lock-holder"
        )  # the number of the process; no other can read a locked file on Windows

    @classmethod
    def open(cls, path: str | os.PathLike) -> RunDirectory:
        """The run in an existing directory. Raises BadInput if there is none."""
        run = cls(path)
        if not run.config.is_file():
            raise BadInput(f"'{path}' is not a run directory: it has no config.json (tfcnn.train writes one)")
        return run

    def check_new(self) -> None:
        """Raises BadInput if the directory exists or cannot be created. Writes nothing."""
        self.check_free()
        if os.path.lexists(self.path) and (not self.path.is_dir() or list(self.path.glob("[!.]*"))):
            raise BadInput(f"'{self.path}' exists already; give another --out, or --resume to continue the run in it")
        parent = self.path.absolute()
        while not os.path.lexists(parent):  # a link that leads nowhere is no folder
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise BadInput(f"'{self.path}' cannot be created: '{parent}' is not a writable folder (--out)")

    def make(self) -> None:
        """Create the directory; it may exist empty. Raises BadInput, FileExistsError if another process was first."""
        self.check_new()
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within this context no other process trains into the directory.

        The system unlocks it when the process ends, however it ends. On a network file system the lock holds only
        where the server passes locks on: NFS from version 4 on does; older ones need its lock daemon.

        Raises BadInput, which names the process that holds the lock.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.lock)
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                self.check_free()  # its holder may have ended in the meantime
        try:
            self.holder.write_text(str(os.getpid()))
            yield
        finally:
            for file in (self.holder, self.lock):
                with contextlib.suppress(PermissionError):  # Windows removes no open file
                    file.unlink(missing_ok=True)
            lock.release()
            if os.name == "nt":
                self.lock.unlink(missing_ok=True)

    def check_free(self) -> None:
        """Raises BadInput if a process trains into the directory."""
        if not self.lock.exists():
            return
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.lock).acquire(timeout=0):
                return
        except Timeout:
            pass
        process = "another process"
        with contextlib.suppress(OSError):  # it has just taken the lock, or ended
            process = f"process {self.holder.read_text()}"
        raise BadInput(f"{process} trains into '{self.path}'; wait until it ends, or give another --out")

    def remove_drafts(self) -> None:
        """Remove the drafts of a process that was killed while it wrote. For the holder of the lock."""
        for path in self.path.glob(".*"):
            if not re.match(r"\.(draft|old)-\d+-", path.name):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def read_config(self) -> dict[str, Any]:
        """config.json: {"config": the flags, "arguments": of the builder, "data": facts, ...}."""
        return read_json(self.config)

    def read_metrics(self) -> dict[str, Any]:
        """metrics.json: accuracies, speed, cost, versions."""
        return read_json(self.metrics)

    def check_finished(self) -> RunDirectory:
        """This run, if it is finished. Raises BadInput if it has no best model and SavedModel yet."""
        if not (self.model.is_file() and self.saved_model.is_dir()):
            raise BadInput(
                f"the run in '{self.path}' is not finished; continue it: tfcnn.train --resume --out {self.path}"
            )
        return self

    def check_task(self, task: str) -> RunDirectory:
        """This run, if its network is for `task`. Raises BadInput if not."""
        task_of_run = self.read_config()["data"]["task"]
        if task_of_run != task:
            raise BadInput(f"the run in '{self.path}' is for {task_of_run}; this command takes runs for {task} (RUN)")
        return self

    def load_model(self) -> keras.Model:
        """The model of the best epoch."""
        import keras

        import tfcnn.layers  # noqa: F401  (registers the layers that a saved model may have)

        return keras.saving.load_model(self.model)

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """history.csv: a line for each epoch."""
        with writing(self.history) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def restore_history(self, rows: list[dict[str, float]]) -> None:
        """Set history.csv to the rows of a checkpoint; a damaged file is replaced with a warning on stderr."""
        try:
            if self.read_history() == rows:
                return
        except BadInput as error:
            print(f"warning: {error}; it is written again", file=sys.stderr)
        if rows:
            self.write_history(rows)
        else:
            self.history.unlink(missing_ok=True)

    def write_bad_files(self, bad: Iterable[Any]) -> None:
        """bad_files.csv: path, class and reason of each file of the data that was left out; no file if none was.

        Args:
            bad: anything with the attributes `path`, `class_name` and `reason`.
        """
        rows = [(file.path, file.class_name, file.reason) for file in bad]
        if rows:
            with writing(self.path / BAD_FILES) as path, path.open("w", newline="") as file:
                csv.writer(file).writerows([("path", "class", "reason"), *rows])

    def read_history(self) -> list[dict[str, float]]:
        """The lines of history.csv, epochs as whole numbers; none if there is no file yet. Raises BadInput."""
        if not self.history.exists():
            return []
        try:
            lines = csv.DictReader(self.history.read_text().splitlines(), strict=True)
            rows = [{k: int(v) if k == "epoch" else float(v) for k, v in line.items()} for line in lines]
            numbered = "epoch" in (lines.fieldnames or ())
            if not numbered or [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
                raise ValueError("its epochs are not 1, 2, ...")
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise BadInput(f"'{self.history}' is damaged: {error}") from error
        return rows
