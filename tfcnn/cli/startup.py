"""The import of TensorFlow for a command."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from pipelines import startup
from tfcnn.cli.signals import raise_received
from tfcnn.errors import BadInput


def import_tensorflow() -> None:
    """Import TensorFlow and Keras without their start-up lines: see `pipelines.startup.import_tensorflow`.

    Raises:
        BadInput: KERAS_BACKEND names another backend.
    """
    if "tensorflow" in sys.modules:
        return
    if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise BadInput(
            f"the commands run on TensorFlow, but KERAS_BACKEND is '{os.environ['KERAS_BACKEND']}': unset it"
        )
    startup.import_tensorflow()
    raise_received()  # imports drop exceptions


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """A context in which nothing is written to stderr, also by C++ code; an exception says what went wrong."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
