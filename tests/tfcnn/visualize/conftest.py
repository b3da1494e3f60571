"""Fixtures of the tests of pictures."""

import pytest
from matplotlib.figure import Figure


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
