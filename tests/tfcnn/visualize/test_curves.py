"""The pictures of training, read from matplotlib's figures."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tfcnn.tasks import TASKS
from tfcnn.visualize import curves

ROWS = [
    {"epoch": i, "loss": 2 / i, "val_loss": 2.5 / i, "accuracy": 1 - 0.6 / i, "val_accuracy": 1 - 0.5 / i}
    | {"psnr": 20.0 + i, "val_psnr": 19.0 + i, "learning_rate": 0.01 / i}
    for i in range(1, 13)
]


@pytest.fixture
def figure_of(tmp_path, saved_figures):
    """A function that calls a drawing function and returns the figure that it saves, and the pixels."""

    def draw(function, *arguments, **options):
        function(*arguments, tmp_path / "picture.png", **options)
        with Image.open(tmp_path / "picture.png") as picture:
            return saved_figures[-1], np.asarray(picture.convert("L"))

    return draw


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def overlaps(figure):
    """Whether a legend of a figure lies on any of its axes, their labels included."""
    legends = [legend.get_window_extent() for legend in figure.legends]
    assert legends
    return any(box.overlaps(axes.get_tightbbox()) for box in legends for axes in figure.axes)


def test_curves_show_the_history(figure_of):
    figure, _ = figure_of(curves.draw_curves, ROWS, title="lenet5 on digits", best=11, test=0.9512)
    loss, metric, rate = figure.axes
    np.testing.assert_array_equal(lines(loss)["validation"].get_ydata(), [row["val_loss"] for row in ROWS])
    np.testing.assert_array_equal(lines(metric)["training, augmented"].get_ydata(), [row["accuracy"] for row in ROWS])
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), [row["learning_rate"] for row in ROWS])
    assert set(lines(metric)["test, best model: 95.12%"].get_ydata()) == {0.9512}
    for axes in figure.axes:
        assert set(lines(axes)["best epoch: 11 of 12"].get_xdata()) == {11}
    assert figure.get_suptitle() == "lenet5 on digits"


@pytest.mark.parametrize("test", [None, 0.95])
def test_the_legend_of_a_run_covers_nothing(test, figure_of):
    figure, _ = figure_of(curves.draw_curves, ROWS, title="t", best=11, test=test)
    assert not overlaps(figure)


def test_the_legend_of_many_runs_covers_nothing(figure_of):
    figure, _ = figure_of(curves.draw_comparison, {f"a run with a long name, number {i}": ROWS for i in range(10)})
    assert not overlaps(figure)


def test_lines_differ_in_grey(figure_of):
    figure, _ = figure_of(curves.draw_curves, ROWS, title="t", best=11, test=0.9)
    first, second = (lines(figure.axes[0])[name] for name in ("training, augmented", "validation"))
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()
    grey = [np.dot([0.299, 0.587, 0.114], to_rgb(line.get_color())) for line in (first, second)]
    assert abs(grey[0] - grey[1]) > 0.25


def test_units_of_the_task(figure_of):
    figure, _ = figure_of(curves.draw_curves, ROWS, title="t", headline=TASKS["reconstruction"].headline, test=30.5)
    assert "test, best model: 30.50 dB" in lines(figure.axes[1])
    assert figure.axes[1].yaxis.get_major_formatter()(25.0) == "25 dB"


@pytest.mark.parametrize(("factor", "scale"), [(1, "linear"), (1e-3, "log")])
def test_losses_of_several_magnitudes_are_on_a_logarithmic_axis(factor, scale, figure_of):
    rows = [*ROWS[:-1], ROWS[-1] | {"loss": factor, "val_loss": factor}]
    figure, _ = figure_of(curves.draw_curves, rows, title="t")
    assert figure.axes[0].get_yscale() == scale


def test_one_epoch_can_be_seen(figure_of):
    _, picture = figure_of(curves.draw_curves, ROWS[:1], title="t")
    _, empty = figure_of(curves.draw_curves, [ROWS[0] | dict.fromkeys(("loss", "accuracy"), np.nan)], title="t")
    assert (picture != empty).sum() > 20


def test_long_runs_have_no_marks(figure_of):
    rows = [ROWS[0] | {"epoch": i} for i in range(1, 200)]
    figure, _ = figure_of(curves.draw_curves, rows, title="t")
    assert figure.axes[0].lines[0].get_markersize() == 0


def test_the_curves_of_several_runs(figure_of):
    figure, _ = figure_of(curves.draw_comparison, {"a": ROWS, "b": ROWS[:3], "begun": []})
    loss, metric = figure.axes
    np.testing.assert_array_equal(lines(metric)["b"].get_ydata(), [row["val_accuracy"] for row in ROWS[:3]])
    np.testing.assert_array_equal(lines(loss)["a"].get_ydata(), [row["val_loss"] for row in ROWS])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "begun"]
    styles = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in metric.lines}
    assert len(styles) == 3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_epochs_are_numbered_by_whole_numbers(count, figure_of):
    figure, _ = figure_of(curves.draw_curves, ROWS[:count], title="a slow run", best=1)
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low < tick < high] == list(range(1, count + 1))
