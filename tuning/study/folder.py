"""A study: a folder with the runs of its trials, and an Optuna study that remembers them.

    study.json  journal.log  trial-0/  trial-0.log  ...  report.html  tensorboard/

The journal is Optuna's and only grows; with `--storage` a database takes its place. It also holds what the study
searches: a study is not continued with another configuration or space.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput
from tfcnn.files import read_json, write_json
from tfcnn.run_directory import RunDirectory
from tuning.study.patience import Patience, cause_of, endure
from tuning.study.storage import has_studies, missing_driver, open_database, open_journal, parse_url, quiet
from tuning.study.trials import Objective, TrialRecord, record_of

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

# Optuna and SQLAlchemy take a second to import, which --help and a mistyped flag do without.


class Study:
    """The files and the trials of a study.

    Args:
        path: the folder.
        storage: URL of a database; None: the one that study.json names, or else the journal.
    """

    def __init__(self, path: str | os.PathLike, storage: str | None = None) -> None:
        self.path = Path(path)
        self.file = self.path / "study.json"
        self.journal = self.path / "journal.log"
        self.url = storage
        if storage is None and self.file.is_file():
            self.url = self._read_url()

    @classmethod
    def opened(cls, path: str | os.PathLike, storage: str | None = None) -> Study:
        """The study in an existing folder. Raises BadInput if there is none."""
        study = cls(path, storage)
        if not study.exists():
            raise BadInput(f"'{path}' is no study: it has no study.json (tuning.search makes one)")
        return study

    def exists(self) -> bool:
        return self.file.is_file()

    @property
    def place(self) -> str:
        """Where the trials are stored, for messages: without the password of a URL."""
        if self.url is None:
            return f"'{self.journal}'"
        return f"'{parse_url(self.url).render_as_string(hide_password=True)}'"

    def run(self, number: int) -> RunDirectory:
        return RunDirectory(self.path / f"trial-{number}")

    def log(self, number: int) -> Path:
        return self.path / f"trial-{number}.log"

    def check_free(self) -> None:
        """Raises BadInput if the folder holds something other than a study."""
        if not self.exists() and self.path.exists() and (not self.path.is_dir() or list(self.path.glob("[!.]*"))):
            raise BadInput(f"'{self.path}' exists and is no study; give another --study")

    def make(self) -> None:
        """Make the folder. Raises BadInput if it holds something other than a study."""
        self.check_free()
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.exists():
            write_json(self.file, {"storage": self._without_password()})

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """A context in which no other search works in the folder. Raises BadInput, naming the process, if one does."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(RunDirectory(self.path).locked())
            except BadInput as error:
                process = str(error).split(" trains")[0]
                message = f"{process} searches in '{self.path}'; wait for its end, or give another --study"
                raise BadInput(message) from None
            self._repair()
            yield

    @contextlib.contextmanager
    def readable(self) -> Iterator[None]:
        """A context in which an error of the storage becomes BadInput that names it."""
        try:
            yield
        except BadInput:
            raise
        except ModuleNotFoundError as error:  # of a driver
            raise BadInput(missing_driver(self.place, error.name)) from error
        except Exception as error:  # a damaged file may give anything
            if self.url is None:
                cause = f"{type(error).__name__}: {error}"
                raise BadInput(f"the study's journal {self.place} cannot be read: {cause}") from error
            raise BadInput(f"the study's storage {self.place} cannot be read: {cause_of(error)} (--storage)") from error

    def storage(self) -> BaseStorage:
        """Optuna's storage of the study, made if it is not there. Raises BadInput if it cannot be read."""
        import optuna

        with self.readable(), quiet():
            if self.url is None:
                return endure(open_journal(self.journal), self.place)
            has_studies(parse_url(self.url), self.place)
            database = Patience(self.place).call(open_database, self.url)
            return endure(optuna.storages.get_storage(database), self.place)

    def _is_stored(self) -> bool:
        """Whether the journal or a database with Optuna's tables is there."""
        if self.url is None:
            return self.journal.is_file()
        with self.readable():
            return has_studies(parse_url(self.url), self.place)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def owner(self) -> str:
        """Machine and folder, noted with each trial that is started here."""
        return f"{platform.node()}:{self.path.resolve()}"

    def owns(self, trial: FrozenTrial) -> bool:
        """Whether a trial was started in this folder. If so and it runs while we hold the lock, its search is dead."""
        return trial.user_attrs.get("owner", None if self.url else self.owner) == self.owner

    def optuna_study(self) -> optuna.Study:
        """The Optuna study. Raises BadInput if it cannot be read, or is not there."""
        study = self._load()
        if study is None:
            raise BadInput(
                f"the study in '{self.path}' has no trial yet: there is none in {self.place}"
                + ("" if self.url is None else " (--storage; a relative path counts from the folder of the command)")
            )
        return study

    def _load(self) -> optuna.Study | None:
        """The Optuna study; None where no search was begun, or it was killed before its first trial.

        Makes no journal and no database.
        """
        import optuna

        if not self._is_stored():
            return None
        storage = self.storage()
        with self.readable():
            try:
                study = optuna.load_study(study_name=self.name, storage=storage)
            except KeyError:
                return None
            attributes = study.user_attrs
            if "spec" not in attributes:
                if study.get_trials(deepcopy=False):
                    raise BadInput(f"the study '{self.name}' in {self.place} is not of tuning.search (--study)")
                return None
            if not _is_spec(attributes["spec"]):
                raise BadInput(f"the study '{self.name}' in {self.place} is damaged: its spec lacks entries")
            return study

    def trials(self) -> list[TrialRecord]:
        """The trials that have values, in the order of their numbers."""
        study = self.optuna_study()
        with self.readable():
            trials = study.get_trials(deepcopy=False)
            return [record_of(trial) for trial in trials if "values" in trial.user_attrs]

    def spec(self) -> dict[str, Any]:
        """What is searched: {"config", "space", "sampler", "pruner", "objectives", "budgets"}."""
        study = self.optuna_study()
        with self.readable():
            return study.user_attrs["spec"]

    def objectives(self) -> list[Objective]:
        study = self.optuna_study()
        with self.readable():
            pairs = list(zip(study.user_attrs["spec"]["objectives"], study.directions, strict=True))
        return [Objective(name, "max" if direction.name == "MAXIMIZE" else "min") for name, direction in pairs]

    def check_spec(self, spec: dict[str, Any]) -> None:
        """Raises BadInput, with the difference, if the study was made with another spec, here or on another machine."""
        study = self._load()
        if study is None:
            return
        stored = study.user_attrs["spec"]
        flags = {"objectives": "--objective", "budgets": "--budget-..."}
        rows = [(flags.get(key, f"--{key}"), stored[key], spec[key]) for key in spec if key != "config"]
        config = Config().to_dict() | stored["config"]  # an earlier version may have had fewer fields
        rows += [(flag_of(key), config[key], value) for key, value in spec["config"].items()]
        for flag, before, now in rows:
            if before != now:
                raise BadInput(
                    f"the study in '{self.path}' was started with {flag} {_as_words(before)}, not {_as_words(now)}; "
                    f"give the same to continue it, or another --study"
                )

    def _without_password(self) -> str | None:
        if self.url is None:
            return None
        return self.url if parse_url(self.url).password is None else None

    def _read_url(self) -> str | None:
        """The URL in study.json. Raises BadInput if the file has another shape."""
        try:
            content = read_json(self.file)
        except OSError as error:
            raise BadInput(f"'{self.file}' cannot be read: {error.strerror}") from error
        url = content.get("storage", 0) if isinstance(content, dict) else 0
        if url is not None and not isinstance(url, str):
            raise BadInput(f"'{self.file}' is damaged: it must hold {{\"storage\": a URL or null}}")
        return url

    def _repair(self) -> None:
        """Remove what a search that was killed while it wrote has left: half a last line, and Optuna's lock."""
        self.journal.with_name(self.journal.name + ".lock").unlink(missing_ok=True)
        content = self.journal.read_bytes() if self.journal.is_file() else b""
        if content and not content.endswith(b"\n"):
            os.truncate(self.journal, content.rfind(b"\n") + 1)


def _is_spec(spec: Any) -> bool:
    """Whether a spec has the entries that are read."""
    kinds = {"config": dict, "space": str, "sampler": str, "pruner": str, "objectives": list, "budgets": dict}
    return (
        isinstance(spec, dict)
        and all(isinstance(spec.get(key), kind) for key, kind in kinds.items())
        and {"arch", "dataset", "seed", "epochs"} <= spec["config"].keys()
    )


def _as_words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def add_study(parser: argparse.ArgumentParser) -> None:
    """Give a command's parser the flags of `Study.opened(arguments.study, arguments.storage)`."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study")
    parser.add_argument("--storage", metavar="URL", help="its database, if the URL has a password [that of study.json]")
