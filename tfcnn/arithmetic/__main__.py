"""`python -m tfcnn.arithmetic`: one layer's sizes, the formula with its numbers, a drawing."""

from __future__ import annotations

import sys
from pathlib import Path

from tfcnn.arithmetic.explain import explain
from tfcnn.arithmetic.walk import Walk, walk_of
from tfcnn.cli.parser import Parser, run_main
from tfcnn.errors import BadInput

FIGURES = (".png", ".pdf", ".svg")
LARGEST_FIGURE = 64  # places a side


def main() -> None:
    parser = Parser(
        prog="python -m tfcnn.arithmetic",
        description="Sizes of a convolution, the formula with its numbers, a drawing.",
    )
    parser.add_argument("--input", required=True, type=int, metavar="N", help="pixels along one axis")
    parser.add_argument("--kernel", required=True, type=int, metavar="N", help="values of the kernel along it")
    parser.add_argument("--stride", default=1, type=int, metavar="N", help="step of the kernel [1]")
    parser.add_argument("--padding", default=0, type=_padding, metavar="P", help="number, valid, same or full [0]")
    parser.add_argument("--dilation", default=1, type=int, metavar="N", help="distance of the kernel's values [1]")
    parser.add_argument("--transposed", action="store_true", help="the transposed convolution of these numbers")
    parser.add_argument(
        "--output-padding", default=0, type=int, metavar="N", help="places more at a transposed one's end [0]"
    )
    parser.add_argument("--figure", metavar="FILE", help="draw it as well, as .png, .pdf or .svg")
    arguments = parser.parse_args()
    try:
        text = explain(
            arguments.input,
            arguments.kernel,
            stride=arguments.stride,
            padding=arguments.padding,
            dilation=arguments.dilation,
            transposed=arguments.transposed,
            output_padding=arguments.output_padding,
        )
        walk = walk_of(
            arguments.input,
            arguments.kernel,
            stride=arguments.stride,
            padding=arguments.padding,
            dilation=arguments.dilation,
            transposed=arguments.transposed,
            output_padding=arguments.output_padding,
        )
    except ValueError as error:
        flags = "--input, --kernel, --stride, --padding, --dilation"
        if arguments.transposed:
            flags += ", --output-padding"
        raise BadInput(f"no such layer: {error} ({flags})") from error
    if arguments.figure is not None:
        _draw(walk, arguments.figure, title=text.partition("\n")[0])
    print(text)


def _draw(walk: Walk, figure: str, title: str) -> None:
    if Path(figure).suffix.lower() not in FIGURES:
        raise BadInput(f"--figure must be a file {', '.join(FIGURES)}, got '{figure}'")
    side = max(walk.length, walk.output)
    if side > LARGEST_FIGURE:
        raise BadInput(f"--figure shows up to {LARGEST_FIGURE} places a side, and this layer has {side}: lower --input")
    from tfcnn.arithmetic.picture import draw_windows  # imports matplotlib

    try:
        draw_windows(walk, figure, title=title)
    except (OSError, ValueError) as error:
        raise BadInput(f"--figure {figure} cannot be written: {error}") from error


def _padding(text: str) -> int | str:
    return int(text) if text.removeprefix("-").isdecimal() else text


if __name__ == "__main__":
    sys.exit(run_main(main))
