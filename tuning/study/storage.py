"""Optuna's storages: a journal in the folder of a study, or a database."""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Iterator

TABLE_TRIES = 10  # a second apart
HEARTBEAT, GRACE = 20, 120  # seconds: between signs of life in a database, and without one until a trial is given up


def database(url: str):
    """Optuna's storage in a database. Of machines that begin at once on an empty one each makes the tables.

    All but the first are refused by the database then, and find the tables a moment later.
    """
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
    from sqlalchemy.exc import DBAPIError, IntegrityError

    again = RetryHeartbeatStaleTrialCallback(max_retry=1)
    settings = {"heartbeat_interval": HEARTBEAT, "grace_period": GRACE, "heartbeat_stale_trial_callback": again}
    for _ in range(TABLE_TRIES - 1):
        try:
            return RDBStorage(url, **settings)
        except DBAPIError as error:
            if not isinstance(error, IntegrityError) and "already exists" not in str(error):
                raise
            time.sleep(1)
    return RDBStorage(url, **settings)


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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's warnings that something is experimental; its version is pinned."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed", UserWarning)
        yield
