"""The import of TensorFlow for a command."""

from __future__ import annotations

import os
import sys

from pipelines import startup
from tfcnn.cli.signals import RaisedSignals, raise_received
from tfcnn.errors import BadInput

# What TensorFlow and Keras import for functions that no command calls, 40 % of the processor time of their import:
# conversion from JAX, plots, the estimators of scikit-learn, views of files in a notebook, frames of pandas as inputs.
UNUSED = ("jax", "matplotlib", "sklearn", "IPython", "pandas")


def import_tensorflow() -> None:
    """Import TensorFlow and Keras without their start-up lines: see `pipelines.startup.import_tensorflow`.

    In the process of a command Keras does not see the packages of `UNUSED`; elsewhere its user may need them.

    Raises:
        BadInput: KERAS_BACKEND names another backend.
    """
    if "tensorflow" in sys.modules:
        return
    if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise BadInput(
            f"the commands run on TensorFlow, but KERAS_BACKEND is '{os.environ['KERAS_BACKEND']}': unset it"
        )
    startup.import_tensorflow(absent=UNUSED if RaisedSignals.active else ())
    raise_received()  # imports drop exceptions
