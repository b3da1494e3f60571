"""Optuna's storages: a journal in the folder of a study, or a database."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import urllib.parse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.errors import BadInput
from tuning.study.patience import Patience

if TYPE_CHECKING:
    from optuna.storages import JournalStorage, RDBStorage
    from sqlalchemy.engine import URL

# Optuna and SQLAlchemy take a second to import, which --help and a mistyped flag do without.

TABLE_TRIES = 10  # a second apart
HEARTBEAT = 20  # seconds between the signs of life of a trial in a database
LOCK_TIMEOUT = 5  # seconds for which SQLite waits before it says that a database is locked
SQLITE_MAGIC = b"SQLite format 3\0"
GRACE = 120  # seconds without one until a trial is given up
DRIVERS = {"psycopg": "-r requirements-postgresql.txt", "MySQLdb": "mysqlclient"}  # what pip installs, by module


def open_database(url: str) -> RDBStorage:
    """Optuna's storage in a database.

    Machines that start at once on an empty database all try to make its tables. The database refuses all but the
    first, and they find the tables a moment later.
    """
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
    from sqlalchemy.exc import DBAPIError, IntegrityError

    attempt = 1
    while True:
        try:
            return RDBStorage(
                url,
                engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT}} if url.startswith("sqlite") else None,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=1),
            )
        except DBAPIError as error:
            is_race = isinstance(error, IntegrityError) or "already exists" in str(error)
            if not is_race or attempt == TABLE_TRIES:
                raise
            attempt += 1
            time.sleep(1)


def parse_url(text: str) -> URL:
    """The URL of a database that outlives the process. Raises BadInput."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        if "://" not in text:
            raise ValueError("no scheme")
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise BadInput(f"--storage takes a URL, as in sqlite:///study.db, got '{text}'") from error
    if url.get_backend_name() == "sqlite" and (url.database or ":memory:").startswith((":memory:", "file:")):
        raise BadInput(f"--storage takes a file that stays, as in sqlite:///study.db, got '{text}'")
    return url


def missing_driver(place: str, module: str | None) -> str:
    """A message: the driver of a database is not installed.

    Args:
        place: the database.
        module: of the driver.
    """
    return f"the study's storage {place} needs {module}: pip install {DRIVERS.get(module or '', module)} (--storage)"


def has_studies(url: URL, place: str) -> bool:
    """Whether a database with Optuna's tables is there. Nothing is written.

    Args:
        url: of parse_url.
        place: the same for messages.

    Raises:
        BadInput: it holds something else, or cannot be read.
    """
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        tables = _tables_of_file(Path(url.database), place)
    else:
        tables = _tables_of_server(url)
    if tables and "studies" not in tables:
        names = ", ".join(sorted(tables)[:3])
        raise BadInput(f"the database {place} is of something else: it has the table {names} (--storage)")
    return bool(tables)


def _tables_of_file(path: Path, place: str) -> set[str]:
    """The tables of a database of SQLite; none where there is no file, or an empty one."""
    refusal = f"the study's storage {place} cannot be read: "
    try:
        if not path.exists():
            if not path.absolute().parent.is_dir():
                raise BadInput(f"{refusal}there is no folder '{path.absolute().parent}' (--storage)")
            return set()
        if not path.is_file():
            raise BadInput(f"{refusal}it is no file (--storage)")
        with path.open("rb") as file:
            magic = file.read(len(SQLITE_MAGIC))
    except OSError as error:
        raise BadInput(f"{refusal}{error.strerror} (--storage)") from error
    if not magic:
        return set()
    if magic != SQLITE_MAGIC:
        raise BadInput(f"{refusal}file is not a database (--storage)")

    def read_tables() -> set[str]:
        # "rw" makes no file; it rolls back what a killed process has left, which "ro" cannot.
        address = f"file:{urllib.parse.quote(str(path.absolute()))}?mode=rw"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=LOCK_TIMEOUT)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    return Patience(place).call(read_tables)


def _tables_of_server(url: URL) -> set[str]:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    try:
        return {"studies"} if sqlalchemy.inspect(engine).has_table("studies") else set()
    finally:
        engine.dispose()


def open_journal(path: str | os.PathLike) -> JournalStorage:
    """Optuna's storage in a file, which does not wait for the disk after each of a trial's twenty lines (60 ms in all).

    What a process has written survives its death; the last lines can be lost if the power fails.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, _file

    class Backend(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
            with _file.get_lock_file(self._lock), open(self._file_path, "ab") as file:
                file.write(lines.encode())

    return JournalStorage(Backend(str(path)))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A context without Optuna's warnings that something is experimental; its version is pinned."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed", UserWarning)
        yield
