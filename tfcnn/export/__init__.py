"""From a trained run to files that serve it."""

from tfcnn.export.savedmodel import export_savedmodel

__all__ = ["export_savedmodel"]
