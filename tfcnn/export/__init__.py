"""A trained network as files for serving."""

from tfcnn.export.savedmodel import export_savedmodel

__all__ = ["export_savedmodel"]
