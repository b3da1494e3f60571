"""Weights from elsewhere: keras.applications, torchvision, timm, and our own files."""

from tfcnn.weights.loading import Loaded, load

__all__ = ["Loaded", "load"]
