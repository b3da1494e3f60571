"""Layers that the lectures teach and Keras 3 lacks. keras.ops only; NHWC; registered as package="tfcnn"."""

from tfcnn.layers.subsampling import Subsampling2D

__all__ = ["Subsampling2D"]
