"""Layers that the lectures teach and Keras 3 lacks. keras.ops only; NHWC; registered as package="tfcnn"."""

from tfcnn.layers import constraints, initializers
from tfcnn.layers.convolution import PaddedConv1D, PaddedConv2D, PaddedConv3D
from tfcnn.layers.deformable import DeformableConv2D
from tfcnn.layers.fft_convolution import FFTConv2D
from tfcnn.layers.locally_connected import LocallyConnected1D, LocallyConnected2D
from tfcnn.layers.mlp_convolution import MLPConv2D
from tfcnn.layers.normalization import LocalResponseNormalization
from tfcnn.layers.orthogonal_planes import OrthogonalPlanesConv3D
from tfcnn.layers.padding import Padding1D, Padding2D, Padding3D
from tfcnn.layers.separable import SpatiallySeparableConv2D, separate
from tfcnn.layers.subsampling import Subsampling2D

__all__ = [
    "DeformableConv2D",
    "FFTConv2D",
    "LocalResponseNormalization",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "MLPConv2D",
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
