"""The pictures of trials that were made by hand, and the numbers in them."""

import pytest

from tests.tuning.trial_records import ONE, POINTS, TWO, trial
from tuning.study import plots


def test_the_hypervolume_by_hand():
    """Bounded by 0.5 and 50M: from 0.9 at 40M 0.4 x 10M, and from 0.7 at 20M 0.2 x 20M more; 0.5 at 10M adds none."""
    trials = [trial(n, point) for n, point in enumerate(POINTS)]
    volume, bound = plots.hypervolume(trials, TWO)
    assert bound == [0.5, 50e6]
    assert volume == pytest.approx(0.4 * 10e6 + 0.2 * 20e6)


def test_importances_find_what_matters():
    """The score is the rate alone: `opt` changes nothing, `width` is the same everywhere."""
    trials = [trial(n, (n / 20,)) for n in range(20)]
    shares = plots.importances(trials, ONE)["val_accuracy"]
    assert list(shares) == ["lr", "opt"]
    assert shares["lr"] > 0.9


TRIALS = [*(trial(n, point) for n, point in enumerate(POINTS)), trial(5, (), "FAILED", curve={})]


def test_the_front_shows_every_completed_trial_and_numbers_the_best():
    (axes,) = plots.front(TRIALS, TWO).axes
    assert {text.get_text() for text in axes.texts} == {"0", "1", "2"}
    assert sorted(map(tuple, axes.collections[0].get_offsets().tolist())) == sorted((macs, a) for a, macs in POINTS)


def test_each_trial_with_epochs_has_a_curve():
    assert len(plots.curves(TRIALS, "val_accuracy").axes[0].lines) == 5


def test_each_trial_has_a_bar_of_time():
    assert len(plots.timing(TRIALS).axes[0].patches) == 6


def test_the_best_so_far_of_each_objective():
    panels = plots.best_so_far(TRIALS, TWO).axes
    assert [list(axes.lines[0].get_ydata()) for axes in panels] == [[0.5, 0.9, 0.9, 0.9, 0.9], [10e6] * 5]


def test_parallel_coordinates_have_an_axis_for_each_value():
    assert len(plots.parallel(TRIALS, TWO).axes) >= 3


def test_names_are_drawn_as_they_are():
    values = [{"$lr_$": 0.1 * (n + 1), "kind": ("a$$b", "$5_to_$9")[n % 2]} for n in range(5)]
    trials = [trial(n, score, values=values[n]) for n, score in enumerate(POINTS)]
    parallel = plots.parallel(trials, TWO)
    labels = {
        label.get_text() for axes in parallel.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
    }
    assert labels >= {r"\$lr_\$", "kind", r"a\$\$b", r"\$5_to_\$9"}
    bars = plots.importance_bars({"val_accuracy": {"a$$b": 0.7, "x" * 50: 0.3}})
    assert [label.get_text() for label in bars.axes[0].get_yticklabels()] == [r"a\$\$b", "x" * 15 + "…" + "x" * 14]
    assert [round(bar.get_y() + bar.get_height() / 2) for bar in bars.axes[0].patches] == [1, 0]
    assert all(plots.svg(figure).startswith("<svg") for figure in (parallel, bars))
