"""A study: a folder with the runs of its trials, and an Optuna study that remembers them.

    study.json  journal.log  trial-0/  trial-0.log  ...  report.html  tensorboard/

The journal is Optuna's own and only ever grows, unless the study is in a database (`--storage`). What a study searches
is kept in it, and a study is not continued with something else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tfcnn.config import BadInput, Config, flag_of
from tfcnn.run_directory import RunDirectory, write_json
from tuning import budgets

HEARTBEAT, GRACE = 20, 120  # seconds: between signs of life in a database, and without one until a trial is given up

NO_SIGN = "killed: no sign of life from its machine; begun again under another number"


class Found(NamedTuple):
    """A trial as it stands in the study."""

    number: int
    state: str  # COMPLETED, PRUNED, FAILED, RUNNING or WAITING
    values: dict[str, Any]
    scores: tuple[float, ...] | None
    reason: str | None
    config: dict[str, Any]  # fields of Config, without `out`
    metrics: dict[str, float]
    curve: dict[int, float]
    starts: int
    began: Any  # datetime
    seconds: float | None


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
        from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

        with self.readable(), quiet():
            if self.url is None:
                return journal(self.journal)
            if "://" not in self.url:
                raise BadInput(f"--storage takes a URL, as in sqlite:///study.db, got '{self.url}'")
            return optuna.storages.get_storage(
                RDBStorage(
                    self.url,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=1),
                )
            )

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


def journal(path: str | os.PathLike):
    """Optuna's storage in a file. It does not wait for the disk after each of a trial's twenty lines, 60 ms in all.

    What a process has written is there whenever it is killed; the last lines can be lost with the power.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, _file

    class Backend(JournalFileBackend):
        def append_logs(self, logs):
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
            with _file.get_lock_file(self._lock), open(self._file_path, "ab") as file:
                file.write(lines.encode())

    return JournalStorage(Backend(str(path)))


def found(trial) -> Found:
    """An Optuna trial."""
    names = {"COMPLETE": "COMPLETED", "FAIL": "FAILED"}
    attrs, ended = trial.user_attrs, trial.state.is_finished() and trial.datetime_complete
    seconds = attrs.get("seconds")
    if seconds is None and ended and trial.datetime_start:
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    return Found(
        number=trial.number,
        state=names.get(trial.state.name, trial.state.name),
        values=attrs["values"],
        scores=tuple(trial.values) if trial.state.name == "COMPLETE" else None,
        reason=attrs.get("reason") or (NO_SIGN if trial.state.name == "FAIL" else None),
        config=attrs.get("config", {}),
        metrics=attrs.get("metrics", {}),
        curve=dict(trial.intermediate_values),
        starts=attrs.get("starts", 0),
        began=trial.datetime_start,
        seconds=seconds,
    )


def origin(trial) -> int:
    """The number under which a trial was first started, on whatever machine."""
    return trial.system_attrs.get("failed_trial", trial.number)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's warnings that something is experimental; its version is pinned."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed", UserWarning)
        yield


def best_first(trials: list[Found], objectives: list[tuple[str, str]]) -> list[Found]:
    """The completed trials, best first: of one objective by its value, of several those of the Pareto front.

    Args:
        trials: of a study.
        objectives: (name, "max" or "min") of each.
    """
    done = [trial for trial in trials if trial.state == "COMPLETED"]
    signs = [-1 if direction == "max" else 1 for _, direction in objectives]

    def losses(trial):
        return [sign * score for sign, score in zip(signs, trial.scores, strict=True)]

    if len(objectives) > 1:
        done = [t for t in done if not any(dominates(losses(other), losses(t)) for other in done)]
    return sorted(done, key=losses)


def dominates(a: list[float], b: list[float]) -> bool:
    """Whether losses `a` are nowhere above `b`, and somewhere below.

    >>> dominates([1, 2], [1, 3]), dominates([1, 2], [1, 2]), dominates([0, 5], [1, 3])
    (True, False, False)
    """
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def values_of(values: dict[str, Any]) -> str:
    """What was sampled, as text."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def written(objective: str, value: float) -> str:
    """The value of an objective, as text.

    >>> written("val_accuracy", 0.9312), written("macs", 31_500_000), written("val_psnr", 21.234)
    ('93.12 %', '31.5M', '21.23')
    """
    if objective in budgets.COSTS:
        return budgets.written(objective, value)
    return f"{100 * value:.2f} %" if objective in ("val_accuracy", "val_mean_iou") else f"{value:.4g}"


def command_of(config: Config) -> str:
    """The command that trains a configuration: architecture, data, and the flags that differ from the defaults."""
    import shlex

    parts = ["python -m tfcnn.train"]
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        default = {} if field.type == "dict" else field.default
        if value == default and field.name not in ("arch", "dataset"):
            continue
        if field.type == "dict":
            pairs = [shlex.quote(f"{key}={_literal(each)}") for key, each in value.items()]
            parts.append(" ".join([flag_of(field.name), *pairs]))
        elif field.type == "bool":
            parts.append(flag_of(field.name))
        else:
            parts.append(f"{flag_of(field.name)} {shlex.quote(str(value))}")
    return " ".join(parts)


def _literal(value: Any) -> str:
    """What --arch-args reads as `value`: text as it is, the rest as Python writes it."""
    return value if isinstance(value, str) else repr(tuple(value) if isinstance(value, list) else value)
