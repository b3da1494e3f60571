"""Layers that the lectures teach and Keras 3 lacks. keras.ops; NHWC; registered as package="tfcnn".

Keras has the rest: up-sampling without switches is `keras.layers.UpSampling2D` with interpolation="nearest",
"bilinear" or "bicubic", depthwise separable convolution `keras.layers.SeparableConv2D`, soft L2
`keras.regularizers.L2`.
"""

from tfcnn.layers import constraints, initializers
from tfcnn.layers.bed_of_nails import BedOfNails1D, BedOfNails2D, BedOfNails3D
from tfcnn.layers.convolution import PaddedConv1D, PaddedConv2D, PaddedConv3D
from tfcnn.layers.crop_like import CropLike
from tfcnn.layers.deformable import DeformableConv2D
from tfcnn.layers.fft_convolution import FFTConv2D
from tfcnn.layers.locally_connected import LocallyConnected1D, LocallyConnected2D
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
from tfcnn.layers.mlp_convolution import MLPConv2D
from tfcnn.layers.normalization import LocalResponseNormalization
from tfcnn.layers.orthogonal_planes import OrthogonalPlanesConv3D
from tfcnn.layers.padding import Padding1D, Padding2D, Padding3D
from tfcnn.layers.separable import SpatiallySeparableConv2D, separate
from tfcnn.layers.subsampling import Subsampling2D

__all__ = [
    "BedOfNails1D",
    "BedOfNails2D",
    "BedOfNails3D",
    "CropLike",
    "DeformableConv2D",
    "FFTConv2D",
    "LocalResponseNormalization",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "LpPooling1D",
    "LpPooling2D",
    "LpPooling3D",
    "MLPConv2D",
    "MaxPoolingWithArgmax1D",
    "MaxPoolingWithArgmax2D",
    "MaxPoolingWithArgmax3D",
    "MaxUnpooling1D",
    "MaxUnpooling2D",
    "MaxUnpooling3D",
    "MaxUnpoolingLike1D",
    "MaxUnpoolingLike2D",
    "MaxUnpoolingLike3D",
    "OrthogonalPlanesConv3D",
    "PaddedConv1D",
    "PaddedConv2D",
    "PaddedConv3D",
    "Padding1D",
    "Padding2D",
    "Padding3D",
    "SpatiallySeparableConv2D",
    "Subsampling2D",
    "constraints",
    "initializers",
    "separate",
]
