"""The pictures of a study: best so far, Pareto front, curves of trials, timing, parallel coordinates, importances.

The last two are Optuna's.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter, PercentFormatter
from optuna import distributions
from optuna.trial import TrialState

from tuning.budgets import COSTS
from tuning.study.storage import quiet
from tuning.study.trials import Found, best_first

# Apart without colour vision and on a grey printer.
MARKS = {
    "COMPLETED": {"color": "#1b3a6b", "marker": "o"},
    "PRUNED": {"color": "#e07b1a", "marker": "v"},
    "FAILED": {"color": "#b02020", "marker": "x"},
}
LINE = {"color": "#1b3a6b", "linewidth": 1.6}
Objectives = list[tuple[str, str]]


def best_so_far(trials: list[Found], objectives: Objectives) -> Figure:
    """The score of each trial, and the best up to it, for each objective."""
    figure, panels = _figure(len(objectives))
    done = [trial for trial in trials if trial.state == "COMPLETED"]
    for index, (axes, (name, way)) in enumerate(zip(panels, objectives, strict=True)):
        numbers, scores = [t.number for t in done], [t.scores[index] for t in done]
        axes.scatter(numbers, scores, s=22, **MARKS["COMPLETED"], label="completed")
        axes.step(numbers, list(itertools.accumulate(scores, max if way == "max" else min)), where="post", **LINE)
        pruned = [t for t in trials if t.state == "PRUNED" and t.curve]  # of one objective
        if pruned:
            last = [t.curve[max(t.curve)] for t in pruned]
            axes.scatter([t.number for t in pruned], last, s=22, **MARKS["PRUNED"], label="pruned, last value")
        if failed := [t.number for t in trials if t.state == "FAILED"]:
            bottom = [axes.get_ylim()[0]] * len(failed)
            axes.scatter(failed, bottom, s=30, **MARKS["FAILED"], clip_on=False, label="failed")
        _label(axes, "trial", name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def front(trials: list[Found], objectives: Objectives) -> Figure:
    """All completed trials by two objectives, those that no other is better than in both joined."""
    (first, _), (second, _) = objectives[:2]
    done = [trial for trial in trials if trial.state == "COMPLETED"]
    best = sorted(best_first(trials, objectives), key=lambda trial: trial.scores[1])
    figure, (axes,) = _figure(1)
    axes.scatter(*_points(done), s=24, facecolor="white", edgecolor="#777777", label="other trials")
    if len(objectives) == 2:
        axes.plot(*_points(best), **LINE, drawstyle="steps-post", label="Pareto front")
    axes.scatter(*_points(best), s=34, color="#1b3a6b", zorder=3)
    for trial in best:
        axes.annotate(str(trial.number), _point(trial), xytext=(4, 5), textcoords="offset points", fontsize=8)
    values = [trial.scores[1] for trial in done]
    if values and min(values) > 0 and max(values) > 5 * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    _label(axes, second, first)
    axes.legend(fontsize=9, frameon=False)
    return figure


def curves(trials: list[Found], objective: str) -> Figure:
    """The values that trials reported after each epoch."""
    figure, (axes,) = _figure(1)
    seen = set()
    for trial in trials:
        if trial.curve and trial.state in MARKS:
            epochs = sorted(trial.curve)
            label = None if trial.state in seen else trial.state.lower()
            seen.add(trial.state)
            style = MARKS[trial.state] | {"markersize": 4, "linewidth": 1, "alpha": 0.7}
            axes.plot(epochs, [trial.curve[epoch] for epoch in epochs], **style, label=label)
    _label(axes, "epoch", objective)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if seen:
        axes.legend(fontsize=9, frameon=False)
    return figure


def timing(trials: list[Found]) -> Figure:
    """When each trial ran."""
    figure, (axes,) = _figure(1)
    timed = [trial for trial in trials if trial.seconds is not None and trial.began]
    start = min((trial.began for trial in timed), default=None)
    for trial in timed:
        begun = (trial.began - start).total_seconds()
        color = MARKS.get(trial.state, {"color": "#777777"})["color"]
        axes.barh(trial.number, trial.seconds, left=begun, color=color, height=0.7)
    axes.invert_yaxis()
    _label(axes, "seconds since the first trial", "trial")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def parallel(trials: list[Found], objectives: Objectives) -> Figure:
    """One line a completed trial through its values, coloured by the first objective."""
    with _optunas() as plots:
        shown = presentable(trials, objectives)
        axes = plots.plot_parallel_coordinate(shown, target=lambda t: t.values[0], target_name=objectives[0][0])
        axes.set_title("")
        figure = axes.figure
        for lines in figure.findobj(LineCollection):
            lines.set_cmap("viridis_r" if objectives[0][1] == "max" else "viridis")  # dark is good
        figure.set_size_inches(max(9, 1.5 * len({name for t in trials for name in t.values})), 4.5)
        for each in figure.axes:
            each.tick_params(axis="x", labelrotation=20)
        return figure


def importances(trials: list[Found], objectives: Objectives) -> dict[str, dict[str, float]]:
    """By objective, the share of its variance that each hyperparameter accounts for (fANOVA, Hutter et al. 2014).

    Of those that every completed trial has; empty where there are too few trials to tell.
    """
    shown, found = presentable(trials, objectives), {}
    for index, (name, _) in enumerate(objectives):
        with quiet(), contextlib.suppress(ValueError, RuntimeError):
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            target = lambda trial, index=index: trial.values[index]  # noqa: E731
            found[name] = dict(optuna.importance.get_param_importances(shown, evaluator=evaluator, target=target))
    return {name: shares for name, shares in found.items() if shares and all(map(math.isfinite, shares.values()))}


def importance_bars(shares: dict[str, dict[str, float]]) -> Figure:
    """What `importances` gives, as bars."""
    figure, panels = _figure(len(shares))
    for axes, (name, each) in zip(panels, shares.items(), strict=True):
        names = list(each)[::-1]
        axes.barh(names, [each[n] for n in names], color="#1b3a6b")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        _label(axes, f"share of the variance of {name}", "")
    return figure


def presentable(trials: list[Found], objectives: Objectives) -> optuna.Study:
    """The completed trials with the values that people know, where the study has the numbers of choices.

    What is the same in all of them is left out.
    """
    with quiet():
        study = optuna.create_study(directions=["maximize" if way == "max" else "minimize" for _, way in objectives])
    done = [trial for trial in trials if trial.state == "COMPLETED"]
    known: dict[str, list[Any]] = {}
    for trial in done:
        for name, value in trial.values.items():
            known.setdefault(name, []).append(value)
    kinds = {name: _kind(values) for name, values in known.items() if len(set(values)) > 1}
    for trial in done:
        params = {name: _plain(value, kinds[name]) for name, value in trial.values.items() if name in kinds}
        own = {name: kinds[name] for name in params}
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE, params=params, distributions=own, values=list(trial.scores)
            )
        )
    return study


def hypervolume(trials: list[Found], objectives: Objectives) -> tuple[float, list[float]]:
    """The volume that the front dominates, and the point that bounds it: the worst value of each objective.

    Optuna's own computation.
    """
    from optuna._hypervolume import compute_hypervolume

    signs = np.array([-1.0 if way == "max" else 1.0 for _, way in objectives])
    losses = np.array([trial.scores for trial in trials if trial.state == "COMPLETED"]) * signs
    reference = losses.max(axis=0)
    return float(compute_hypervolume(losses, reference)), [float(value) for value in reference * signs]


def svg(figure: Figure) -> str:
    """A figure as an element of HTML."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "tfcnn"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", file.getvalue(), flags=re.DOTALL)


