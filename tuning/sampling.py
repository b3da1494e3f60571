"""How the values of a trial are drawn: keras-tuner's HyperParameters with Optuna's samplers.

No state lasts from one trial to the next: the seed of each draw's sampler is a function of (seed of the study, number
of the trial, number of the draw).
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple, Protocol

import keras_tuner
import numpy as np
import optuna
from keras_tuner.engine import hyperparameters as kinds
from optuna import distributions
from optuna.trial import FrozenTrial, TrialState

from tfcnn.errors import BadInput
from tuning.coding import Distribution, as_drawn, coding_of, distributions_of, name_of
from tuning.study.storage import quiet

LOOSE = 20  # draws for one trial, after which all of its values are random
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "random": optuna.samplers.RandomSampler,
    "grid": optuna.samplers.BruteForceSampler,
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
}
PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    "hyperband": optuna.pruners.HyperbandPruner,
}


class CannotDraw(BadInput):
    """The sampler refuses what a space asks for; the message names the hyperparameter."""


class Source(Protocol):
    """What a draw needs of tuning.oracle.OptunaOracle."""

    study: optuna.Study
    storage: optuna.storages.BaseStorage
    sampler: str
    seed: int
    stores_indices: bool


class Stored(NamedTuple):
    """The value of a hyperparameter as the database has it."""

    value: Any
    distribution: Distribution
    scale: str  # of SCALES


class Draw(keras_tuner.HyperParameters):
    """Values that are drawn when they are asked for; nothing is stored.

    The first draw for a trial is what the sampler proposes. A sampler that has settled proposes the same again and
    again, with a fit of its model each time; so each further draw keeps less of the first, and the rest is random.

    Args:
        oracle: its sampler draws.
        frozen: the Optuna trial that gets the values.
        number: of the draw for this trial, from 1 up.
        first: the first draw for this trial; None for draw 1.

    Attributes:
        stored: what the database gets, by Optuna's name of each hyperparameter.
    """

    def __init__(self, oracle: Source, frozen: FrozenTrial, number: int = 1, first: Draw | None = None) -> None:
        super().__init__()
        self.finite = oracle.sampler == "grid"
        self.stores_indices = oracle.stores_indices
        self.stored: dict[str, Stored] = {}
        self.by_name: dict[str, distributions.BaseDistribution]
        if first is None:
            self.by_name = distributions_of(oracle.study.get_trials(deepcopy=False))
        else:
            self.by_name = first.by_name
        seed = seed_of(oracle.seed, frozen.number, number)
        # A copy: a sampler that sets attributes of the trial sets them in the storage, by its id.
        self.frozen = copy.copy(frozen)
        self.frozen.params = {}
        self.frozen.distributions = {}
        if first is None or self.finite:  # the grid leaves out what was tried
            with quiet(), _explain_errors("the sampler cannot learn from the trials"):
                self.sampler = SAMPLERS[oracle.sampler](seed)
                self.study = _Lessons(oracle.study.study_name, oracle.storage, self.sampler)
                self.study.stores_indices = oracle.stores_indices
                space = self.sampler.infer_relative_search_space(self.study, self.frozen)
                self.relative = self.sampler.sample_relative(self.study, self.frozen, space)
            self.loose = 0.0
        else:
            self.sampler = optuna.samplers.RandomSampler(seed)
            self.study = first.study
            self.relative = first.frozen.params
            self.loose = min(1.0, number / LOOSE)
        self.chance = np.random.default_rng(seed)

    def _register(self, hyperparameter: kinds.HyperParameter, overwrite: bool = False) -> Any:
        if self.is_active(hyperparameter) and hyperparameter.name not in self.values:
            self.values[hyperparameter.name] = self._draw(hyperparameter)
        return super()._register(hyperparameter)

    def _draw(self, hp: kinds.HyperParameter) -> Any:
        if isinstance(hp, kinds.Fixed):
            return hp.value
        coding = coding_of(hp, self.finite, self.stores_indices)
        name = name_of(hp, coding.stored, self.by_name)
        value = self._sample(hp.name, name, coding.drawn)
        self.frozen.params = self.frozen.params | {name: value}
        self.frozen.distributions = self.frozen.distributions | {name: coding.drawn}
        known_value = coding.read(value)
        kept = value if self.stores_indices else known_value
        self.stored[name] = Stored(kept, coding.stored, coding.scale)
        return known_value

    def _sample(self, asked: str, name: str, distribution: Distribution) -> Any:
        """A value for the hyperparameter `asked`, which is `name` in Optuna."""
        if distribution.single():
            if isinstance(distribution, distributions.CategoricalDistribution):
                return distribution.choices[0]
            return distribution.low
        if name in self.relative:
            value = self.relative[name]
            if _contains(distribution, value) and self.chance.random() >= self.loose:
                return value
        with quiet(), _explain_errors(f"the sampler cannot draw '{asked}'"):
            return self.sampler.sample_independent(self.study, self.frozen, name, distribution)


@contextlib.contextmanager
def _explain_errors(what: str) -> Iterator[None]:
    """A context in which an error of Optuna's sampler becomes CannotDraw."""
    try:
        yield
    except BadInput:
        raise
    except (ValueError, TypeError, LookupError, AssertionError) as error:
        raise CannotDraw(f"{what}: {error} (--sampler)") from error


class _Lessons(optuna.Study):
    """The study as a sampler sees it.

    A failed trial counts as pruned before its first value, worse than any value: Optuna leaves failed trials out, and
    so would propose the learning rates that diverge again and again. Values that have an order are indices.
    """

    stores_indices = False

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = []
        for trial in super()._get_trials(deepcopy=False, use_cache=use_cache):
            if trial.state == TrialState.FAIL and "values" in trial.user_attrs:
                trial = copy.copy(trial)
                trial.state = TrialState.PRUNED
                trial.values = None
                trial.intermediate_values = {}
            if states is None or trial.state in states:
                trials.append(trial if self.stores_indices else self._as_drawn(trial))
        return trials

    def _as_drawn(self, trial: FrozenTrial) -> FrozenTrial:
        """A trial of the database with the parameters that the sampler drew; a finished one is converted once."""
        key = (trial._trial_id, trial.state)
        if key not in self._converted:
            self._converted[key] = as_drawn(trial)
        drawn = self._converted[key]
        if not trial.state.is_finished():
            del self._converted[key]
        return drawn

    @functools.cached_property
    def _converted(self) -> dict[tuple[int, TrialState], FrozenTrial]:
        return {}


def seed_of(*numbers: int) -> int:
    """A seed below 2**31 from whole numbers from 0 up, such as (seed of the study, number of the trial)."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] % 2**31)


def check_sampler(sampler: str, pruner: str, objectives: int) -> None:
    """Raises BadInput if they do not go together, or need a package that is not installed."""
    if pruner != "none" and objectives > 1:
        raise BadInput(f"a pruner compares one objective, got {objectives}: leave --pruner or --objective out")
    if sampler == "cmaes" and objectives > 1:
        raise BadInput(f"--sampler cmaes is for one objective, got {objectives} (--objective); nsga2 is for several")
    package = {"gp": "torch", "cmaes": "cmaes"}.get(sampler)
    try:
        if package:
            importlib.import_module(package)
    except ImportError:
        raise BadInput(f"--sampler {sampler} needs the package {package}: pip install {package}") from None


def _contains(distribution: Distribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # not one of the choices
        return False
