"""A study: a folder with the runs of its trials, and an Optuna study that remembers them.

    study.json  journal.log  trial-0/  trial-0.log  ...  report.html  tensorboard/

The journal is Optuna's own and only ever grows, unless the study is in a database (`--storage`). What a study searches
is kept in it, and a study is not continued with something else.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfcnn.config import flag_of
from tfcnn.errors import BadInput
from tfcnn.files import write_json
from tfcnn.run_directory import RunDirectory
from tuning.study.storage import database, journal, quiet
from tuning.study.trials import Found, found


class Study:
    """The folder of a study, by name.

    Args:
        path: the folder.
        storage: URL of a database; None: the one that the folder remembers, or else its journal.
    """

    def __init__(self, path: str | os.PathLike, storage: str | None = None):
        self.path = Path(path)
        self.file, self.journal = self.path / "study.json", self.path / "journal.log"
        if storage is None and self.file.is_file():
            storage = self._remembered().get("storage")
        self.url = storage

    @classmethod
    def opened(cls, path: str | os.PathLike, storage: str | None = None) -> Study:
        """A study that exists. Raises BadInput if there is none."""
        study = cls(path, storage)
        if not study.exists():
            raise BadInput(f"'{path}' is no study: it has no study.json (tuning.search makes one)")
        return study

    def exists(self) -> bool:
        return self.file.is_file()

    @property
    def place(self) -> str:
        """Where the trials are stored, for people."""
        if self.url is None:
            return f"'{self.journal}'"
        from sqlalchemy.engine import make_url

        return f"'{make_url(self.url).render_as_string(hide_password=True)}'"

    def run(self, number: int) -> RunDirectory:
        return RunDirectory(self.path / f"trial-{number}")

    def log(self, number: int) -> Path:
        return self.path / f"trial-{number}.log"

    def check_free(self) -> None:
        """Raises BadInput if the folder is taken by something else than a study."""
        if not self.exists() and self.path.exists() and (not self.path.is_dir() or list(self.path.glob("[!.]*"))):
            raise BadInput(f"'{self.path}' exists and is no study; give another --study")

    def make(self) -> None:
        """Make the folder. Raises BadInput if it is taken by something else."""
        self.check_free()
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.exists():
            write_json(self.file, {"storage": self._without_password()})

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within this context no other search works in the folder. Raises BadInput, naming the process that does."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(RunDirectory(self.path).locked())
            except BadInput as error:
                who = str(error).split(" trains")[0]
                raise BadInput(f"{who} searches in '{self.path}'; wait for its end, or give another --study") from None
            self._mend()
            yield

    @contextlib.contextmanager
    def readable(self) -> Iterator[None]:
        """Within this context an error of the storage becomes BadInput that names it."""
        import optuna
        import sqlalchemy.exc

        try:
            yield
        except (ValueError, KeyError, AssertionError, TypeError, OSError) as error:
            if isinstance(error, BadInput) or self.url is not None:
                raise
            raise BadInput(f"the study's journal {self.place} cannot be read: {error!r}") from error
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
            said = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise BadInput(f"the study's storage {self.place} cannot be read: {said} (--storage)") from error

    def storage(self):
        """Optuna's storage of the study."""
        import optuna

        with self.readable(), quiet():
            if self.url is None:
                return journal(self.journal)
            if "://" not in self.url:
                raise BadInput(f"--storage takes a URL, as in sqlite:///study.db, got '{self.url}'")
            return optuna.storages.get_storage(database(self.url))

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def owner(self) -> str:
        """Who runs trials of this folder."""
        return f"{platform.node()}:{self.path.resolve()}"

    def mine(self, trial) -> bool:
        """Whether a trial that is running belongs to a search in this folder, which has ended if the lock is ours."""
        return trial.user_attrs.get("owner", None if self.url else self.owner) == self.owner

    def optuna(self):
        """The Optuna study. Raises BadInput if it cannot be read, or is not there."""
        if (study := self._loaded()) is None:
            raise BadInput(f"the study in '{self.path}' has no trial yet: there is none in {self.place}")
        return study

    def _loaded(self):
        """The Optuna study; None where a search was not begun, or killed before it had a trial."""
        import optuna

        if self.url is None and not self.journal.is_file():
            return None
        storage = self.storage()
        with self.readable():
            try:
                study = optuna.load_study(study_name=self.name, storage=storage)
            except KeyError:
                return None
            return study if "spec" in study.user_attrs else None

    def trials(self) -> list[Found]:
        """The trials that were given values, in the order of their numbers."""
        study = self.optuna()
        with self.readable():
            return [found(t) for t in study.get_trials(deepcopy=False) if "values" in t.user_attrs]

    def spec(self) -> dict[str, Any]:
        """What is searched: {"config", "space", "sampler", "pruner", "objectives", "budgets"}."""
        return self.optuna().user_attrs["spec"]

    def objectives(self) -> list[tuple[str, str]]:
        """(name, "max" or "min") of each objective."""
        study = self.optuna()
        ways = ("max" if way.name == "MAXIMIZE" else "min" for way in study.directions)
        return list(zip(study.user_attrs["spec"]["objectives"], ways, strict=True))

    def check_spec(self, spec: dict[str, Any]) -> None:
        """Raises BadInput, with the difference, if the study was made with another spec, here or on another machine."""
        if (study := self._loaded()) is None:
            return
        kept = study.user_attrs["spec"]
        flags = {"objectives": "--objective", "budgets": "--budget-..."}
        pairs = [(flags.get(key, f"--{key}"), kept[key], spec[key]) for key in spec if key != "config"]
        pairs += [(flag_of(key), kept["config"].get(key), value) for key, value in spec["config"].items()]
        for flag, before, now in pairs:
            if before != now:
                shown = [" ".join(map(str, v)) if isinstance(v, list) else str(v) for v in (before, now)]
                raise BadInput(
                    f"the study in '{self.path}' was started with {flag} {shown[0]}, not {shown[1]}; give the same to "
                    f"continue it, or another --study"
                )

    def _remembered(self) -> dict[str, Any]:
        try:
            return json.loads(self.file.read_text())
        except ValueError as error:
            raise BadInput(f"'{self.file}' is not readable JSON: {error}") from error

    def _without_password(self) -> str | None:
        if self.url is None:
            return None
        from sqlalchemy.engine import make_url

        return self.url if make_url(self.url).password is None else None

    def _mend(self) -> None:
        """Take away what a search left that was killed while it wrote: half a last line, and Optuna's lock."""
        self.journal.with_name(self.journal.name + ".lock").unlink(missing_ok=True)
        if self.journal.is_file() and (content := self.journal.read_bytes()) and not content.endswith(b"\n"):
            os.truncate(self.journal, content.rfind(b"\n") + 1)


def add_study(parser) -> None:
    """Give a command's parser the study that it is about: `Study.opened(given.study, given.storage)`."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study")
    parser.add_argument(
        "--storage", metavar="URL", help="its database, if the URL has a password [what the study says]"
    )
