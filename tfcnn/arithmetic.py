"""Convolution arithmetic: integers in, integers out.

Standard library only, so that a command line can ask without waiting for TensorFlow. Sizes are pixels along
one axis. The size formulas are relationships 1 to 14 of Dumoulin & Visin, "A guide to convolution arithmetic
for deep learning" (2016).
"""

from __future__ import annotations

import math
from typing import NamedTuple


def conv_output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Output size of a convolution or pooling, `padding` pixels added on both sides.

    floor((size + 2 padding - effective kernel) / stride) + 1, effective kernel = dilation (kernel - 1) + 1.

    >>> conv_output_size(227, kernel=11, stride=4)
    55
    >>> conv_output_size(5, kernel=3, padding=1)
    5

    Raises:
        ValueError: an argument is out of range, or the kernel is larger than the padded input.
    """
    _check(size=size, kernel=kernel, stride=stride, dilation=dilation)
    if padding < 0:
        raise ValueError(f"padding must be 0 or more, got {padding}")
    effective = dilation * (kernel - 1) + 1
    if size + 2 * padding < effective:
        raise ValueError(f"a kernel that covers {effective} does not fit an input of {size} + 2*{padding}")
    return (size + 2 * padding - effective) // stride + 1


def transposed_conv_output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, output_padding: int = 0
) -> int:
    """Output size of the transposed convolution that undoes the sizes of `conv_output_size`.

    stride (size - 1) + effective kernel - 2 padding + output_padding.

    >>> transposed_conv_output_size(2, kernel=3, stride=2, padding=1, output_padding=1)
    4

    Raises:
        ValueError: an argument is out of range, or nothing is left of the output.
    """
    _check(size=size, kernel=kernel, stride=stride, dilation=dilation)
    if padding < 0 or not 0 <= output_padding < max(stride, dilation):
        raise ValueError(
            f"padding must be 0 or more and output_padding from 0 to max(stride, dilation) - 1, "
            f"got padding={padding}, output_padding={output_padding}"
        )
    output = stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * padding + output_padding
    if output < 1:
        raise ValueError(f"padding={padding} leaves nothing of the output")
    return output


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """(before, after): what TensorFlow's padding="same" adds, so that the output has ceil(size / stride).

    >>> same_padding(224, kernel=3, stride=2)
    (0, 1)
    """
    _check(size=size, kernel=kernel, stride=stride, dilation=dilation)
    output = math.ceil(size / stride)
    total = max((output - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


class ConvCost(NamedTuple):
    """What one convolution or dense layer costs for one example."""

    parameters: int
    macs: int
    multiplications: int
    additions: int


def conv_cost(
    kernel: tuple[int, ...],
    in_channels: int,
    out_channels: int,
    positions: int,
    *,
    groups: int = 1,
    bias: bool = True,
) -> ConvCost:
    """Cost of a convolution whose kernel is applied at `positions` places (a dense layer: kernel (), 1 place).

    Each output value is a sum of prod(kernel) in_channels / groups products, plus the bias. One MAC is one
    product with its accumulation; the bias is an addition and no MAC.

    >>> conv_cost((3, 3), 3, 64, positions=224 * 224)
    ConvCost(parameters=1792, macs=86704128, multiplications=86704128, additions=86704128)

    Raises:
        ValueError: the channels cannot be divided into `groups`.
    """
    if in_channels % groups or out_channels % groups:
        raise ValueError(f"{in_channels} to {out_channels} channels cannot be divided into {groups} groups")
    terms = math.prod(kernel) * in_channels // groups
    outputs = positions * out_channels
    return ConvCost(
        parameters=(terms + bias) * out_channels,
        macs=terms * outputs,
        multiplications=terms * outputs,
        additions=(terms - 1 + bias) * outputs,
    )


def scale_width(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to a multiple of 8, at least 8 and at least 90 % of the exact product.

    The rule of MobileNet's and EfficientNet's authors; `width=1` leaves every count as the paper has it.

    >>> scale_width(64, 0.5), scale_width(6, 1.0), scale_width(24, 0.6)
    (32, 6, 16)
    """
    if width <= 0:
        raise ValueError(f"width must be above 0, got {width}")
    if width == 1:
        return channels
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * exact else rounded + 8


def scale_depth(repeats: int, depth: float) -> int:
    """`repeats` of a block times `depth`, rounded up, as EfficientNet does.

    >>> scale_depth(3, 1.0), scale_depth(3, 1.4), scale_depth(2, 0.1)
    (3, 5, 1)
    """
    if depth <= 0:
        raise ValueError(f"depth must be above 0, got {depth}")
    return math.ceil(round(repeats * depth, 6))


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
