"""The bridge: Optuna's samplers, pruners and storages as a keras-tuner oracle.

A user sees keras-tuner's `HyperParameters`, `Tuner` and `Trial`; keras-tuner's own oracles take a diverged trial for
the best one, lose trials and hang. Here Optuna's study is the only state. A trial's values are a function of (seed of
the study, number of the trial, trials before it): the sampler is made anew for each of them, so that a study that was
stopped and goes on with one worker is the study that was not stopped.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial
from optuna.trial import FrozenTrial, TrialState

from tuning.sampling import PRUNERS, Draw, check_sampler
from tuning.study.storage import quiet
from tuning.study.trials import NO_SIGN, origin

optuna.logging.set_verbosity(optuna.logging.ERROR)

DRAWS = 1000  # proposals for one trial, after which the space counts as exhausted
STARTS = 2  # of a trial that kills its process: it may be the machine's fault once
STATUS = {
    TrialState.COMPLETE: "COMPLETED",
    TrialState.PRUNED: "STOPPED",
    TrialState.FAIL: "FAILED",
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "RUNNING",
}


class OptunaOracle(keras_tuner.Oracle):
    """An oracle for `keras_tuner.Tuner`, or for a loop of one's own over its three calls.

    `create_trial` gives a trial whose values were never given before, or one with status "STOPPED" when `max_trials`
    are done or the space has no more values. `update_trial(id, metrics, step)` gives the trial back with status
    "STOPPED" where the pruner ends it. `end_trial(trial)` takes "COMPLETED" (a score that is not finite makes it
    "FAILED"), "STOPPED" (pruned), "FAILED", or "INVALID": given out again, `max_retries_per_trial` times. The score is
    the value that was reported last.

    Args:
        objective: keras_tuner.Objective, or a list of them for a Pareto front.
        sampler: one of SAMPLERS.
        pruner: one of PRUNERS; for one objective.
        max_trials: in all; None: without end.
        seed: of the study, 0 included.
        storage: an Optuna storage, its URL, or None: in memory.
        name: of the study in the storage; continued if it is there.
        space: function of HyperParameters that asks for the values of a trial; default: those in `hyperparameters`, or
            that a Tuner's hypermodel asked for.
        accept: of what `space` returns, whether it may become a trial; one that may not costs none.
        mine: of a trial that is running in the storage when the oracle is made, whether the process that ran it is
            known to be dead: it is given out again, unless that was its second start.
        labels: attributes of each trial that is given out.
        **kwargs: of keras_tuner.Oracle.

    Raises:
        BadInput: the sampler cannot do what is asked of it.
    """

    def __init__(
        self,
        objective,
        sampler: str = "tpe",
        pruner: str = "none",
        max_trials: int | None = None,
        seed: int = 0,
        storage=None,
        *,
        name: str = "study",
        space: Callable[[Any], Any] | None = None,
        accept: Callable[[Any], bool] = lambda found: True,
        mine: Callable[[FrozenTrial], bool] = lambda trial: False,
        labels: dict[str, Any] | None = None,
        **kwargs,
    ):
        super().__init__(objective=objective, max_trials=max_trials, seed=1, **kwargs)
        self.seed, self.space, self.accept, self.labels = seed, space, accept, labels or {}
        self.sampler, self.verbose = sampler, 0
        self.objectives = getattr(self.objective, "objectives", [self.objective])
        self.storage = optuna.storages.get_storage(storage)
        check_sampler(sampler, pruner, len(self.objectives))
        self.study = optuna.create_study(
            storage=self.storage,
            sampler=optuna.samplers.RandomSampler(0),  # is asked for nothing: `_draw` does that
            pruner=PRUNERS[pruner](),
            study_name=name,
            directions=["maximize" if each.direction == "max" else "minimize" for each in self.objectives],
            load_if_exists=True,
        )
        self.infeasible = self.study.user_attrs.get("infeasible", 0)
        self._mutex = threading.RLock()
        self._asked: dict[str, optuna.Trial] = {}  # being run
        self._again: list[int] = []  # numbers of trials to be given out again
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.is_finished():
                self._known(trial)
            elif trial.state == TrialState.RUNNING and mine(trial):
                if trial.user_attrs.get("starts", 0) < STARTS:
                    self._again.append(trial.number)
                else:
                    self._tell(trial, TrialState.FAIL, reason=f"killed: its process ended {STARTS} times")

    def create_trial(self, tuner_id):
        with self._mutex:
            if tuner_id in self.ongoing_trials:
                return self.ongoing_trials[tuner_id]
            if self._again:
                number = self._again.pop(0)
                (frozen,) = (t for t in self.study.get_trials(deepcopy=False) if t.number == number)
                asked = optuna.Trial(self.study, frozen._trial_id)
            elif not self._waiting() and (
                self._started() >= (self.max_trials or math.inf) or self.study.user_attrs.get("exhausted")
            ):
                return Trial(keras_tuner.HyperParameters(), status="STOPPED")
            else:
                with quiet():
                    asked = self.study.ask()
            frozen = self.storage.get_trial(asked._trial_id)
            hp = self._filled(frozen)
            if hp is None:
                self._tell(frozen, TrialState.FAIL, reason="the space has no more values")
                self.study.set_user_attr("exhausted", True)
                return self.create_trial(tuner_id)
            for key, value in self.labels.items():
                asked.set_user_attr(key, value)
            asked.set_user_attr("starts", frozen.user_attrs.get("starts", 0) + 1)
            trial = Trial(hp.copy(), str(frozen.number), "RUNNING")
            self._asked[trial.trial_id] = asked
            self.trials[trial.trial_id] = self.ongoing_trials[tuner_id] = trial
            self.start_order.append(trial.trial_id)
            self.update_space(hp)
            return trial

    def update_trial(self, trial_id, metrics, step=0):
        with self._mutex:
            self._check_objective_found(metrics)
            trial, asked = self.trials[trial_id], self._asked[trial_id]
            for metric, value in metrics.items():
                if not trial.metrics.exists(metric):
                    known = {each.name: each.direction for each in self.objectives}
                    trial.metrics.register(metric, direction=known.get(metric, "max"))
                if not math.isnan(value):  # of which keras-tuner warns
                    trial.metrics.update(metric, value, step=step)
            trial.score, trial.best_step = self._score(metrics), step
            if len(self.objectives) == 1:
                if step not in self.storage.get_trial(asked._trial_id).intermediate_values:  # of a run that was resumed
                    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                        asked.report(trial.score, step)
                trial.status = "STOPPED" if asked.should_prune() else trial.status
            return trial

    def end_trial(self, trial):
        with self._mutex:
            known = self.trials[trial.trial_id]
            known.hyperparameters, known.message, known.status = trial.hyperparameters, trial.message, trial.status
            self.ongoing_trials = {k: t for k, t in self.ongoing_trials.items() if t.trial_id != trial.trial_id}
            frozen = self.storage.get_trial(self._asked.pop(trial.trial_id)._trial_id)
            if frozen.state.is_finished():
                known.status, known.message = "FAILED", NO_SIGN
                return
            if known.status == "INVALID":
                if frozen.user_attrs["starts"] <= self.max_retries_per_trial:
                    self._again.append(frozen.number)
                    return
                known.status = "FAILED"
            values = None
            if known.status == "COMPLETED":
                values = known.score if isinstance(known.score, list) else [known.score]
                wrong = [
                    f"{each.name} is {value}"
                    for each, value in zip(self.objectives, values, strict=True)
                    if value is None or not math.isfinite(value)
                ]
                if wrong:
                    known.status, known.message, values = "FAILED", ", ".join(wrong), None
            state = {status: state for state, status in STATUS.items() if state.is_finished()}[known.status]
            self._tell(frozen, state, values, reason=known.message if known.status == "FAILED" else None)
            self.end_order.append(trial.trial_id)

    def attributes(self, trial) -> dict[str, Any]:
        """What is noted of a trial that is being run, and in "origin" the number under which it was first started."""
        frozen = self.storage.get_trial(self._asked[trial.trial_id]._trial_id)
        return frozen.user_attrs | {"origin": origin(frozen)}

    def note(self, trial, **attributes) -> None:
        """Keep values of a trial that is being run in the study, as they are in JSON."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another machine gave it up
            for key, value in attributes.items():
                self._asked[trial.trial_id].set_user_attr(key, value)

    def release(self, trial) -> None:
        """Give a trial back that was stopped and not ended: it is given out again, and this start does not count."""
        with self._mutex:
            asked = self._asked.pop(trial.trial_id)
            asked.set_user_attr("starts", asked.user_attrs["starts"] - 1)
            self.ongoing_trials = {k: t for k, t in self.ongoing_trials.items() if t.trial_id != trial.trial_id}
            self._again.append(asked.number)

    def get_best_trials(self, num_trials=1):
        """The best completed trials, best first; of several objectives the Pareto front."""
        if len(self.objectives) > 1:
            return [self.trials[str(t.number)] for t in self.study.best_trials if str(t.number) in self.trials]
        done = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        return sorted(done, key=lambda t: t.score, reverse=self.objective.direction == "max")[:num_trials]

    def beat(self) -> None:
        """Tell a storage with heartbeats that the trials of this oracle are alive; re-queue those of dead machines."""
        with self._mutex, quiet():
            if hasattr(self.storage, "record_heartbeat"):
                for asked in self._asked.values():
                    self.storage.record_heartbeat(asked._trial_id)
            optuna.storages.fail_stale_trials(self.study)

    def save(self):
        """Nothing: the storage has it all, at every moment."""

    reload = save

    def _score(self, metrics):
        values = [metrics[each.name] for each in self.objectives]
        return values if len(values) > 1 else values[0]

    def _started(self) -> int:
        """How many trials there are, one that another machine took over counted once."""
        return len({origin(t) for t in self.study.get_trials(deepcopy=False) if "values" in t.user_attrs})

    def _waiting(self) -> bool:
        """Whether a trial of a dead machine is to be begun again, which `ask` gives before any other."""
        return bool(self.study.get_trials(deepcopy=False, states=[TrialState.WAITING]))

    def _known(self, frozen: FrozenTrial) -> None:
        """Add a finished trial of the storage to keras-tuner's."""
        if "values" in frozen.user_attrs:
            hp = keras_tuner.HyperParameters()
            hp.values = dict(frozen.user_attrs["values"])
            trial = Trial(hp, str(frozen.number), STATUS[frozen.state])
            if frozen.values is not None:
                trial.score = frozen.values if len(self.objectives) > 1 else frozen.value
                for each, value in zip(self.objectives, frozen.values, strict=True):
                    trial.metrics.register(each.name, direction=each.direction)
                    trial.metrics.update(each.name, value, step=frozen.last_step or 0)
            trial.message = frozen.user_attrs.get("reason")
            self.trials[trial.trial_id] = trial

    def _tell(self, frozen: FrozenTrial, state: TrialState, values=None, reason: str | None = None) -> None:
        if reason:
            self.storage.set_trial_user_attr(frozen._trial_id, "reason", reason)
        self.study.tell(frozen.number, values, state)

    def _filled(self, frozen: FrozenTrial) -> keras_tuner.HyperParameters | None:
        """The values of a trial: those that it has, or else drawn and stored; None if there are none left."""
        if "values" in frozen.user_attrs:
            hp = keras_tuner.HyperParameters()
            hp.values = dict(frozen.user_attrs["values"])
            self._ask(hp)
            return hp
        others = self.study.get_trials(deepcopy=False)
        tried = {_key(t.user_attrs["values"]) for t in others if "values" in t.user_attrs}
        refused, first = self.infeasible, None
        try:
            for draw in range(1, DRAWS + 1):
                drawn = Draw(self, frozen, draw, first)
                found = self._ask(drawn)
                first = first or drawn
                if _key(drawn.values) in tried:
                    continue
                if self.accept(found):
                    break
                self.infeasible += 1
            else:
                return None
        finally:
            if self.infeasible > refused:
                self.study.set_user_attr("infeasible", self.infeasible)
        for name, distribution in drawn.frozen.distributions.items():
            internal = distribution.to_internal_repr(drawn.frozen.params[name])
            self.storage.set_trial_param(frozen._trial_id, name, internal, distribution)
        self.storage.set_trial_user_attr(frozen._trial_id, "values", drawn.values)
        return drawn

    def _ask(self, hp: keras_tuner.HyperParameters) -> Any:
        if self.space:
            return self.space(hp)
        hp.merge(self.hyperparameters.space)
        return hp


def _key(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
