"""tfcnn: the convolutional networks of the lectures, for Keras 3.

    >>> import tfcnn
    >>> tfcnn.list_archs()[:2]
    ['lenet5', 'vgg11']
    >>> model = tfcnn.build("resnet18", (32, 32, 3), 10)
    >>> tfcnn.cost.cost_table(model).params
    11183562

Importing this package is instant; Keras and its backend are imported when a network is built. Where Keras is imported
already, its `load_model` then knows our layers, too; `tfcnn.load_model` always does.
"""

import _signal
import sys

# `python -m` looks for a command: Ctrl-C ends it as SIGTERM does, without a traceback. The import of signal would take
# some milliseconds; the module in C is there.
if sys.argv[:1] == ["-m"]:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import importlib
from typing import Any

from tfcnn import neighbours
from tfcnn.factory import build, feature_info
from tfcnn.models.registry import list_archs

__all__ = ["build", "cost", "feature_info", "layers", "list_archs", "load", "load_model", "receptive_field", "weights"]
__version__ = "0.1.0"

neighbours.check("pipelines")  # before a command imports it


def __getattr__(name: str) -> Any:
    """The public modules, `load` and `load_model`, imported when they are first used."""
    if name == "load":
        return importlib.import_module("tfcnn.trained").load
    if name == "load_model":
        return importlib.import_module("tfcnn.model_files").load_model
    if name in ("cost", "layers", "receptive_field", "weights"):
        return importlib.import_module(f"tfcnn.{name}")
    raise AttributeError(f"module 'tfcnn' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


if "keras" in sys.modules:  # the import costs nothing more, and registers our layers for keras.saving.load_model
    importlib.import_module("tfcnn.layers")
