"""tfcnn: the convolutional networks of the lectures, for Keras 3.

    >>> import tfcnn
    >>> tfcnn.list_archs()[:2]
    ['lenet5', 'vgg11']
    >>> model = tfcnn.build("resnet18", (32, 32, 3), 10)
    >>> tfcnn.cost.cost_table(model).params
    11183562

Importing this package is instant; Keras and its backend are imported when a network is built.
"""

import importlib

from tfcnn.models import build, list_archs

__all__ = ["build", "cost", "feature_info", "layers", "list_archs", "receptive_field"]
__version__ = "0.1.0"


def __getattr__(name):
    if name in ("cost", "layers", "receptive_field"):
        return importlib.import_module(f"tfcnn.{name}")
    if name == "feature_info":
        return importlib.import_module("tfcnn.models.features").feature_info
    raise AttributeError(f"module 'tfcnn' has no attribute '{name}'")
