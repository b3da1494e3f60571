"""The trials of a study, read from its storage: what was sampled, what came of it, which are the best."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn.config import Config, flag_of
from tfcnn.errors import BadInput
from tuning import budgets

if TYPE_CHECKING:  # Optuna takes a second to import
    from optuna.trial import FrozenTrial

NO_HEARTBEAT = "killed: no sign of life from its machine; begun again under another number"


class Objective(NamedTuple):
    """What a search optimises."""

    name: str  # a validation metric or one of budgets.COSTS
    direction: str  # "max" or "min"


class TrialRecord(NamedTuple):
    """A trial as it stands in the study."""

    number: int
    state: str  # COMPLETED, PRUNED, FAILED, RUNNING or WAITING
    values: dict[str, Any]  # of the hyperparameters
    scores: tuple[float, ...]  # one for each objective; empty unless it is COMPLETED
    reason: str | None  # why it failed
    config: dict[str, Any]  # fields of Config, without `out`
    metrics: dict[str, float]
    curve: dict[int, float]  # by epoch, the objective
    starts: int
    began: datetime.datetime | None
    seconds: float | None


def record_of(trial: FrozenTrial) -> TrialRecord:
    """The record of an Optuna trial that has its values. Raises BadInput if it is damaged."""
    attributes = trial.user_attrs
    for key in ("values", "config", "metrics"):
        if not isinstance(attributes.get(key, {}), dict):
            raise BadInput(f"trial {trial.number} of the study is damaged: its {key} are {attributes[key]!r}")
    state = trial.state.name
    seconds = attributes.get("seconds")
    if seconds is None and trial.state.is_finished() and trial.datetime_complete and trial.datetime_start:
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    return TrialRecord(
        number=trial.number,
        state={"COMPLETE": "COMPLETED", "FAIL": "FAILED"}.get(state, state),
        values=attributes["values"],
        scores=tuple(trial.values) if state == "COMPLETE" else (),
        reason=attributes.get("reason") or (NO_HEARTBEAT if state == "FAIL" else None),
        config=attributes.get("config", {}),
        metrics=attributes.get("metrics", {}),
        curve=dict(trial.intermediate_values),
        starts=attributes.get("starts", 0),
        began=trial.datetime_start,
        seconds=seconds,
    )


def config_of(trial: TrialRecord, **changes: Any) -> Config:
    """The configuration of a trial, with fields changed. Raises BadInput if it is damaged."""
    try:
        return Config(**trial.config | changes)
    except TypeError as error:
        raise BadInput(f"the configuration of trial {trial.number} is damaged: {error}") from error


def origin(trial: FrozenTrial) -> int:
    """The number under which a trial was first started, on whatever machine."""
    return trial.system_attrs.get("failed_trial", trial.number)


def best_first(trials: list[TrialRecord], objectives: Sequence[Objective]) -> list[TrialRecord]:
    """The completed trials, best first; of several objectives those of the Pareto front."""
    completed = [trial for trial in trials if trial.state == "COMPLETED"]

    def losses(trial: TrialRecord) -> list[float]:
        pairs = zip(objectives, trial.scores, strict=True)
        return [-score if objective.direction == "max" else score for objective, score in pairs]

    if len(objectives) > 1:
        points = [losses(trial) for trial in completed]
        completed = [trial for trial in completed if not any(dominates(point, losses(trial)) for point in points)]
    return sorted(completed, key=losses)


def dominates(a: list[float], b: list[float]) -> bool:
    """Whether losses `a` are nowhere above `b`, and somewhere below.

    >>> dominates([1, 2], [1, 3]), dominates([1, 2], [1, 2]), dominates([0, 5], [1, 3])
    (True, False, False)
    """
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def format_values(values: dict[str, Any]) -> str:
    """
    >>> format_values({"lr": 0.012345, "opt": "sgd"})
    'lr 0.0123, opt sgd'
    """
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def format_score(objective: str, value: float) -> str:
    """
    >>> format_score("val_accuracy", 0.9312), format_score("macs", 31_500_000), format_score("val_psnr", 21.234)
    ('93.12 %', '31.5M', '21.23')
    """
    if objective in budgets.COSTS:
        return budgets.format_cost(objective, value)
    return f"{100 * value:.2f} %" if objective in ("val_accuracy", "val_mean_iou") else f"{value:.4g}"


def format_scores(objectives: Sequence[Objective], scores: Sequence[float]) -> list[str]:
    """One text for each objective."""
    return [format_score(objective.name, score) for objective, score in zip(objectives, scores, strict=True)]


def command_of(config: Config) -> str:
    """The command that trains a configuration: architecture, data, and the flags that differ from the defaults."""
    parts = ["python -m tfcnn.train"]
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        default = {} if field.type == "dict" else field.default
        if value == default and field.name not in ("arch", "dataset"):
            continue
        if field.type == "dict":
            pairs = [shlex.quote(f"{key}={_literal(item)}") for key, item in value.items()]
            parts.append(" ".join([flag_of(field.name), *pairs]))
        elif field.type == "bool":
            parts.append(flag_of(field.name))
        else:
            parts.append(f"{flag_of(field.name)} {shlex.quote(str(value))}")
    return " ".join(parts)


def _literal(value: Any) -> str:
    """What --arch-args reads as `value`: text as it is, the rest as Python writes it."""
    return value if isinstance(value, str) else repr(tuple(value) if isinstance(value, list) else value)
