"""What one layer costs for one example: parameters, multiplications, accumulations, bias sums.

Integers in, integers out, standard library only; `tfcnn.cost` counts whole models. An output value is a sum of products
plus a bias: n products take n - 1 accumulations, and the bias is one sum more. `positions` is the number
of places of the output map, `kernel` the sides of the window.

    standard             (F F C + 1) K parameters, H W F F C K multiplications, H W (F F C - 1) K accumulations and
                         H W K bias sums: K filters of F x F on C maps, at H x W places
    grouped              the same with C / groups in place of C
    depthwise            (F F + 1) C m parameters, H W F F C m multiplications: m maps out of each map
    separable            depthwise without bias, then a 1x1 convolution
    spatially separable  a column kernel, then a row kernel: F + F in place of F F
    locally connected    the work of the standard layer, with different kernels at each of the H W places
    dense                (n + 1) m parameters, n m multiplications: a kernel of one value at one place
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar


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


class LayerCost(NamedTuple):
    """A cost whose additions are divided into accumulations of products and sums with the bias."""

    parameters: int
    multiplications: int
    accumulations: int
    bias_sums: int

    @property
    def operations(self) -> int:
        """Every multiplication and addition."""
        return self.multiplications + self.accumulations + self.bias_sums


Cost = TypeVar("Cost", ConvCost, LayerCost)


def total(*costs: Cost) -> Cost:
    """Cost of layers one after the other, one or more.

    >>> total(dense(4, 3), dense(3, 2))
    LayerCost(parameters=23, multiplications=18, accumulations=13, bias_sums=5)
    """
    return type(costs[0])(*map(sum, zip(*costs, strict=True)))


def standard(
    kernel: tuple[int, ...], in_channels: int, out_channels: int, positions: int, *, groups: int = 1, bias: bool = True
) -> LayerCost:
    """A convolution, grouped where `groups` is above 1.

    >>> standard((3, 3), 3, 8, positions=25, bias=False)
    LayerCost(parameters=216, multiplications=5400, accumulations=5200, bias_sums=0)
    >>> standard((3, 3), 64, 64, positions=1, groups=2, bias=False).parameters  # half of 36,864
    18432

    Raises:
        ValueError: the channels cannot be divided into `groups`.
    """
    cost = conv_cost(kernel, in_channels, out_channels, positions, groups=groups, bias=bias)
    bias_sums = positions * out_channels if bias else 0
    return LayerCost(cost.parameters, cost.multiplications, cost.additions - bias_sums, bias_sums)


def depthwise(
    kernel: tuple[int, ...], channels: int, positions: int, *, multiplier: int = 1, bias: bool = True
) -> LayerCost:
    """A convolution of each map alone, into `multiplier` maps.

    >>> depthwise((3, 3), 3, positions=25, bias=False)
    LayerCost(parameters=27, multiplications=675, accumulations=600, bias_sums=0)
    """
    return standard(kernel, channels, channels * multiplier, positions, groups=channels, bias=bias)


def separable(
    kernel: tuple[int, ...],
    in_channels: int,
    out_channels: int,
    positions: int,
    *,
    multiplier: int = 1,
    bias: bool = True,
) -> LayerCost:
    """Depthwise separable: a depthwise convolution without bias, then a 1x1 convolution, as Keras' SeparableConv2D.

    >>> separable((3, 3), 3, 5, positions=1, bias=False).parameters  # 27 + 15, where a standard layer has 135
    42
    """
    return total(
        depthwise(kernel, in_channels, positions, multiplier=multiplier, bias=False),
        standard((), in_channels * multiplier, out_channels, positions, bias=bias),
    )


def spatially_separable(
    kernel: tuple[int, int],
    in_channels: int,
    out_channels: int,
    positions: tuple[int, int],
    *,
    between: int | None = None,
    bias: bool = True,
) -> LayerCost:
    """A column kernel into `between` maps (default: `out_channels`) without bias, then a row kernel.

    Args:
        kernel: (height, width) of the kernel that the two replace.
        positions: places of the map after the column kernel, and of the output.

    >>> spatially_separable((3, 3), 1, 1, positions=(1, 1), bias=False).parameters  # of 9
    6
    """
    height, width = kernel
    between = out_channels if between is None else between
    return total(
        standard((height,), in_channels, between, positions[0], bias=False),
        standard((width,), between, out_channels, positions[1], bias=bias),
    )


def locally_connected(
    kernel: tuple[int, ...], in_channels: int, out_channels: int, positions: int, *, bias: bool = True
) -> LayerCost:
    """A convolution without sharing: every place has its kernels and biases.

    >>> locally_connected((7, 7), 3, 1, positions=24 * 24, bias=False).parameters
    84672
    """
    shared = standard(kernel, in_channels, out_channels, positions, bias=bias)
    return shared._replace(parameters=shared.parameters * positions)


def dense(inputs: int, outputs: int, *, bias: bool = True) -> LayerCost:
    """A fully connected layer.

    >>> dense(120, 84)
    LayerCost(parameters=10164, multiplications=10080, accumulations=9996, bias_sums=84)
    """
    return standard((), inputs, outputs, 1, bias=bias)
