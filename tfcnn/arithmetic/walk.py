"""A kernel's walk over a row of places: what the text and the picture of a layer show."""

from __future__ import annotations

from typing import NamedTuple

from tfcnn.arithmetic.sizes import conv_output_size, effective_kernel, padding_amounts, transposed_conv


class Walk(NamedTuple):
    """A kernel's walk over a row of places, one axis of a layer; a transposed convolution as the direct one it equals.

    The input's pixels stand `spacing` places apart with zeros between them, and a border around them: padding, or
    cropped where it is negative.
    """

    size: int
    spacing: int
    before: int
    after: int
    kernel: int
    stride: int
    dilation: int
    output: int

    @property
    def length(self) -> int:
        return self.before + self.spacing * (self.size - 1) + 1 + self.after

    def window(self, output: int) -> range:
        """Places that output number `output` multiplies with the kernel's values."""
        start = output * self.stride
        return range(start, start + effective_kernel(self.kernel, self.dilation), self.dilation)

    def pixel(self, place: int) -> int | None:
        """Number of the input's pixel at a place; None where a zero stands."""
        pixel, rest = divmod(place - self.before, self.spacing)
        return pixel if rest == 0 and 0 <= pixel < self.size else None

    def is_inserted(self, place: int) -> bool:
        """Whether a place lies between two pixels and holds a zero."""
        return self.pixel(place) is None and 0 <= place - self.before <= self.spacing * (self.size - 1)


def walk_of(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    *,
    transposed: bool = False,
    output_padding: int = 0,
) -> Walk:
    """The walk of a layer. Raises ValueError as `tfcnn.arithmetic` does."""
    if transposed:
        direct = transposed_conv(size, kernel, stride, padding, dilation, output_padding)
        return Walk(
            size=size,
            spacing=stride,
            before=direct.before,
            after=direct.after,
            kernel=kernel,
            stride=1,
            dilation=dilation,
            output=direct.output,
        )
    if output_padding:
        raise ValueError(f"output_padding={output_padding} belongs to a transposed convolution")
    before, after = padding_amounts(size, kernel, stride, padding, dilation)
    return Walk(
        size=size,
        spacing=1,
        before=before,
        after=after,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        output=conv_output_size(size, kernel, stride, padding, dilation),
    )
