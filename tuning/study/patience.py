"""Patience with a storage that is busy or away for a moment, and one line where it stays so."""

from __future__ import annotations

import functools
import inspect
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tfcnn.errors import BadInput

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

# Optuna and SQLAlchemy take a second to import, which --help and a mistyped flag do without.

PATIENCE = 60.0  # seconds for which a call is repeated
PAUSE = 1.0  # seconds between two calls
LASTING = (
    "no such",
    "readonly",
    "unable to open",
    "malformed",
    "not a database",
    "already exists",
)  # errors that no wait mends

Result = TypeVar("Result")
StorageKind = TypeVar("StorageKind", bound="BaseStorage")


class StorageFailed(BadInput):
    """The trials of a study can be neither read nor stored."""


class Patience:
    """Repeats calls of a storage that is locked or away, for up to PATIENCE seconds; stderr says so once.

    Args:
        place: of the storage, for messages.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.is_announced = False

    def call(self, method: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """The result of a call. Raises StorageFailed."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return method(*args, **kwargs)
            except (SQLAlchemyError, StorageInternalError, sqlite3.Error, OSError, json.JSONDecodeError) as error:
                cause = cause_of(error)
                if not is_passing(error) or time.monotonic() >= deadline:
                    raise StorageFailed(f"the study's storage {self.place} cannot be used: {cause}") from error
                if not self.is_announced:
                    self.is_announced = True
                    message = f"warning: waiting up to {PATIENCE:.0f} s for the study's storage {self.place}: {cause}"
                    print(message, file=sys.stderr, flush=True)
                time.sleep(PAUSE)


def endure(storage: StorageKind, place: str) -> StorageKind:
    """`storage`, each public method of which is called with patience."""
    patience = Patience(place)
    for name, method in inspect.getmembers(storage, inspect.ismethod):
        if not name.startswith("_"):
            setattr(storage, name, functools.partial(patience.call, method))
    return storage


def is_passing(error: BaseException) -> bool:
    """Whether an error of a database may be gone a moment later: a lock, a lost connection."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    if isinstance(error.__cause__, DBAPIError):  # Optuna's own error hides it
        error = error.__cause__
    is_busy = isinstance(error, OperationalError | InterfaceError | sqlite3.OperationalError)
    is_busy = is_busy or (isinstance(error, DBAPIError) and error.connection_invalidated)
    return is_busy and not any(text in str(error) for text in LASTING)


def cause_of(error: BaseException) -> str:
    """What a database or the system says of an error, in one line."""
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error.__cause__, SQLAlchemyError):
        error = error.__cause__
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
