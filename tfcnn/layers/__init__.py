"""Layers that the lectures teach and Keras 3 lacks. keras.ops; NHWC; registered as package="tfcnn".

Keras has the rest: up-sampling without switches is `keras.layers.UpSampling2D` with interpolation="nearest",
"bilinear" or "bicubic", depthwise separable convolution `keras.layers.SeparableConv2D`, soft L2
`keras.regularizers.L2`.
"""

from tfcnn.layers import constraints, initializers
from tfcnn.layers.convolutional.convolution import PaddedConv1D, PaddedConv2D, PaddedConv3D
from tfcnn.layers.convolutional.deformable import DeformableConv2D
from tfcnn.layers.convolutional.fft import FFTConv2D
from tfcnn.layers.convolutional.locally_connected import LocallyConnected1D, LocallyConnected2D
from tfcnn.layers.convolutional.min_plus import MinPlusConv2D
from tfcnn.layers.convolutional.mlp import MLPConv2D
from tfcnn.layers.convolutional.orthogonal_planes import OrthogonalPlanesConv3D
from tfcnn.layers.convolutional.separable import SpatiallySeparableConv2D, separate
from tfcnn.layers.normalization import LocalResponseNormalization
from tfcnn.layers.pooling.bed_of_nails import BedOfNails1D, BedOfNails2D, BedOfNails3D
from tfcnn.layers.pooling.blur_pooling import BlurPooling2D
from tfcnn.layers.pooling.lp_pooling import LpPooling1D, LpPooling2D, LpPooling3D
from tfcnn.layers.pooling.max_pooling import MaxPoolingWithArgmax1D, MaxPoolingWithArgmax2D, MaxPoolingWithArgmax3D
from tfcnn.layers.pooling.max_unpooling import (
    MaxUnpooling1D,
    MaxUnpooling2D,
    MaxUnpooling3D,
    MaxUnpoolingLike1D,
    MaxUnpoolingLike2D,
    MaxUnpoolingLike3D,
)
from tfcnn.layers.pooling.roi_pooling import RoIPooling2D
from tfcnn.layers.pooling.subsampling import Subsampling2D
from tfcnn.layers.reshaping.crop_like import CropLike
from tfcnn.layers.reshaping.padding import Padding1D, Padding2D, Padding3D
from tfcnn.layers.reshaping.split_batch import SplitBatch
from tfcnn.layers.reshaping.warping import WarpRegions2D

__all__ = [
    "BedOfNails1D",
    "BedOfNails2D",
    "BedOfNails3D",
    "BlurPooling2D",
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
    "MinPlusConv2D",
    "OrthogonalPlanesConv3D",
    "PaddedConv1D",
    "PaddedConv2D",
    "PaddedConv3D",
    "Padding1D",
    "Padding2D",
    "Padding3D",
    "RoIPooling2D",
    "SpatiallySeparableConv2D",
    "SplitBatch",
    "Subsampling2D",
    "WarpRegions2D",
    "constraints",
    "initializers",
    "separate",
]
