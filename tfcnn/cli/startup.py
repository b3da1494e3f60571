"""The import of TensorFlow for a command."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
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
    """A context without what is written to stderr, also by C++ code; an error that ends it brings the lines back."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
