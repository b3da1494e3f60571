"""Optuna's storages: a journal in the folder of a study, or a database."""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.storages import JournalStorage, RDBStorage

# Optuna and SQLAlchemy take a second to import, which --help and a mistyped flag do without.

TABLE_TRIES = 10  # a second apart
HEARTBEAT = 20  # seconds between the signs of life of a trial in a database
GRACE = 120  # seconds without one until a trial is given up


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
