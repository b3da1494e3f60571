"""How a hyperparameter of keras-tuner is drawn by a sampler of Optuna, and how the database has it.

A sampler sees the order of values in their indices; the database, and so optuna-dashboard, has the values themselves.
Studies from before that have the indices, and keep them.
"""

from __future__ import annotations

import copy
import decimal
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeGuard

from keras_tuner.engine import hyperparameters as kinds
from optuna import distributions
from optuna.trial import FrozenTrial

Distribution = distributions.CategoricalDistribution | distributions.IntDistribution | distributions.FloatDistribution
SCALES = ("", "reverse_log", "unordered")  # what a stored distribution does not tell of the drawn one
UNIT = distributions.FloatDistribution(0.0, 1.0)
NAME_LENGTH = 500  # of a hyperparameter in a database


class Coding(NamedTuple):
    """How a hyperparameter is drawn, read and stored."""

    drawn: Distribution  # for the sampler, which sees the order of values in their indices
    read: Callable[[Any], Any]  # from a drawn value to that of the hyperparameter
    stored: Distribution  # in the database, which has the values that people know
    scale: str = ""  # of SCALES


def coding_of(hp: kinds.HyperParameter, finite: bool = False, stores_indices: bool = False) -> Coding:
    """The coding of a keras-tuner hyperparameter.

    Args:
        hp: Choice, Boolean, Int or Float.
        finite: whether a continuous one has ten values, as in keras-tuner's grid, and no order.
        stores_indices: whether the database has what is drawn, as in studies from before it had values.
    """
    if isinstance(hp, kinds.Boolean):
        return _plain_coding(distributions.CategoricalDistribution((False, True)), bool)
    if isinstance(hp, kinds.Choice):
        choices = distributions.CategoricalDistribution(tuple(hp.values))
        if not hp.ordered:
            scale = "unordered" if _is_ordered(choices) else ""
            return Coding(choices, _identity, choices, scale)
        return _list_coding(list(hp.values), finite, stores_indices)
    if hp.step is None and not finite:
        return _range_coding(hp, stores_indices)
    if isinstance(hp, kinds.Int) and hp.sampling == "linear":
        high = hp.min_value + (hp.max_value - hp.min_value) // hp.step * hp.step
        return _plain_coding(distributions.IntDistribution(hp.min_value, high, step=hp.step), int)
    if hp.step is not None and hp.sampling == "linear":
        values = stepped_values(hp)
        return _list_coding(values, finite, stores_indices) if stores_indices else _step_coding(values, hp.step)
    whole = isinstance(hp, kinds.Int)
    return _list_coding(sorted({int(value) if whole else value for value in hp.values}), finite, stores_indices)


def stepped_values(hp: kinds.Float) -> list[float]:
    """The values of a Float with a linear step, both ends included, in decimal arithmetic.

    keras-tuner floors a rounded quotient, and so loses 0.5 of 0 ... 0.5 by 0.1.

    >>> stepped_values(kinds.Float("rate", 0.0, 0.3, step=0.1))
    [0.0, 0.1, 0.2, 0.3]
    """
    low = decimal.Decimal(repr(hp.min_value))
    step = decimal.Decimal(repr(float(hp.step)))
    count = int((decimal.Decimal(repr(hp.max_value)) - low) // step) + 1
    return [float(low + index * step) for index in range(count)]


def _range_coding(hp: kinds.Int | kinds.Float, stores_indices: bool) -> Coding:
    """The coding of a continuous range."""
    low = hp.min_value
    high = hp.max_value
    whole = isinstance(hp, kinds.Int)
    if hp.sampling == "reverse_log":

        def read(share: float) -> float:
            return hp.prob_to_value(min(share, 1 - 1e-12))

        values = distributions.IntDistribution(low, high) if whole else distributions.FloatDistribution(low, high)
        return Coding(UNIT, read, UNIT if stores_indices else values, "" if stores_indices else "reverse_log")
    if whole:
        return _plain_coding(distributions.IntDistribution(low, high, log=hp.sampling == "log"), int)
    return _plain_coding(distributions.FloatDistribution(low, high, log=hp.sampling == "log"), float)


def _list_coding(values: list[Any], finite: bool, stores_indices: bool) -> Coding:
    """The coding of ordered values: drawn as their indices."""
    choices = distributions.CategoricalDistribution(tuple(values))
    indices = _indices(choices)

    def read(index: float) -> Any:
        return values[int(index)]

    if stores_indices:
        return Coding(indices, read, indices)
    if finite:
        return _plain_coding(choices, _identity)
    return Coding(indices, read, choices)


def _step_coding(values: list[float], step: float) -> Coding:
    """The coding of evenly spaced values, which may be thousands: a range, not a list."""

    def read(number: float) -> float:
        return values[round((number - values[0]) / step)]

    return _plain_coding(distributions.FloatDistribution(values[0], values[-1], step=step), read)


def _plain_coding(distribution: Distribution, read: Callable[[Any], Any]) -> Coding:
    return Coding(distribution, read, distribution)


def _identity(value: Any) -> Any:
    return value


def _indices(choices: distributions.CategoricalDistribution) -> distributions.IntDistribution:
    return distributions.IntDistribution(0, len(choices.choices) - 1)


def _is_ordered(
    stored: distributions.BaseDistribution, scale: str = ""
) -> TypeGuard[distributions.CategoricalDistribution]:
    """Whether a stored distribution is a list of numbers, which have an order unless `scale` denies it."""
    return (
        isinstance(stored, distributions.CategoricalDistribution)
        and scale != "unordered"
        and all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in stored.choices)
    )


