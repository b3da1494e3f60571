"""Which positions of its input a layer reads: along one axis by windows, or beyond any window."""

from __future__ import annotations

import enum
from fractions import Fraction
from typing import NamedTuple

from tfcnn.arithmetic.sizes import effective_kernel, same_padding


class Reads(NamedTuple):
    """Which positions of its input a layer's output positions read along one axis, for one period of these."""

    shift: int  # of the input's positions, from one period of the output's to the next
    taps: tuple[tuple[int, ...], ...]

    @classmethod
    def window(cls, kernel: int, stride: int | Fraction = 1, padding: int = 0, dilation: int = 1) -> Reads:
        """A window that slides; a stride of Fraction(1, n) is that of a transposed convolution.

        >>> Reads.window(3, stride=2, padding=1)
        Reads(shift=2, taps=((-1, 0, 1),))
        >>> Reads.window(3, stride=Fraction(1, 2))  # output 0 reads inputs 0 and -1, output 1 reads input 0
        Reads(shift=1, taps=((0, -1), (0,)))

        Raises:
            ValueError: a stride that is neither whole nor 1 / n.
        """
        stride = Fraction(stride)
        if stride.denominator == 1:
            return cls(int(stride), (tuple(tap * dilation - padding for tap in range(kernel)),))
        if stride.numerator != 1:
            raise ValueError(f"a stride must be a whole number or 1 / one, got {stride}")
        step = stride.denominator  # input i adds to the outputs from i * step - padding on
        places = [[place + padding - tap * dilation for tap in range(kernel)] for place in range(step)]
        return cls(1, tuple(tuple(at // step for at in taps if at % step == 0) for taps in places))


class Reach(enum.Enum):
    """What output positions read where they read no windows."""

    POINTWISE = "the same position of the input"
    STATISTICS = "the whole map, which keeps its positions"
    COLLAPSE = "the whole map, which loses its positions"
    WHOLE_AXIS = "all of one axis"


# What a step reads: an entry for each spatial axis, or one for all of them; None where that is not known.
Rule = list[Reads | Reach] | Reach | None


def padding_before(padding: str, size: int | None, kernel: int, stride: int, dilation: int = 1) -> int:
    """Pixels of a Keras layer's padding before the first; of an unknown size: as of a multiple of the stride."""
    if padding == "causal":
        return effective_kernel(kernel, dilation) - 1
    if padding == "same":
        return same_padding(size or stride * effective_kernel(kernel, dilation), kernel, stride, dilation)[0]
    return 0
