"""Layers that the lectures teach and Keras 3 lacks. keras.ops; NHWC; registered as package="tfcnn".

Up-sampling without switches is Keras' own: `keras.layers.UpSampling2D(interpolation="nearest", "bilinear", "bicubic")`.
"""

from tfcnn.layers.bed_of_nails import BedOfNails1D, BedOfNails2D, BedOfNails3D
from tfcnn.layers.lp_pooling import LpPooling1D, LpPooling2D, LpPooling3D
from tfcnn.layers.max_pooling import MaxPoolingWithArgmax1D, MaxPoolingWithArgmax2D, MaxPoolingWithArgmax3D
from tfcnn.layers.max_unpooling import (
    MaxUnpooling1D,
    MaxUnpooling2D,
    MaxUnpooling3D,
    MaxUnpoolingLike1D,
    MaxUnpoolingLike2D,
    MaxUnpoolingLike3D,
)
from tfcnn.layers.subsampling import Subsampling2D

__all__ = [
    "BedOfNails1D",
    "BedOfNails2D",
    "BedOfNails3D",
    "LpPooling1D",
    "LpPooling2D",
    "LpPooling3D",
    "MaxPoolingWithArgmax1D",
    "MaxPoolingWithArgmax2D",
    "MaxPoolingWithArgmax3D",
    "MaxUnpooling1D",
    "MaxUnpooling2D",
    "MaxUnpooling3D",
    "MaxUnpoolingLike1D",
    "MaxUnpoolingLike2D",
    "MaxUnpoolingLike3D",
    "Subsampling2D",
]