def _kind(values: list[Any]) -> distributions.BaseDistribution:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = float(min(values)), float(max(values))
        return distributions.FloatDistribution(low, high, log=low > 0 and high >= 20 * low)
    return distributions.CategoricalDistribution(sorted({str(value) for value in values}))


def _plain(value: Any, kind: distributions.BaseDistribution) -> Any:
    return str(value) if isinstance(kind, distributions.CategoricalDistribution) else float(value)


@contextlib.contextmanager
def _optunas() -> Iterator[Any]:
    """Optuna's plots, whose style is gone afterwards."""
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    with quiet(), matplotlib.rc_context():
        try:
            yield optuna.visualization.matplotlib
        finally:
            plt.close("all")
            plt.switch_backend(before)


def _figure(panels: int) -> tuple[Figure, list]:
    figure = Figure(figsize=(6.5 if panels == 1 else 5 * panels, 3.8), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _label(axes, x: str, y: str) -> None:
    for axis, name, setter in ((axes.xaxis, x, axes.set_xlabel), (axes.yaxis, y, axes.set_ylabel)):
        setter(name.replace("val_", "validation ").replace("_", " ").replace("macs", "MACs"))
        if name in ("val_accuracy", "val_mean_iou"):
            axis.set_major_formatter(PercentFormatter(1))
        elif name in COSTS and name != "latency":
            axis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _point(trial: Found) -> tuple[float, float]:
    return trial.scores[1], trial.scores[0]


def _points(trials: list[Found]) -> tuple[list[float], list[float]]:
    points = [_point(trial) for trial in trials]
    return [x for x, _ in points], [y for _, y in points]
