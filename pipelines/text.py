"""Text of the user in pictures: names of classes, runs, files and hyperparameters, drawn as they are."""

from __future__ import annotations

import re
import sys
import unicodedata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 30  # characters of a tick's label
MISSING = re.compile(r"Glyph (\d+) .* missing from font")


def plain(text: str, most: int | None = LONGEST) -> str:
    r"""The text as Matplotlib is to draw it: no dollar begins mathematics, no line break, at most `most` characters.

    >>> print(plain("$5_to_$9"), plain("a" * 20 + "b" * 20, 11))
    \$5_to_\$9 aaaaa…bbbbb
    """
    return elide(text, most).replace("$", r"\$")


def elide(text: str, most: int | None) -> str:
    """The text without control characters and, where it is longer than `most` characters, without its middle.

    >>> elide("flowers of the alpine meadows", 15)
    'flowers…meadows'
    """
    text = text.encode(errors="replace").decode()
    text = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text)
    if most is None or len(text) <= most:
        return text
    end = (most - 1) // 2
    return text[: most - 1 - end] + "…" + text[len(text) - end :]


def plain_names(names: list[str], most: int = LONGEST) -> list[str]:
    """`plain` of each name; whole where two names would look alike."""
    short = [plain(name, most) for name in names]
    return short if len(set(short)) == len(set(names)) else [plain(name, None) for name in names]


def save(figure: Figure, target: str | Path | TextIO, **options: Any) -> None:
    """`figure.savefig`; signs that the font lacks are named in one line on stderr, not in many warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(target, **options)
    missing = set()
    for warning in caught:
        if glyph := MISSING.match(str(warning.message)):
            missing.add(chr(int(glyph[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if missing:
        signs = "".join(sorted(missing))
        print(
            f"note: Matplotlib's font lacks {len(missing)} signs of the names and draws boxes for them, "
            f"{elide(signs, LONGEST)}: set another font.family in matplotlibrc",
            file=sys.stderr,
        )
