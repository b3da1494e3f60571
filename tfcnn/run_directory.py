"""The run directory: the files of a run, complete and movable. Imports no TensorFlow.

    config.json  history.csv  curves.png  sheet.png  checkpoints/  model.keras  saved_model/  README.md  files.json
    metrics.json  train.log

Every file is written under another name and then moved to its own, so that no reader or crash meets half a file.
metrics.json is the last: a run that has it is finished. files.json keeps the size and the digest of each of the others,
which are compared when a file is read, but for README.md, which the user may change, and train.log, which grows with
each process. Runs of earlier versions have none of the three.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import os
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.errors import BadInput, first_line
from tfcnn.files import DiskFull, as_json, clear_drafts, full_disk, read_json, write_json, writing
from tfcnn.model_files import register
from tfcnn.records import Records
from tfcnn.run_facts import read_facts

if TYPE_CHECKING:
    import keras

BAD_FILES = "bad_files.csv"
NUMBERS = ("best_epoch", "epochs", "images_per_second", "parameters", "macs", "seconds")  # of metrics.json
SPEED = "images_per_second"  # empty in history.csv and null in metrics.json where no step was timed


def default_path(arch: str, dataset: str) -> Path:
    """A free name: runs/mobilenet-digits-20261120-101500."""
    dataset = Path(dataset).stem if Path(dataset).exists() else re.sub(r"[-/*?\[\]:]+", "-", dataset).strip("-.")
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
        self.sheet = self.path / "sheet.png"  # of tasks that have one
        self.card = self.path / "README.md"
        self.lr_finder = self.path / "lr_finder.png"  # of --lr auto
        self.trackers = self.path / "trackers.json"  # of --log
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.keras"
        self.saved_model = self.path / "saved_model"
        self.log = self.path / "train.log"
        self.records = Records(self.path)
        self.lock = self.path / ".lock"
        # The number of the process that holds the lock: on Windows no other process can read a locked file.
        self.holder = self.path / ".lock-holder"

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
    def removed_unless_begun(self) -> Iterator[None]:
        """A context after which the directory is gone if an error ended it before config.json was there.

        Raises:
            DiskFull: there is no room; with the command that continues the run, once there is config.json.
        """
        try:
            yield
        except Exception as error:
            if self.config.exists():
                advice = f"continue with: python -m {self._resume}"
            else:
                advice = "run the same command again"
                with contextlib.suppress(OSError):  # something else is in it
                    self.path.rmdir()
            if problem := full_disk(error):
                what = error.what if isinstance(error, DiskFull) else f"'{self.path}' cannot be written: {problem}"
                raise DiskFull(what, advice) from error
            raise

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within this context no other process trains into the directory.

        The system unlocks it when the process ends, however it ends. On a network file system the lock holds only
        where the server passes locks on: NFS from version 4 on does; older ones need its lock daemon.

        It begins with the removal of what a process that was killed has left.

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
            self._name_holder()
            clear_drafts(self.path)
            yield
        finally:
            for file in (self.holder, self.lock):
                with contextlib.suppress(PermissionError):  # Windows removes no open file
                    file.unlink(missing_ok=True)
            lock.release()
            if os.name == "nt":
                self.lock.unlink(missing_ok=True)

    def _name_holder(self) -> None:
        try:
            self.holder.write_text(str(os.getpid()))
        except OSError as error:  # that of a full disk names no file
            raise OSError(error.errno, error.strerror, str(self.holder)) from error

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

    @property
    def finished(self) -> bool:
        """Whether the run is finished: its last file is written."""
        return self.metrics.exists()

    def check_finished(self) -> RunDirectory:
        """This run, if it is finished. Raises BadInput if it is not."""
        if not self.finished:
            raise BadInput(
                f"the run in '{self.path}' is not finished; continue it: python -m {self._resume} ({self.metrics.name} "
                f"is missing)"
            )
        return self

    @property
    def _resume(self) -> str:
        return f"tfcnn.train --resume --out {self.path}"

    def finish(self, metrics: dict[str, Any]) -> None:
        """Write files.json and then, as the last file, metrics.json."""
        files = (self.config, self.history, self.curves, self.sheet, self.model, self.saved_model)
        self.records.write(*files, ahead={self.metrics: as_json(metrics).encode()})
        write_json(self.metrics, metrics)

    def check_file(self, path: Path) -> None:
        """Raises BadInput, with what to do, if a file or folder of the run is missing or not as it was written."""
        if problem := self.records.problem_of(path):
            raise BadInput(f"'{path}' {problem}; {self._remedy(path)}")

    def _remedy(self, path: Path) -> str:
        """How a file of the run is brought back."""
        if path == self.saved_model:
            return f"write it again: python -m tfcnn.export {self.path}"
        if path == self.config:
            return f"restore it from a copy, or remove '{self.records.path}' if you changed it yourself"
        what = "rebuild it from the checkpoint of the best epoch" if path == self.model else "write it again"
        return f"{what}: python -m {self._resume}"

    def faults(self) -> list[str]:
        """What is missing or damaged in a finished run, as one line for each file, without what to do."""
        paths = [self.history, self.curves, self.model, self.saved_model, self.metrics]
        if self.sheet.name in self.records.read():  # not every task has one
            paths.append(self.sheet)
        problems = {path: self.records.problem_of(path) for path in paths}
        for path, read in {self.history: self.read_history, self.metrics: self.read_metrics}.items():
            try:
                read()
            except BadInput:
                problems[path] = problems[path] or "is damaged"
        if problems[self.model] is None and not self.model_is_whole():
            problems[self.model] = "is damaged"
        return [f"'{path}' {problem}" for path, problem in problems.items() if problem]

    def model_is_whole(self) -> bool:
        """Whether the checksums in model.keras, a ZIP file, agree with its content."""
        try:
            with zipfile.ZipFile(self.model) as archive:
                return archive.testzip() is None
        except Exception:  # zipfile has one for each kind of damage: BadZipFile, zlib.error, struct.error ...
            return False

    def write_config(self, facts: dict[str, Any]) -> None:
        """config.json, with which a run begins, and its record."""
        write_json(self.config, facts)
        self.records.write(self.config)

    def read_config(self) -> dict[str, Any]:
        """config.json: {"config": the flags, "arguments": of the builder, "data": facts, ...}. Raises BadInput."""
        self.check_file(self.config)
        return read_facts(self.config)

    def read_metrics(self) -> dict[str, Any]:
        """metrics.json: accuracies, speed, cost, versions. Raises BadInput."""
        self.check_file(self.metrics)
        metrics = read_json(self.metrics)
        for name, value in metrics.items():
            expected = name in NUMBERS or name.startswith(("val_", "test_"))
            if name == SPEED and value is None:
                continue
            if expected and not (isinstance(value, int | float) and not isinstance(value, bool)):
                raise BadInput(f"'{self.metrics}' is damaged: {name} is '{value}'; {self._remedy(self.metrics)}")
        return metrics

    def check_task(self, task: str) -> RunDirectory:
        """This run, if its network is for `task`. Raises BadInput if not."""
        task_of_run = self.read_config()["data"]["task"]
        if task_of_run != task:
            raise BadInput(f"the run in '{self.path}' is for {task_of_run}; this command takes runs for {task} (RUN)")
        return self

    def load_model(self) -> keras.Model:
        """The model of the best epoch. Raises BadInput if it cannot be loaded."""
        import keras

        register()
        self.check_file(self.model)
        try:
            return keras.saving.load_model(self.model)
        except Exception as error:  # Keras, h5py and zipfile have one for each kind of damage
            raise self._unreadable(self.model, error) from error

    def load_saved_model(self) -> Any:
        """The SavedModel, as `tf.saved_model.load` gives it. Raises BadInput if it cannot be loaded."""
        import tensorflow as tf

        self.check_file(self.saved_model)
        try:
            return tf.saved_model.load(self.saved_model)
        except Exception as error:  # TensorFlow and protobuf have one for each kind of damage
            raise self._unreadable(self.saved_model, error) from error

    def _unreadable(self, path: Path, error: Exception) -> BadInput:
        return BadInput(f"'{path}' cannot be loaded: {first_line(error)[:200]}; {self._remedy(path)}")

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """history.csv: a line for each epoch; the speed is empty where a row has none."""
        columns = dict.fromkeys([*(name for row in rows for name in row), SPEED])
        with writing(self.history) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=columns)
            writer.writeheader()
            writer.writerows(rows)

    def restore_history(self, rows: list[dict[str, float]]) -> None:
        """Set history.csv to the rows of a checkpoint; a damaged file is replaced with a warning on stderr."""
        try:
            if self.read_history() == rows:
                return
        except BadInput as error:
            print(f"warning: {str(error).partition('; ')[0]}; it is written again", file=sys.stderr)
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
        """The lines of history.csv, epochs as whole numbers; none if there is no file yet. Raises BadInput.

        A line whose speed is empty has no such item.
        """
        if not self.history.exists() and not self.finished:
            return []
        self.check_file(self.history)
        try:
            lines = csv.DictReader(self.history.read_text().splitlines(), strict=True)
            rows = [
                {k: int(v) if k == "epoch" else float(v) for k, v in line.items() if (k, v) != (SPEED, "")}
                for line in lines
            ]
            numbered = "epoch" in (lines.fieldnames or ())
            if not numbered or [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
                raise ValueError("its epochs are not 1, 2, ...")
        except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
            raise BadInput(f"'{self.history}' is damaged: {error}; {self._remedy(self.history)}") from error
        return rows
