"""The import of TensorFlow for a command."""

from __future__ import annotations

import os
import sys

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
