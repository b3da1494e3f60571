"""What a trial is to have: the first draw that is new and accepted, and what becomes of a space that raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, Protocol

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds
from optuna.trial import FrozenTrial

from tfcnn.errors import BadInput
from tuning.coding import distinct_name, distributions_of
from tuning.sampling import LOOSE, CannotDraw, Draw, Source
from tuning.study.patience import StorageFailed

DRAWS = 1000  # proposals for one trial, after which the space counts as exhausted
MOST_FAILURES = 10  # proposals in a row at which the space raises, after which a search ends


class ProposalFailed(Exception):
    """A space raised, or exited, while it made a proposal of `hyperparameters`; `cause` is what it raised."""

    def __init__(self, hyperparameters: keras_tuner.HyperParameters, cause: BaseException) -> None:
        super().__init__(explain_failure(cause))
        self.hyperparameters = hyperparameters
        self.cause = cause


class SpaceSource(Source, Protocol):
    """What a proposal needs of tuning.oracle.OptunaOracle."""

    hyperparameters: keras_tuner.HyperParameters
    space: Callable[[keras_tuner.HyperParameters], Any] | None
    accept: Callable[[Any], bool] | None
    infeasible: int


class CheckedValues(keras_tuner.HyperParameters):
    """The values of a Tuner's trial, drawn before its hypermodel asks for them.

    keras-tuner hands out what was drawn for a name, whatever the hypermodel asks for under it.

    Raises:
        keras_tuner.errors.FatalValueError: a value is not one of those that are asked for; it ends the Tuner's search.
    """

    def _retrieve(self, hp: kinds.HyperParameter) -> Any:
        value = super()._retrieve(hp)
        if self.is_active(hp) and not _allows(hp, value):
            raise keras_tuner.errors.FatalValueError(
                f"the value of '{hp.name}' is {value!r}, which {hp} does not have: a name in two branches with other "
                f"values needs two names, or the function in OptunaOracle(space=)"
            )
        return value


def _allows(hp: kinds.HyperParameter, value: Any) -> bool:
    if isinstance(hp, kinds.Choice):
        return value in hp.values
    if isinstance(hp, kinds.Int | kinds.Float):
        slack = 1e-9 * max(abs(hp.min_value), abs(hp.max_value))  # of rounded steps and logarithms
        return isinstance(value, int | float) and hp.min_value - slack <= value <= hp.max_value + slack
    return True


def values_of(oracle: SpaceSource, frozen: FrozenTrial) -> keras_tuner.HyperParameters | None:
    """The values of a trial: those it has, or else drawn and stored; None if none are left.

    Raises ProposalFailed.
    """
    if "values" in frozen.user_attrs:
        hp = hyperparameters_of(frozen.user_attrs["values"])
        _apply_space(oracle, hp)
        return hp
    refused = oracle.infeasible
    try:
        drawn = _draw(oracle, frozen)
    finally:
        if oracle.infeasible > refused:
            oracle.study.set_user_attr("infeasible", oracle.infeasible)
    if drawn is not None:
        store(oracle, frozen, drawn)
    return drawn


def _draw(oracle: SpaceSource, frozen: FrozenTrial) -> Draw | None:
    """The first of up to DRAWS draws that is new and accepted; counts those that are refused."""
    trials = oracle.study.get_trials(deepcopy=False)
    tried = {_key(trial.user_attrs["values"]) for trial in trials if "values" in trial.user_attrs}
    if oracle.space is None and not oracle.hyperparameters.space and tried - {_key({})}:
        raise BadInput(
            "the study does not know its hyperparameters: give OptunaOracle hyperparameters= or space=, or give the "
            "Tuner overwrite=True"
        )
    first = None
    for number in range(1, DRAWS + 1):
        draw = Draw(oracle, frozen, number, first)
        try:
            is_accepted = _apply_space(oracle, draw, tried)
        except ProposalFailed:
            if _key(draw.values) in tried and number < LOOSE:
                continue
            raise
        first = first or draw
        if is_accepted:
            return draw
    return None


def _apply_space(oracle: SpaceSource, hp: keras_tuner.HyperParameters, tried: Collection[str] | None = None) -> bool:
    """Ask `hp` for every value of the space.

    Returns:
        bool: whether the values are not in `tried`, and accepted; always where `tried` is None.
    """
    try:
        if oracle.space:
            proposal = oracle.space(hp)
        else:
            hp.merge(oracle.hyperparameters.space)
            proposal = hp
        if tried is None:
            return True
        if _key(hp.values) in tried:
            return False
        is_accepted = oracle.accept is None or oracle.accept(proposal)
    except (CannotDraw, StorageFailed):
        raise
    except (Exception, SystemExit) as error:
        raise ProposalFailed(hp, error) from error
    if not is_accepted:
        oracle.infeasible += 1
    return is_accepted


def store(oracle: Source, frozen: FrozenTrial, drawn: Draw) -> None:
    """Store the values of a draw with its trial."""
    for name, (value, distribution, _) in drawn.stored.items():
        internal = distribution.to_internal_repr(value)
        try:
            oracle.storage.set_trial_param(frozen._trial_id, name, internal, distribution)
        except ValueError as error:  # another machine has just stored another kind under the name
            if isinstance(error, BadInput):
                raise
            other = distinct_name(name, distribution, distributions_of(oracle.study.get_trials(deepcopy=False)))
            oracle.storage.set_trial_param(frozen._trial_id, other, internal, distribution)
    scales = {name: stored.scale for name, stored in drawn.stored.items() if stored.scale}
    if scales:
        oracle.storage.set_trial_user_attr(frozen._trial_id, "scales", scales)
    oracle.storage.set_trial_user_attr(frozen._trial_id, "values", drawn.values)


def hyperparameters_of(values: dict[str, Any]) -> keras_tuner.HyperParameters:
    """HyperParameters with values."""
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


def explain_failure(cause: BaseException) -> str:
    """Why a proposal failed, "kind: what exactly", in one line.

    >>> explain_failure(KeyError("units")), explain_failure(SystemExit(3))
    ("the space raised KeyError: 'units'", 'the space exited: 3')
    """
    message = " ".join((str(cause).strip().splitlines() or [""])[0].split())[:300]
    if isinstance(cause, BadInput):
        return f"refused: {message}"
    if isinstance(cause, SystemExit):
        return f"the space exited: {message}"
    return f"the space raised {type(cause).__name__}: {message}"


def _key(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
