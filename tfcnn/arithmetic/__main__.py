"""`python -m tfcnn.arithmetic`: one layer's sizes, the formula with its numbers, a drawing."""

from __future__ import annotations

import sys

from tfcnn.arithmetic.explain import explain
from tfcnn.arithmetic.walk import walk_of
from tfcnn.cli.parser import Parser, run_main
from tfcnn.errors import BadInput

LARGEST_FIGURE = 64  # places a side


def main() -> None:
    parser = Parser(
        prog="python -m tfcnn.arithmetic",
        description="Sizes of a convolution, the formula with its numbers, a drawing.",
    )
    whole = {"type": int, "metavar": "N"}
    parser.add_argument("--input", required=True, help="pixels along one axis", **whole)
    parser.add_argument("--kernel", required=True, help="values of the kernel along it", **whole)
    parser.add_argument("--stride", default=1, help="step of the kernel [1]", **whole)
    parser.add_argument("--padding", default=0, type=_padding, metavar="P", help="number, valid, same or full [0]")
    parser.add_argument("--dilation", default=1, help="distance of the kernel's values [1]", **whole)
    parser.add_argument("--transposed", action="store_true", help="the transposed convolution of these numbers")
    parser.add_argument("--output-padding", default=0, help="places more at a transposed one's end [0]", **whole)
    parser.add_argument("--figure", metavar="FILE", help="draw it as well, as .png, .pdf or .svg")
    given = vars(parser.parse_args())
    size, figure = given.pop("input"), given.pop("figure")
    try:
        text, walk = explain(size, **given), walk_of(size, **given)
    except ValueError as error:
        flags = "--input, --kernel, --stride, --padding, --dilation" + ", --output-padding" * given["transposed"]
        raise BadInput(f"no such layer: {error} ({flags})") from error
    if figure is not None:
        if max(walk.length, walk.output) > LARGEST_FIGURE:
            raise BadInput(
                f"--figure shows up to {LARGEST_FIGURE} places a side, and this layer has "
                f"{max(walk.length, walk.output)}: lower --input"
            )
        from tfcnn.arithmetic.picture import draw_windows

        try:
            draw_windows(walk, figure, title=text.partition("\n")[0])
        except (OSError, ValueError) as error:
            raise BadInput(f"--figure {figure} cannot be written: {error}") from error
    print(text)


def _padding(text: str) -> int | str:
    return int(text) if text.removeprefix("-").isdecimal() else text


if __name__ == "__main__":
    sys.exit(run_main(main))
