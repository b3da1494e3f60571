"""Names in pictures: what is drawn, read from matplotlib's figures, and what is said of signs that the font lacks."""

import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from tfcnn.visualize import confusion, curves, text
from tfcnn.visualize.text import plain, plain_names, save, shorten

ODD = ["a$$b", "$5_to_$9", r"$\frac", r"\$x", "_under", "two\nlines", "50%", "{x}", "x^2_3", "<b>&amp;"]
ROWS = [{"epoch": 1, "loss": 2.0, "val_loss": 2.5, "accuracy": 0.4, "val_accuracy": 0.5, "learning_rate": 0.01}]


@pytest.fixture
def saved_figures(monkeypatch):
    """The figures that are saved in this test."""
    figures = []
    save_figure = Figure.savefig

    def keep(figure, *arguments, **options):
        figures.append(figure)
        save_figure(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


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
    short = shorten(name, length)
    assert len(short) == length
    first, last = short.split("…")
    assert name.startswith(first)
    assert name.endswith(last)
    assert shorten(name[:length], length) == name[:length]


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
        text.save(Figure(), tmp_path / "a.png")


def test_the_names_of_classes(saved_figures, tmp_path):
    names = ("a$$b", "$5_to_$9", "c" * 50)
    confusion.draw_confusion(np.eye(3, dtype=int), names, tmp_path / "a.png", title="x on $data$")
    (figure,) = saved_figures
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [r"a\$\$b", r"\$5_to_\$9", "c" * 15 + "…" + "c" * 14]
    assert figure.get_suptitle() == r"x on \$data\$"


def test_the_names_of_runs(saved_figures, tmp_path):
    curves.draw_comparison({"a$$b": ROWS, "_old": ROWS, "$x": []}, tmp_path / "a.png")
    curves.draw_curves(ROWS, tmp_path / "b.png", title="lenet5 on /data/$5_$9")
    comparison, run = saved_figures
    assert [entry.get_text() for entry in comparison.legends[0].get_texts()] == [r"a\$\$b", "_old", r"\$x"]
    assert run.get_suptitle() == r"lenet5 on /data/\$5_\$9"
