"""The pictures of a study: best so far, Pareto front, curves of trials, timing, parallel coordinates, importances.

Optuna draws the parallel coordinates and computes the importances.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter, PercentFormatter
from optuna import distributions
from optuna.trial import FrozenTrial, TrialState

from pipelines.text import plain, plain_names, save
from tuning.budgets import COSTS
from tuning.study.storage import quiet
from tuning.study.trials import Objective, TrialRecord, best_first

# Told apart without colour vision and on a grey printer.
MARKS: dict[str, dict[str, Any]] = {
    "COMPLETED": {"color": "#1b3a6b", "marker": "o"},
    "PRUNED": {"color": "#e07b1a", "marker": "v"},
    "FAILED": {"color": "#b02020", "marker": "x"},
}
LINE: dict[str, Any] = {"color": "#1b3a6b", "linewidth": 1.6}
LONGEST = 16  # characters of a name between two axes of parallel coordinates


def best_so_far(trials: list[TrialRecord], objectives: Sequence[Objective]) -> Figure:
    """The score of each trial, and the best up to it, for each objective."""
    figure, panels = _figure(len(objectives))
    completed = _completed_trials(trials)
    for index, (axes, (name, direction)) in enumerate(zip(panels, objectives, strict=True)):
        numbers = [trial.number for trial in completed]
        scores = [trial.scores[index] for trial in completed]
        best = list(itertools.accumulate(scores, max if direction == "max" else min))
        axes.scatter(numbers, scores, s=22, **MARKS["COMPLETED"], label="completed")
        axes.step(numbers, best, where="post", **LINE)
        pruned = [t for t in trials if t.state == "PRUNED" and t.curve]  # of one objective
        if pruned:
            last = [t.curve[max(t.curve)] for t in pruned]
            axes.scatter([t.number for t in pruned], last, s=22, **MARKS["PRUNED"], label="pruned, last value")
        failed = [t.number for t in trials if t.state == "FAILED"]
        if failed:
            bottom = [axes.get_ylim()[0]] * len(failed)
            axes.scatter(failed, bottom, s=30, **MARKS["FAILED"], clip_on=False, label="failed")
        _label(axes, "trial", name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def front(trials: list[TrialRecord], objectives: Sequence[Objective]) -> Figure:
    """All completed trials by their first two objectives, with a line through the Pareto front."""
    completed = _completed_trials(trials)
    best = sorted(best_first(trials, objectives), key=lambda trial: trial.scores[1])
    figure, (axes,) = _figure(1)
    axes.scatter(*_coordinates(completed), s=24, facecolor="white", edgecolor="#777777", label="other trials")
    if len(objectives) == 2:
        axes.plot(*_coordinates(best), **LINE, drawstyle="steps-post", label="Pareto front")
    axes.scatter(*_coordinates(best), s=34, color="#1b3a6b", zorder=3)
    for trial in best:
        point = (trial.scores[1], trial.scores[0])
        axes.annotate(str(trial.number), point, xytext=(4, 5), textcoords="offset points", fontsize=8)
    values, _ = _coordinates(completed)
    if values and min(values) > 0 and max(values) > 5 * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    _label(axes, objectives[1].name, objectives[0].name)
    axes.legend(fontsize=9, frameon=False)
    return figure


def curves(trials: list[TrialRecord], objective: str) -> Figure:
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


def timing(trials: list[TrialRecord]) -> Figure:
    """When each trial ran."""
    figure, (axes,) = _figure(1)
    start = min((trial.began for trial in trials if trial.began), default=None)
    for trial in trials:
        if start and trial.began and trial.seconds is not None:
            offset = (trial.began - start).total_seconds()
            color = MARKS.get(trial.state, {"color": "#777777"})["color"]
            axes.barh(trial.number, trial.seconds, left=offset, color=color, height=0.7)
    axes.invert_yaxis()
    _label(axes, "seconds since the first trial", "trial")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def parallel(trials: list[TrialRecord], objectives: Sequence[Objective]) -> Figure:
    """A line for each completed trial through its values, coloured by the first objective."""
    with _optuna_style():
        axes = optuna.visualization.matplotlib.plot_parallel_coordinate(
            as_optuna(_spell(trials), objectives), target=functools.partial(_score, 0), target_name=objectives[0].name
        )
        axes.set_title("")
        figure = axes.figure
        assert isinstance(figure, Figure)
        for lines in figure.findobj(LineCollection):
            lines.set_cmap("viridis_r" if objectives[0].direction == "max" else "viridis")  # dark is good
        width = max(9.0, 2.2 * len({name for t in trials for name in t.values}))
        figure.set_size_inches(width, 4.5)
        figure.subplots_adjust(bottom=0.2)
        for panel in figure.axes:
            panel.tick_params(axis="x", labelrotation=20)
            box = panel.get_position()
            if panel.get_label() == "<colorbar>":  # right of the names at the last axis
                panel.set_position((1 - 0.9 / width, box.y0, 0.2 / width, box.height))
            else:
                panel.set_position((box.x0, box.y0, 1 - 3.3 / width - box.x0, box.height))
        return figure


def _spell(trials: list[TrialRecord]) -> list[TrialRecord]:
    """The trials with the names and texts among their values as Matplotlib is to draw them."""
    texts = {value for trial in trials for value in trial.values.values() if isinstance(value, str)}
    names = {name for trial in trials for name in trial.values}
    spelled: dict[str, str] = {}
    for group in (sorted(names), sorted(texts - names)):
        spelled |= dict(zip(group, plain_names(group, LONGEST), strict=True))
    return [
        trial._replace(
            values={
                spelled[name]: spelled[value] if isinstance(value, str) else value
                for name, value in trial.values.items()
            }
        )
        for trial in trials
    ]


def importances(trials: list[TrialRecord], objectives: Sequence[Objective]) -> dict[str, dict[str, float]]:
    """By objective, the share of its variance that each hyperparameter accounts for (fANOVA, Hutter et al. 2014).

    Only hyperparameters that every completed trial has; empty where there are too few trials to tell.
    """
    study = as_optuna(trials, objectives)
    importances: dict[str, dict[str, float]] = {}
    for index, objective in enumerate(objectives):
        with quiet(), contextlib.suppress(ValueError, RuntimeError):
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            target = functools.partial(_score, index)
            shares = optuna.importance.get_param_importances(study, evaluator=evaluator, target=target)
            if shares and all(map(math.isfinite, shares.values())):
                importances[objective.name] = dict(shares)
    return importances


def importance_bars(importances: dict[str, dict[str, float]]) -> Figure:
    """The result of `importances` as bars, the longest on top."""
    figure, panels = _figure(len(importances))
    for axes, (name, shares) in zip(panels, importances.items(), strict=True):
        places = range(len(shares))[::-1]
        axes.barh(places, list(shares.values()), color="#1b3a6b")
        axes.set_yticks(places, plain_names(list(shares)))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        _label(axes, f"share of the variance of {name}", "")
    return figure


def as_optuna(trials: list[TrialRecord], objectives: Sequence[Objective]) -> optuna.Study:
    """The completed trials as an Optuna study of the values that people know; one from before has indices of choices.

    Values that are the same in all trials are left out.
    """
    with quiet():
        study = optuna.create_study(directions=["maximize" if way == "max" else "minimize" for _, way in objectives])
    completed = _completed_trials(trials)
    by_name: dict[str, list[Any]] = {}
    for trial in completed:
        for name, value in trial.values.items():
            by_name.setdefault(name, []).append(value)
    kinds = {name: _distribution(values) for name, values in by_name.items() if len(set(values)) > 1}
    for trial in completed:
        params = {name: _plain(value, kinds[name]) for name, value in trial.values.items() if name in kinds}
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE,
                params=params,
                distributions={name: kinds[name] for name in params},
                values=list(trial.scores),
            )
        )
    return study


class Hypervolume(NamedTuple):
    """The volume that a front dominates."""

    volume: float
    bound: list[float]  # the point that bounds it: the worst value of each objective


def hypervolume(trials: list[TrialRecord], objectives: Sequence[Objective]) -> Hypervolume:
    """That of the completed trials, as Optuna computes it."""
    from optuna._hypervolume import compute_hypervolume

    signs = np.array([-1.0 if objective.direction == "max" else 1.0 for objective in objectives])
    losses = np.array([trial.scores for trial in _completed_trials(trials)]) * signs
    bound = losses.max(axis=0)
    return Hypervolume(float(compute_hypervolume(losses, bound)), [float(value) for value in bound * signs])


def svg(figure: Figure) -> str:
    """A figure as an element of HTML."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "tfcnn"}):
        save(figure, file, format="svg", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", file.getvalue(), flags=re.DOTALL)


def _completed_trials(trials: list[TrialRecord]) -> list[TrialRecord]:
    return [trial for trial in trials if trial.state == "COMPLETED"]


def _score(index: int, trial: FrozenTrial) -> float:
    return trial.values[index]


def _distribution(values: list[Any]) -> distributions.BaseDistribution:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low = float(min(values))
        high = float(max(values))
        return distributions.FloatDistribution(low, high, log=low > 0 and high >= 20 * low)
    return distributions.CategoricalDistribution(sorted({str(value) for value in values}))


def _plain(value: Any, kind: distributions.BaseDistribution) -> str | float:
    return str(value) if isinstance(kind, distributions.CategoricalDistribution) else float(value)


@contextlib.contextmanager
def _optuna_style() -> Iterator[None]:
    """A context for Optuna's plots, which leave no style, figure or backend in Matplotlib."""
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    with quiet(), matplotlib.rc_context():
        try:
            yield
        finally:
            plt.close("all")
            plt.switch_backend(before)


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(6.5 if panels == 1 else 5 * panels, 3.8), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(_title(x))
    axes.set_ylabel(_title(y))
    for axis, name in ((axes.xaxis, x), (axes.yaxis, y)):
        if name in ("val_accuracy", "val_mean_iou"):
            axis.set_major_formatter(PercentFormatter(1))
        elif name in COSTS and name != "latency":
            axis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _title(name: str) -> str:
    return plain(name.replace("val_", "validation ").replace("_", " ").replace("macs", "MACs"), None)


def _coordinates(trials: list[TrialRecord]) -> tuple[list[float], list[float]]:
    """x, the second objective, and y, the first."""
    return [trial.scores[1] for trial in trials], [trial.scores[0] for trial in trials]
