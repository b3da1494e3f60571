"""Weights from elsewhere: keras.applications, torchvision, timm, and our own files."""

import importlib
from typing import Any

__all__ = ["Loaded", "load", "preprocessing"]


def __getattr__(name: str) -> Any:
    """What loads weights, imported when it is first used: it imports Keras."""
    if name == "preprocessing":
        return importlib.import_module("tfcnn.weights.expectations").preprocessing
    if name in __all__:
        return getattr(importlib.import_module("tfcnn.weights.loading"), name)
    raise AttributeError(f"module 'tfcnn.weights' has no attribute '{name}'")
