"""Names in pictures: what is drawn of a text, and what is said of signs that the font lacks."""

import warnings

import matplotlib
import pytest
from matplotlib.figure import Figure

from pipelines.text import elide, plain, plain_names, save

ODD = ["a$$b", "$5_to_$9", r"$\frac", r"\$x", "_under", "two\nlines", "50%", "{x}", "x^2_3", "<b>&amp;"]


def pixels_of(label, tmp_path, **options):
    """A text, drawn alone."""
    figure = Figure(figsize=(2, 0.5))
    figure.text(0.1, 0.5, label, **options)
    figure.savefig(tmp_path / "text.png")
    return (tmp_path / "text.png").read_bytes()


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_drawn_as_it_is(name, tmp_path):
    """As Matplotlib draws it where it is told to see no mathematics."""
    expected = pixels_of(name.replace("\n", " "), tmp_path, parse_math=False)
    assert pixels_of(plain(name), tmp_path) == expected


@pytest.mark.parametrize("length", [11, 30, 31])
def test_long_names_lose_their_middle(length):
    name = "".join(chr(ord("A") + i % 26) for i in range(100))
    short = elide(name, length)
    assert len(short) == length
    first, last = short.split("…")
    assert name.startswith(first)
    assert name.endswith(last)
    assert elide(name[:length], length) == name[:length]


def test_long_names_that_would_look_alike_stay_whole():
    names = ["x" * 20 + middle + "y" * 20 for middle in "ab"]
    assert plain_names(names) == names
    assert plain_names([names[0], "z"])[0] == plain(names[0])


def test_a_name_that_is_not_unicode_is_drawn(tmp_path):
    assert plain("run-\udcff") == "run-?"


def test_signs_that_the_font_lacks_are_named_once(capsys, tmp_path):
    with matplotlib.rc_context({"font.family": "DejaVu Sans"}):
        figure = Figure()
        figure.suptitle("\u0939\u0939\u0926")
        save(figure, tmp_path / "a.png")
    assert capsys.readouterr().err.splitlines() == [
        "note: Matplotlib's font lacks 2 signs of the names and draws boxes for them, \u0926\u0939: "
        "set another font.family in matplotlibrc"
    ]


def test_other_warnings_stay(monkeypatch, tmp_path):
    def warn(figure, path):
        warnings.warn("of another kind", UserWarning, stacklevel=1)

    monkeypatch.setattr(Figure, "savefig", warn)
    with pytest.warns(UserWarning, match="of another kind"):
        save(Figure(), tmp_path / "a.png")
