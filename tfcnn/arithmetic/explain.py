"""One layer's arithmetic step by step: `python -m tfcnn.arithmetic --input 5 --kernel 3 --stride 2 --padding 1`.

Standard library only; matplotlib is imported for `--figure` alone. Sizes are those of one axis; the picture shows two
equal ones.
"""

from __future__ import annotations

from tfcnn.arithmetic.sizes import DirectConv, effective_kernel, padding_amounts, transposed_conv
from tfcnn.arithmetic.walk import Walk, walk_of

ROW_WIDTH = 96  # characters of a drawn row; a longer one is cut in the middle


def explain(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    *,
    transposed: bool = False,
    output_padding: int = 0,
) -> str:
    """The sizes, the formula with its numbers, the equivalent direct convolution, and a drawing.

    >>> print(explain(5, 3, stride=2, padding=1))
    convolution, kernel 3, stride 2, padding 1, dilation 1: 5 -> 3
    <BLANKLINE>
    output size  floor((input + before + after - kernel) / stride) + 1
                 = floor((5 + 1 + 1 - 3) / 2) + 1 = 3
    transposed   from 3 back to 5; it equals
                 the direct convolution with stride 1 and the kernel flipped,
                 on 3 pixels, 1 zero inserted between neighbours (5 places), with a border of 1 + 1
    <BLANKLINE>
    what the first and the last output see (p: padding)
      output 0  [p][0][1] 2  3  4  p   inputs 0, 1
      output 2   p  0  1  2 [3][4][p]  inputs 3, 4

    Raises:
        ValueError: no such layer.
    """
    walk = walk_of(size, kernel, stride, padding, dilation, transposed=transposed, output_padding=output_padding)
    kind = "transposed convolution" if transposed else "convolution"
    before, after = padding_amounts(stride * size if transposed else size, kernel, stride, padding, dilation)
    amounts = f"{padding} ({before} + {after})" if isinstance(padding, str) else padding
    more = f", output padding {output_padding}" if output_padding else ""
    lines = [
        f"{kind}, kernel {kernel}, stride {stride}, padding {amounts}, dilation {dilation}{more}: "
        f"{size} -> {walk.output}",
        "",
    ]
    covered = effective_kernel(kernel, dilation)
    name = "effective kernel" if dilation > 1 else "kernel"
    lines += _explain_dilation(kernel, dilation)
    if transposed:
        rest = walk.output - (stride * (size - 1) + covered - before - after)
        lines += _term(
            "output size",
            f"stride (input - 1) + {name} - before - after + output padding",
            f"= {stride} * {size - 1} + {covered} - {before} - {after} + {rest} = {walk.output}",
        )
        lines += _term("equals", *_direct(transposed_conv(size, kernel, stride, padding, dilation, output_padding)))
    else:
        lines += _term(
            "output size",
            f"floor((input + before + after - {name}) / stride) + 1",
            f"= floor(({size} + {before} + {after} - {covered}) / {stride}) + 1 = {walk.output}",
        )
        rest = (walk.length - covered) % stride
        direct = transposed_conv(walk.output, kernel, stride, (before, after), dilation, rest)
        lines += _explain_way_back(size, walk.output, rest, direct)
    return "\n".join([*lines, "", *draw(walk)])


def _explain_dilation(kernel: int, dilation: int) -> list[str]:
    """The effective kernel; nothing without dilation."""
    if dilation == 1:
        return []
    return _term(
        "dilation",
        "effective kernel = kernel + (kernel - 1) (dilation - 1)",
        f"= {kernel} + {kernel - 1} * {dilation - 1} = {effective_kernel(kernel, dilation)}",
    )


def _explain_way_back(size: int, output: int, rest: int, direct: DirectConv) -> list[str]:
    """The `rest` places that no window reaches, and the transposed convolution from the output back to the input."""
    lines = []
    if rest:
        lines += _term("left over", f"{_count(rest, 'place')} at the end, which no window reaches")
    with_rest = f", with output padding {rest}" if rest else ""
    lines += _term("transposed", f"from {output} back to {size}{with_rest}; it equals", *_direct(direct))
    return lines


def _term(name: str, first: str, *others: str) -> list[str]:
    return [f"{name:<12} {first}", *(f"{'':12} {line}" for line in others)]


def _direct(conv: DirectConv) -> tuple[str, str]:
    """A direct convolution in two lines."""
    dilation = f", dilation {conv.dilation}" if conv.dilation > 1 else ""
    zeros = f", {_count(conv.zeros, 'zero')} inserted between neighbours ({_count(conv.stretched, 'place')})"
    cropped = " (cropped where negative)" if min(conv.before, conv.after) < 0 else ""
    return (
        f"the direct convolution with stride 1{dilation} and the kernel flipped,",
        f"on {_count(conv.size, 'pixel')}{zeros if conv.zeros else ''}, with a border of "
        f"{conv.before} + {conv.after}{cropped}",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def draw(walk: Walk) -> list[str]:
    """The row with the places that the first and the last output multiply in brackets, one line for each output.

    >>> print(*draw(walk_of(2, 3, stride=2, transposed=True)), sep="\\n")
    what the first and the last output see (p: padding, z: inserted zero)
      output 0  [p][p][0] z  1  p  p   input 0
      output 4   p  p  0  z [1][p][p]  input 1
    """
    width = len(str(walk.size - 1))
    most = max(ROW_WIDTH // (width + 2), 6)
    places: list[int | None] = list(range(min(walk.length, most)))
    if walk.length > most:
        places = [*range(most // 2), None, *range(walk.length - most // 2, walk.length)]
    cells = {place: _cell(walk, place) for place in places if place is not None}

    def text(place: int | None, window: range) -> str:
        if place is None:
            return " ... "
        cell = f"{cells[place]:>{width}}"
        return f"[{cell}]" if place in window else f" {cell} "

    legend = {"p": "p: padding", "z": "z: inserted zero"}
    notes = ", ".join(note for cell, note in legend.items() if cell in cells.values())
    lines = ["what the first and the last output see" + (f" ({notes})" if notes else "")]
    outputs = sorted({0, walk.output - 1})
    for output in outputs:
        window = walk.window(output)
        row = "".join(text(place, window) for place in places)
        lines.append(f"  {f'output {output}':<{len(f'output {outputs[-1]}')}}  {row}  {_seen(walk, window)}")
    return lines


def _cell(walk: Walk, place: int) -> str:
    pixel = walk.pixel(place)
    if pixel is not None:
        return str(pixel)
    return "z" if walk.is_inserted(place) else "p"


def _seen(walk: Walk, window: range) -> str:
    pixels = [str(pixel) for place in window if (pixel := walk.pixel(place)) is not None]
    if not pixels:
        return "zeros only"
    if len(pixels) > 6:
        pixels = [*pixels[:3], "...", pixels[-1]]
    return f"{'inputs' if len(pixels) > 1 else 'input'} {', '.join(pixels)}"