def as_drawn(trial: FrozenTrial) -> FrozenTrial:
    """A copy of a trial in which the parameters are those that the sampler drew, not those that the database has."""
    scales = trial.user_attrs.get("scales", {})
    drawn = copy.copy(trial)
    drawn.params = {}
    drawn.distributions = {}
    for name, stored in trial.distributions.items():
        value = trial.params[name]
        scale = scales.get(name, "")
        if scale == "reverse_log":
            assert isinstance(stored, distributions.FloatDistribution | distributions.IntDistribution)
            hp = kinds.Float(name, stored.low, stored.high, sampling="reverse_log")
            drawn.params = drawn.params | {name: float(hp.value_to_prob(value))}
            drawn.distributions = drawn.distributions | {name: UNIT}
        elif _is_ordered(stored, scale):
            drawn.params = drawn.params | {name: int(stored.to_internal_repr(value))}
            drawn.distributions = drawn.distributions | {name: _indices(stored)}
        else:
            drawn.params = drawn.params | {name: value}
            drawn.distributions = drawn.distributions | {name: stored}
    return drawn


def distributions_of(trials: Iterable[FrozenTrial]) -> dict[str, distributions.BaseDistribution]:
    """The first distribution of each name in a study: one name has one kind there, and one list of choices."""
    first: dict[str, distributions.BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            first.setdefault(name, distribution)
    return first


def name_of(hp: kinds.HyperParameter, stored: Distribution, by_name: dict[str, distributions.BaseDistribution]) -> str:
    """The name of a hyperparameter in Optuna.

    One name under two conditions is two, and so is one that has other choices, another kind or another scale than
    before: it gets them added, as in "block ['c', 'd']" or "rate [Float, log]".
    """
    name = hp.name + "".join(f" [{c.name} in {', '.join(map(str, c.values))}]" for c in hp.conditions)
    return distinct_name(name, stored, by_name)


def distinct_name(name: str, stored: Distribution, by_name: dict[str, distributions.BaseDistribution]) -> str:
    """`name`, with its choices, kind or scale added if it has others in `by_name`."""
    name = _shorten(name)
    if name not in by_name or _is_compatible(by_name[name], stored):
        return name
    return _shorten(f"{name} {_describe(stored)}")


def _is_compatible(earlier: distributions.BaseDistribution, stored: Distribution) -> bool:
    try:
        distributions.check_distribution_compatibility(earlier, stored)
    except ValueError:
        return False
    return True


def _describe(stored: Distribution) -> str:
    if isinstance(stored, distributions.CategoricalDistribution):
        return str(list(stored.choices))
    kind = type(stored).__name__.removesuffix("Distribution")
    return f"[{kind}, log]" if stored.log else f"[{kind}]"


def _shorten(name: str) -> str:
    """A name that fits into a database; the end of a long one becomes a digest of it."""
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[: NAME_LENGTH - 16]} {hashlib.sha256(name.encode()).hexdigest()[:12]}"
