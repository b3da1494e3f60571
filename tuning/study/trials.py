"""Trials as those see them that read a study: what was sampled, what came of it, which are the best."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from tfcnn.config import Config, flag_of
from tuning import budgets

NO_SIGN = "killed: no sign of life from its machine; begun again under another number"


class Found(NamedTuple):
    """A trial as it stands in the study."""

    number: int
    state: str  # COMPLETED, PRUNED, FAILED, RUNNING or WAITING
    values: dict[str, Any]
    scores: tuple[float, ...] | None
    reason: str | None
    config: dict[str, Any]  # fields of Config, without `out`
    metrics: dict[str, float]
    curve: dict[int, float]
    starts: int
    began: Any  # datetime
    seconds: float | None


def found(trial) -> Found:
    """An Optuna trial."""
    names = {"COMPLETE": "COMPLETED", "FAIL": "FAILED"}
    attrs, ended = trial.user_attrs, trial.state.is_finished() and trial.datetime_complete
    seconds = attrs.get("seconds")
    if seconds is None and ended and trial.datetime_start:
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    return Found(
        number=trial.number,
        state=names.get(trial.state.name, trial.state.name),
        values=attrs["values"],
        scores=tuple(trial.values) if trial.state.name == "COMPLETE" else None,
        reason=attrs.get("reason") or (NO_SIGN if trial.state.name == "FAIL" else None),
        config=attrs.get("config", {}),
        metrics=attrs.get("metrics", {}),
        curve=dict(trial.intermediate_values),
        starts=attrs.get("starts", 0),
        began=trial.datetime_start,
        seconds=seconds,
    )


def origin(trial) -> int:
    """The number under which a trial was first started, on whatever machine."""
    return trial.system_attrs.get("failed_trial", trial.number)


def best_first(trials: list[Found], objectives: list[tuple[str, str]]) -> list[Found]:
    """The completed trials, best first: of one objective by its value, of several those of the Pareto front.

    Args:
        trials: of a study.
        objectives: (name, "max" or "min") of each.
    """
    done = [trial for trial in trials if trial.state == "COMPLETED"]
    signs = [-1 if direction == "max" else 1 for _, direction in objectives]

    def losses(trial):
        return [sign * score for sign, score in zip(signs, trial.scores, strict=True)]

    if len(objectives) > 1:
        done = [t for t in done if not any(dominates(losses(other), losses(t)) for other in done)]
    return sorted(done, key=losses)


def dominates(a: list[float], b: list[float]) -> bool:
    """Whether losses `a` are nowhere above `b`, and somewhere below.

    >>> dominates([1, 2], [1, 3]), dominates([1, 2], [1, 2]), dominates([0, 5], [1, 3])
    (True, False, False)
    """
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def values_of(values: dict[str, Any]) -> str:
    """What was sampled, as text."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def written(objective: str, value: float) -> str:
    """The value of an objective, as text.

    >>> written("val_accuracy", 0.9312), written("macs", 31_500_000), written("val_psnr", 21.234)
    ('93.12 %', '31.5M', '21.23')
    """
    if objective in budgets.COSTS:
        return budgets.written(objective, value)
    return f"{100 * value:.2f} %" if objective in ("val_accuracy", "val_mean_iou") else f"{value:.4g}"


def command_of(config: Config) -> str:
    """The command that trains a configuration: architecture, data, and the flags that differ from the defaults."""
    import shlex

    parts = ["python -m tfcnn.train"]
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        default = {} if field.type == "dict" else field.default
        if value == default and field.name not in ("arch", "dataset"):
            continue
        if field.type == "dict":
            pairs = [shlex.quote(f"{key}={_literal(each)}") for key, each in value.items()]
            parts.append(" ".join([flag_of(field.name), *pairs]))
        elif field.type == "bool":
            parts.append(flag_of(field.name))
        else:
            parts.append(f"{flag_of(field.name)} {shlex.quote(str(value))}")
    return " ".join(parts)


def _literal(value: Any) -> str:
    """What --arch-args reads as `value`: text as it is, the rest as Python writes it."""
    return value if isinstance(value, str) else repr(tuple(value) if isinstance(value, list) else value)
