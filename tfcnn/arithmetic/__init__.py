"""Convolution arithmetic: integers in, integers out. Standard library only.

`sizes` has the outputs of layers, `costs` their parameters and multiplications, `scaling` the width, depth and
resolution of networks; `matrix` (NumPy and SciPy) is the convolution as a matrix. `python -m tfcnn.arithmetic` explains
one layer.
"""

from tfcnn.arithmetic.costs import ConvCost, conv_cost
from tfcnn.arithmetic.sizes import (
    DirectConv,
    Padding,
    ReceptiveField,
    conv_output_size,
    effective_kernel,
    padding_amounts,
    padding_for,
    pool_output_size,
    receptive_field,
    same_padding,
    transposed_conv,
    transposed_conv_output_size,
)

__all__ = [
    "ConvCost",
    "DirectConv",
    "Padding",
    "ReceptiveField",
    "conv_cost",
    "conv_output_size",
    "effective_kernel",
    "padding_amounts",
    "padding_for",
    "pool_output_size",
    "receptive_field",
    "same_padding",
    "transposed_conv",
    "transposed_conv_output_size",
]
