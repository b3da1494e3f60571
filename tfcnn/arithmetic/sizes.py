"""Convolution arithmetic: integers in, integers out.

Standard library only, so that a command line can ask without waiting for TensorFlow. Sizes are pixels along
one axis. The size formulas are relationships 1 to 14 of Dumoulin & Visin, "A guide to convolution arithmetic
for deep learning" (2016), with padding that may differ on the two sides. A `padding` is:

    3          3 pixels on each side
    (0, 1)     before the first pixel and after the last
    "valid"    none
    "same"     what TensorFlow adds, so that the output has ceil(size / stride) pixels
    "full"     effective kernel - 1 on each side: every pixel meets every value of the kernel

`python -m tfcnn.arithmetic --input 5 --kernel 3 --stride 2 --padding 1` explains one layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

Padding = int | str | tuple[int, int]


def effective_kernel(kernel: int, dilation: int = 1) -> int:
    """Pixels that a dilated kernel covers: F + (F - 1)(d - 1), which is d (F - 1) + 1.

    >>> effective_kernel(3, dilation=2)
    5
    """
    _check(kernel=kernel, dilation=dilation)
    return dilation * (kernel - 1) + 1


def conv_output_size(size: int, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1) -> int:
    """Output size of a convolution.

    floor((size + before + after - effective kernel) / stride) + 1.

    >>> conv_output_size(227, kernel=11, stride=4)
    55
    >>> conv_output_size(5, kernel=3, padding=1), conv_output_size(5, kernel=3, padding="full")
    (5, 7)
    >>> conv_output_size(224, kernel=3, stride=2, padding="same")
    112

    Raises:
        ValueError: an argument is out of range, or the kernel is larger than the padded input.
    """
    before, after = padding_amounts(size, kernel, stride, padding, dilation)
    effective = effective_kernel(kernel, dilation)
    if size + before + after < effective:
        raise ValueError(f"a kernel that covers {effective} does not fit an input of {size} + {before} + {after}")
    return (size + before + after - effective) // stride + 1


def pool_output_size(
    size: int,
    kernel: int,
    stride: int | None = None,
    padding: Padding = 0,
    dilation: int = 1,
    *,
    ceil_mode: bool = False,
) -> int:
    """Output size of a pooling; `stride=None` is the kernel's size.

    As a convolution's. With `ceil_mode` the last window may hang over the end, if it starts before it: PyTorch's rule,
    which torchvision's GoogLeNet and SqueezeNet rely on.

    >>> pool_output_size(112, kernel=3, stride=2), pool_output_size(112, kernel=3, stride=2, ceil_mode=True)
    (55, 56)
    >>> pool_output_size(5, kernel=1, stride=3, ceil_mode=True)  # a third window would start at 6
    2

    Raises:
        ValueError: an argument is out of range, no window fits, or a window could lie in the padding alone.
    """
    stride = kernel if stride is None else stride
    before, after = padding_amounts(size, kernel, stride, padding, dilation)
    effective = effective_kernel(kernel, dilation)
    if max(before, after) >= effective:
        raise ValueError(f"a window that covers {effective} would pool nothing but padding of {max(before, after)}")
    if not ceil_mode:
        return conv_output_size(size, kernel, stride, (before, after), dilation)
    output = -((effective - size - before - after) // stride) + 1  # the ceiling of the quotient
    if (output - 1) * stride >= size + before:
        output -= 1
    if output < 1:
        raise ValueError(f"a window that covers {effective} does not fit an input of {size} + {before} + {after}")
    return output


def transposed_conv_output_size(
    size: int, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1, output_padding: int = 0
) -> int:
    """Output size of the transposed convolution that undoes the sizes of `conv_output_size`.

    stride (size - 1) + effective kernel - before - after + output_padding. `padding` is that of the original
    convolution: it crops. `output_padding` chooses among the sizes that this convolution maps to `size`. "same"
    gives stride * size, as in Keras. (Keras' "valid" also gives no less than stride * size: where the kernel is
    smaller than the stride it is `padding=0, output_padding=stride - kernel` here.)

    >>> transposed_conv_output_size(2, kernel=3, stride=2, padding=1, output_padding=1)
    4
    >>> transposed_conv_output_size(7, kernel=4, stride=2, padding="same")
    14

    Raises:
        ValueError: an argument is out of range, or nothing is left of the output.
    """
    return transposed_conv(size, kernel, stride, padding, dilation, output_padding).output


class DirectConv(NamedTuple):
    """The convolution with stride 1 that a transposed convolution equals; its kernel is the flipped one.

    `zeros` stand between neighbours of the input, which makes `stretched` pixels; `before` and `after` are the border
    around them, cropped where negative.
    """

    size: int
    zeros: int
    stretched: int
    before: int
    after: int
    kernel: int
    dilation: int
    output: int


def transposed_conv(
    size: int, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1, output_padding: int = 0
) -> DirectConv:
    """The direct convolution that a transposed one is equivalent to; the arguments are those of the transposed one.

    Dumoulin & Visin, figure 4.6, the transpose of a 3x3 kernel with stride 2 on 5 pixels padded by 1: one zero between
    the 3 inputs and a border of 1. Figure 4.7, on 6 pixels: a border that is wider by 1 at the end.

    >>> transposed_conv(3, kernel=3, stride=2, padding=1)
    DirectConv(size=3, zeros=1, stretched=5, before=1, after=1, kernel=3, dilation=1, output=5)
    >>> transposed_conv(3, kernel=3, stride=2, padding=1, output_padding=1)
    DirectConv(size=3, zeros=1, stretched=5, before=1, after=2, kernel=3, dilation=1, output=6)

    Raises:
        ValueError: an argument is out of range, or nothing is left of the output.
    """
    _check(size=size, stride=stride)
    effective = effective_kernel(kernel, dilation)
    if not 0 <= output_padding < max(stride, dilation):
        raise ValueError(
            f"output_padding must be from 0 to max(stride, dilation) - 1 = {max(stride, dilation) - 1}, "
            f"got {output_padding}"
        )
    if padding == "same":
        if output_padding:
            raise ValueError(f'padding="same" fixes the size: output_padding must be 0, got {output_padding}')
        output_padding = max(stride - effective, 0)
    crop = padding_amounts(stride * size, kernel, stride, padding, dilation)
    stretched = stride * (size - 1) + 1
    before = effective - 1 - crop[0]
    after = effective - 1 - crop[1] + output_padding
    output = stretched + before + after - effective + 1
    if output < 1:
        raise ValueError(f"padding={padding} leaves nothing of the output")
    return DirectConv(size, stride - 1, stretched, before, after, kernel, dilation, output)


def padding_amounts(
    size: int, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1
) -> tuple[int, int]:
    """(before, after): the pixels of a `padding`.

    >>> padding_amounts(5, kernel=3, padding="full", dilation=2)
    (4, 4)

    Raises:
        ValueError: an argument is out of range.
    """
    _check(size=size, kernel=kernel, stride=stride, dilation=dilation)
    if padding == "valid":
        return 0, 0
    if padding == "same":
        return same_padding(size, kernel, stride, dilation)
    if padding == "full":
        return (effective_kernel(kernel, dilation) - 1,) * 2
    if isinstance(padding, str):
        raise ValueError(f"padding must be a number, 'valid', 'same' or 'full', got '{padding}'")
    before, after = (padding, padding) if isinstance(padding, int) else padding
    if before < 0 or after < 0:
        raise ValueError(f"padding must be 0 or more, got {padding}")
    return before, after


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """(before, after): what TensorFlow's padding="same" adds, so that the output has ceil(size / stride).

    >>> same_padding(224, kernel=3, stride=2)
    (0, 1)
    """
    _check(size=size, kernel=kernel, stride=stride, dilation=dilation)
    return padding_for(size, math.ceil(size / stride), kernel, stride, dilation)


def padding_for(size: int, output: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """(before, after): the least padding that gives an output of `output` pixels, the odd one at the end.

    The sum is stride (output - 1) - size + effective kernel. `padding_for(size, size, ...)` keeps the size; with stride
    1 and an odd kernel that is (kernel - 1) / 2 on each side.

    >>> padding_for(32, 32, kernel=3), padding_for(32, 32, kernel=4)
    ((1, 1), (1, 2))

    Raises:
        ValueError: an argument is out of range, or the output is larger than `output` even without padding.
    """
    _check(size=size, output=output, kernel=kernel, stride=stride, dilation=dilation)
    total = max(stride * (output - 1) - size + effective_kernel(kernel, dilation), 0)
    if conv_output_size(size + total, kernel, stride, dilation=dilation) != output:
        raise ValueError(f"without padding the output of {size} is already larger than {output}")
    return total // 2, total - total // 2


class ReceptiveField(NamedTuple):
    """Output number n sees the input from n stride - padding on, `size` pixels; negative places are padding."""

    size: int
    stride: int
    padding: int


def receptive_field(layers: Iterable[tuple[int, ...]]) -> ReceptiveField:
    """Receptive field of a stack of convolutions and poolings.

    Args:
        layers: a row of numbers for each, from the input on: (kernel, stride, padding before, dilation); 1, 0, 1 for
            what is left out at its end.

    >>> receptive_field([(3,), (3,), (2, 2)])  # two 3x3 convolutions and a 2x2 pooling
    ReceptiveField(size=6, stride=2, padding=0)
    >>> receptive_field([(7, 2, 3), (3, 2, 1), (3, 1, 2, 2)])
    ReceptiveField(size=27, stride=4, padding=13)

    Raises:
        ValueError: a number is out of range.
    """
    size = 1
    step = 1
    start = 0
    for row in layers:
        kernel, stride, padding, dilation = tuple(row) + (1, 1, 0, 1)[len(row) :]
        _check(kernel=kernel, stride=stride, dilation=dilation)
        if padding < 0:
            raise ValueError(f"padding must be 0 or more, got {padding}")
        size += (effective_kernel(kernel, dilation) - 1) * step
        start += padding * step
        step *= stride
    return ReceptiveField(size, step, start)


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
