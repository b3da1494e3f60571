"""`python -m tfcnn.arithmetic`: one layer's sizes, the formula with its numbers, a drawing."""

from __future__ import annotations

import sys
from pathlib import Path

from tfcnn.arithmetic.explain import explain
from tfcnn.arithmetic.walk import Walk, walk_of
from tfcnn.cli.parser import Parser, run_main
from tfcnn.errors import BadInput
from tfcnn.files import PICTURES, check_target, writing

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
    figure = None if arguments.figure is None else _check_figure(arguments.figure)
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
    if figure is not None:
        _draw(walk, figure, title=text.partition("\n")[0])
    print(text)


def _check_figure(figure: str) -> Path:
    """The file of --figure. Raises BadInput."""
    suffix = Path(figure).suffix.lower()
    if suffix and suffix not in PICTURES:
        raise BadInput(f"--figure {figure} must end in one of {', '.join(PICTURES)}")
    if not Path(figure).parent.is_dir():
        raise BadInput(f"--figure {figure} must be in a folder that exists")
    return check_target(figure, PICTURES[suffix or ".png"], flag="--figure")


def _draw(walk: Walk, figure: Path, title: str) -> None:
    side = max(walk.length, walk.output)
    if side > LARGEST_FIGURE:
        raise BadInput(f"--figure shows up to {LARGEST_FIGURE} places a side, and this layer has {side}: lower --input")
    from tfcnn.arithmetic.picture import draw_windows  # imports matplotlib

    try:
        with writing(figure) as draft:
            draw_windows(walk, draft, title=title)
    except (OSError, ValueError) as error:
        raise BadInput(f"--figure {figure} cannot be written: {error}") from error


def _padding(text: str) -> int | str:
    return int(text) if text.removeprefix("-").isdecimal() else text


if __name__ == "__main__":
    sys.exit(run_main(main))
