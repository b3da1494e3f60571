"""How the values of a trial are drawn: keras-tuner's HyperParameters with Optuna's samplers.

No state lasts from one trial to the next: the seed of each draw's sampler is a function of (seed of the study, number
of the trial, number of the draw).
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Container
from typing import Any, Protocol

import keras_tuner
import numpy as np
import optuna
from keras_tuner.engine import hyperparameters as kinds
from optuna import distributions
from optuna.trial import FrozenTrial, TrialState

from tfcnn.errors import BadInput
from tuning.study.storage import quiet

Distribution = distributions.CategoricalDistribution | distributions.IntDistribution | distributions.FloatDistribution
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


class Source(Protocol):
    """What a draw needs of tuning.oracle.OptunaOracle."""

    study: optuna.Study
    storage: optuna.storages.BaseStorage
    sampler: str
    seed: int


class Draw(keras_tuner.HyperParameters):
    """Values that are drawn when they are asked for; nothing is stored.

    The first draw for a trial is what the sampler proposes. A sampler that has settled proposes the same again and
    again, with a fit of its model each time; so each further draw keeps less of the first, and the rest is random.

    Args:
        oracle: its sampler draws.
        frozen: the Optuna trial that gets the values.
        number: of the draw for this trial, from 1 up.
        first: the first draw for this trial; None for draw 1.
    """

    def __init__(self, oracle: Source, frozen: FrozenTrial, number: int = 1, first: Draw | None = None) -> None:
        super().__init__()
        self.finite = oracle.sampler == "grid"
        seed = seed_of(oracle.seed, frozen.number, number)
        # A copy: a sampler that sets attributes of the trial sets them in the storage, by its id.
        self.frozen = copy.copy(frozen)
        self.frozen.params = {}
        self.frozen.distributions = {}
        if first is None or self.finite:  # the grid leaves out what was tried
            with quiet():
                self.sampler = SAMPLERS[oracle.sampler](seed)
                self.study = _Lessons(oracle.study.study_name, oracle.storage, self.sampler)
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
        name = _name(hp)
        distribution, read = distribution_of(hp, self.finite)
        value: Any
        if distribution.single():
            if isinstance(distribution, distributions.CategoricalDistribution):
                value = distribution.choices[0]
            else:
                value = distribution.low
        elif (
            name in self.relative
            and distribution._contains(distribution.to_internal_repr(self.relative[name]))
            and self.chance.random() >= self.loose
        ):
            value = self.relative[name]
        else:
            with quiet():
                value = self.sampler.sample_independent(self.study, self.frozen, name, distribution)
        self.frozen.params = self.frozen.params | {name: value}
        self.frozen.distributions = self.frozen.distributions | {name: distribution}
        return read(value)


class _Lessons(optuna.Study):
    """The study as a sampler sees it: a failed trial counts as pruned before its first value, worse than any value.

    Optuna leaves failed trials out, and so would propose the learning rates that diverge again and again.
    """

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
                trials.append(trial)
        return trials


def distribution_of(hp: kinds.HyperParameter, finite: bool = False) -> tuple[Distribution, Callable[[Any], Any]]:
    """The Optuna distribution of a keras-tuner hyperparameter, and the function from its values to those of `hp`.

    Ordered choices and logarithmic steps become the index of the value, so that a sampler sees their order.

    Args:
        hp: Choice, Boolean, Int or Float.
        finite: whether a continuous one has ten values, as in keras-tuner's grid.
    """
    if isinstance(hp, kinds.Boolean):
        return distributions.CategoricalDistribution((False, True)), bool
    if isinstance(hp, kinds.Choice) and not hp.ordered:
        return distributions.CategoricalDistribution(tuple(hp.values)), lambda value: value
    numeric = not isinstance(hp, kinds.Choice)
    if numeric and hp.step is None and not finite:
        low, high, log = hp.min_value, hp.max_value, hp.sampling == "log"
        if hp.sampling == "reverse_log":
            return distributions.FloatDistribution(0.0, 1.0), lambda share: hp.prob_to_value(min(share, 1 - 1e-12))
        if isinstance(hp, kinds.Int):
            return distributions.IntDistribution(low, high, log=log), int
        return distributions.FloatDistribution(low, high, log=log), float
    if isinstance(hp, kinds.Int) and hp.sampling == "linear":
        high = hp.min_value + (hp.max_value - hp.min_value) // hp.step * hp.step
        return distributions.IntDistribution(hp.min_value, high, step=hp.step), int
    whole = isinstance(hp, kinds.Int)
    values = sorted(int(value) if whole else value for value in hp.values) if numeric else list(hp.values)
    return distributions.IntDistribution(0, len(values) - 1), lambda index: values[int(index)]


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


def _name(hp: kinds.HyperParameter) -> str:
    """The name of a hyperparameter in Optuna, where one name under two conditions is two."""
    return hp.name + "".join(f" [{c.name} in {', '.join(map(str, c.values))}]" for c in hp.conditions)
