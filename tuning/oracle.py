"""Optuna's samplers, pruners and storages as a keras-tuner oracle.

A user sees keras-tuner's `HyperParameters`, `Tuner` and `Trial`; keras-tuner's oracles take a diverged trial for the
best one, lose trials and hang. Here Optuna's study is the only state. A trial's values are a function of (seed of the
study, number of the trial, trials before it), because each trial has a new sampler: a study that is stopped and then
continued by one worker proposes what an uninterrupted one proposes.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial
from optuna.trial import FrozenTrial, TrialState

from tfcnn.errors import BadInput
from tuning.proposals import (
    MOST_FAILURES,
    CheckedValues,
    ProposalFailed,
    explain_failure,
    hyperparameters_of,
    store,
    values_of,
)
from tuning.sampling import PRUNERS, Draw, check_sampler
from tuning.study.storage import quiet
from tuning.study.trials import NO_HEARTBEAT, origin

optuna.logging.set_verbosity(optuna.logging.ERROR)

STARTS = 2  # of a trial that kills its process: once may be the machine's fault
STATUS = {  # keras-tuner's names of Optuna's states
    TrialState.COMPLETE: "COMPLETED",
    TrialState.PRUNED: "STOPPED",
    TrialState.FAIL: "FAILED",
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "RUNNING",
}


class OptunaOracle(keras_tuner.Oracle):
    """An oracle for `keras_tuner.Tuner`, or for any loop over its three calls.

    `create_trial` returns a trial with new values, or one with status "STOPPED" when `max_trials` are done or the space
    has no more values. `update_trial(id, metrics, step)` returns the trial, with status "STOPPED" where the pruner ends
    it. `end_trial(trial)` takes a trial with status "COMPLETED" (a score that is not finite makes it "FAILED"),
    "STOPPED" (pruned), "FAILED", or "INVALID": handed out again, `max_retries_per_trial` times. The score is the value
    that was reported last.

    Args:
        objective: keras_tuner.Objective, or a list of them for a Pareto front.
        sampler: one of SAMPLERS.
        pruner: one of PRUNERS; with one objective only.
        max_trials: in all; None: no limit.
        seed: of the study, 0 included.
        storage: an Optuna storage, its URL, or None: in memory.
        name: of the study in the storage; continued if it is there.
        space: function of HyperParameters that asks for the values of a trial; default: those in `hyperparameters`, or
            those that a Tuner's hypermodel has asked for.
        accept: whether what `space` returns may become a trial; default: everything may. A refusal costs no trial.
        is_dead: for a trial that is running in the storage when the oracle is made: whether its process is known to be
            dead. If so it is handed out again, unless that was its second start; default: none is.
        labels: attributes of each trial that is handed out.
        **kwargs: of keras_tuner.Oracle.

    Raises:
        BadInput: sampler, pruner and objectives do not go together, or a package is not installed; from `create_trial`:
            the space raised at MOST_FAILURES proposals in a row, each of which is a failed trial.
    """

    def __init__(
        self,
        objective: keras_tuner.Objective | list[keras_tuner.Objective],
        sampler: str = "tpe",
        pruner: str = "none",
        max_trials: int | None = None,
        seed: int = 0,
        storage: optuna.storages.BaseStorage | str | None = None,
        *,
        name: str = "study",
        space: Callable[[keras_tuner.HyperParameters], Any] | None = None,
        accept: Callable[[Any], bool] | None = None,
        is_dead: Callable[[FrozenTrial], bool] | None = None,
        labels: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(objective=objective, max_trials=max_trials, seed=1, **kwargs)
        self.seed = seed
        self.space = space
        self.accept = accept
        self.labels = labels or {}
        self.sampler = sampler
        self.verbose = 0
        self.objectives = getattr(self.objective, "objectives", [self.objective])
        self.storage = optuna.storages.get_storage(storage)
        check_sampler(sampler, pruner, len(self.objectives))
        self.study = optuna.create_study(
            storage=self.storage,
            sampler=optuna.samplers.RandomSampler(0),  # never used: sampling.Draw has the samplers
            pruner=PRUNERS[pruner](),
            study_name=name,
            directions=["maximize" if goal.direction == "max" else "minimize" for goal in self.objectives],
            load_if_exists=True,
        )
        names = [goal.name for goal in self.objectives]
        if self.study.metric_names != names:
            with quiet():
                self.study.set_metric_names(names)
        attributes = self.study.user_attrs
        self.infeasible = attributes.get("infeasible", 0)
        if "stores" not in attributes and not self.study.get_trials(deepcopy=False):
            self.study.set_user_attr("stores", "values")
            attributes["stores"] = "values"
        self.stores_indices = "stores" not in attributes  # as all did once
        if space is None and "hyperparameters" in attributes:  # of a Tuner, which asks for them once
            super().update_space(keras_tuner.HyperParameters.from_config(attributes["hyperparameters"]))
        self._failures = 0  # of proposals in a row
        self._failed: list[Trial] = []  # that nobody has taken
        self._mutex = threading.RLock()
        self._running: dict[str, optuna.Trial] = {}
        self._retries: list[int] = []  # numbers of trials to hand out again
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.is_finished():
                self._add_finished(trial)
            elif trial.state == TrialState.RUNNING and is_dead is not None and is_dead(trial):
                if trial.user_attrs.get("starts", 0) < STARTS:
                    self._retries.append(trial.number)
                else:
                    self._finish(trial, TrialState.FAIL, reason=f"killed: its process ended {STARTS} times")

    def create_trial(self, tuner_id: str) -> Trial:
        with self._mutex:
            if tuner_id in self.ongoing_trials:
                return self.ongoing_trials[tuner_id]
            while (running := self._next_trial()) is not None:
                for key, value in self.labels.items():
                    running.set_user_attr(key, value)
                running.set_user_attr("starts", running.user_attrs.get("starts", 0) + 1)
                frozen = self.storage.get_trial(running._trial_id)
                try:
                    hp = values_of(self, frozen)
                except ProposalFailed as failure:
                    self._fail_proposal(frozen, failure)
                    continue
                self._failures = 0
                if hp is None:
                    self._finish(frozen, TrialState.FAIL, reason="the space has no more values")
                    self.study.set_user_attr("exhausted", True)
                    continue
                trial = Trial(CheckedValues.from_config(hp.get_config()), str(frozen.number), "RUNNING")
                self._running[trial.trial_id] = running
                self.trials[trial.trial_id] = trial
                self.ongoing_trials[tuner_id] = trial
                self.start_order.append(trial.trial_id)
                self.update_space(hp)
                return trial
            return Trial(keras_tuner.HyperParameters(), status="STOPPED")

    def update_space(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        """Add hyperparameters to those that are known; without a `space` the study remembers them."""
        before = len(self.hyperparameters.space)
        super().update_space(hyperparameters)
        if self.space is None and len(self.hyperparameters.space) > before:
            self.study.set_user_attr("hyperparameters", self.hyperparameters.get_config())

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Trial:
        with self._mutex:
            self._check_objective_found(metrics)
            trial = self.trials[trial_id]
            running = self._running[trial_id]
            directions = {goal.name: goal.direction for goal in self.objectives}
            for metric, value in metrics.items():
                if not trial.metrics.exists(metric):
                    trial.metrics.register(metric, direction=directions.get(metric, "max"))
                if not math.isnan(value):  # keras-tuner warns of it
                    trial.metrics.update(metric, value, step=step)
            scores = [metrics[goal.name] for goal in self.objectives]
            trial.score = scores if len(scores) > 1 else scores[0]
            trial.best_step = step
            if len(self.objectives) == 1:
                reported = self.storage.get_trial(running._trial_id).intermediate_values
                if step not in reported:  # a resumed run may report a step twice
                    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                        running.report(trial.score, step)
                if running.should_prune():
                    trial.status = "STOPPED"
            return trial

    def end_trial(self, trial: Trial) -> None:
        with self._mutex:
            kept = self.trials[trial.trial_id]
            kept.hyperparameters = trial.hyperparameters
            kept.message = trial.message
            kept.status = trial.status
            running = self._take_running(trial)
            frozen = self.storage.get_trial(running._trial_id)
            if frozen.state.is_finished():
                kept.status = "FAILED"
                kept.message = NO_HEARTBEAT
                return
            if self.space is None and trial.hyperparameters.values != frozen.user_attrs["values"]:
                self.storage.set_trial_user_attr(frozen._trial_id, "values", trial.hyperparameters.values)
            if kept.status == "INVALID":
                if frozen.user_attrs["starts"] <= self.max_retries_per_trial:
                    self._retries.append(frozen.number)
                    return
                kept.status = "FAILED"
            scores = kept.score if isinstance(kept.score, list) else [kept.score]
            if kept.status == "COMPLETED" and not all(map(_is_finite, scores)):
                pairs = zip(self.objectives, scores, strict=True)
                kept.status = "FAILED"
                kept.message = ", ".join(f"{goal.name} is {score}" for goal, score in pairs if not _is_finite(score))
            match kept.status:
                case "COMPLETED":
                    self._finish(frozen, TrialState.COMPLETE, scores)
                case "STOPPED":
                    self._finish(frozen, TrialState.PRUNED)
                case "FAILED":
                    self._finish(frozen, TrialState.FAIL, reason=kept.message)
                case status:
                    raise ValueError(f"a trial ends COMPLETED, STOPPED, FAILED or INVALID, not {status}")
            self.end_order.append(trial.trial_id)

    def attributes(self, trial: Trial) -> dict[str, Any]:
        """What is noted of a running trial; "origin" is the number under which it was first started."""
        frozen = self.storage.get_trial(self._running[trial.trial_id]._trial_id)
        return frozen.user_attrs | {"origin": origin(frozen)}

    def take_failed(self) -> list[Trial]:
        """The trials for which the space raised since the last call."""
        failed = self._failed
        self._failed = []
        return failed

    def fail(self, trial: Trial, error: BaseException) -> None:
        """End a running trial for which the space raised where it is asked again."""
        trial.status = "FAILED"
        trial.message = explain_failure(error)
        self.end_trial(trial)

    def note(self, trial: Trial, **attributes: Any) -> None:
        """Store values, plain in JSON, with a running trial."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another machine has given it up
            for key, value in attributes.items():
                self._running[trial.trial_id].set_user_attr(key, value)

    def release(self, trial: Trial) -> None:
        """Return a trial that was stopped before its end: it is handed out again, and this start does not count."""
        with self._mutex:
            running = self._take_running(trial)
            running.set_user_attr("starts", running.user_attrs["starts"] - 1)
            self._retries.append(running.number)

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best completed trials, best first; of several objectives the Pareto front."""
        if len(self.objectives) > 1:
            return [self.trials[str(t.number)] for t in self.study.best_trials if str(t.number) in self.trials]
        completed = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        return sorted(completed, key=lambda t: t.score, reverse=self.objective.direction == "max")[:num_trials]

    def beat(self) -> None:
        """Record in a storage with heartbeats that our trials are alive; requeue those of dead machines."""
        with self._mutex, quiet():
            if hasattr(self.storage, "record_heartbeat"):
                for running in self._running.values():
                    self.storage.record_heartbeat(running._trial_id)
            optuna.storages.fail_stale_trials(self.study)

    def save(self) -> None:
        """Does nothing: the storage is complete at every moment."""

    reload = save

    def _next_trial(self) -> optuna.Trial | None:
        """A trial to run: a retry, one of a dead machine, or a new one; None if there are enough."""
        trials = self.study.get_trials(deepcopy=False)
        if self._retries:
            number = self._retries.pop(0)
            (frozen,) = (trial for trial in trials if trial.number == number)
            return optuna.Trial(self.study, frozen._trial_id)
        is_waiting = any(trial.state == TrialState.WAITING for trial in trials)  # of a dead machine; `ask` returns it
        started = {origin(trial) for trial in trials if "values" in trial.user_attrs}  # also by several machines
        is_full = self.max_trials is not None and len(started) >= self.max_trials
        if not is_waiting and (is_full or self.study.user_attrs.get("exhausted")):
            return None
        with quiet():
            return self.study.ask()

    def _take_running(self, trial: Trial) -> optuna.Trial:
        """Optuna's object of a running trial, which runs no longer."""
        for tuner_id, ongoing in list(self.ongoing_trials.items()):
            if ongoing.trial_id == trial.trial_id:
                del self.ongoing_trials[tuner_id]
        return self._running.pop(trial.trial_id)

    def _add_finished(self, frozen: FrozenTrial) -> None:
        """Add a finished trial of the storage to keras-tuner's."""
        if "values" in frozen.user_attrs:
            trial = Trial(hyperparameters_of(frozen.user_attrs["values"]), str(frozen.number), STATUS[frozen.state])
            if frozen.values is not None:
                trial.score = frozen.values if len(self.objectives) > 1 else frozen.value
                for goal, value in zip(self.objectives, frozen.values, strict=True):
                    trial.metrics.register(goal.name, direction=goal.direction)
                    trial.metrics.update(goal.name, value, step=frozen.last_step or 0)
            trial.message = frozen.user_attrs.get("reason")
            self.trials[trial.trial_id] = trial

    def _finish(
        self, frozen: FrozenTrial, state: TrialState, scores: list[float] | None = None, reason: str | None = None
    ) -> None:
        """Store the end of a trial."""
        if reason:
            self.storage.set_trial_user_attr(frozen._trial_id, "reason", reason)
        self.study.tell(frozen.number, scores, state)

    def _fail_proposal(self, frozen: FrozenTrial, failure: ProposalFailed) -> None:
        """Record a trial for which the space raised; raises BadInput after MOST_FAILURES in a row."""
        if isinstance(failure.hyperparameters, Draw):
            store(self, frozen, failure.hyperparameters)
        else:
            self.storage.set_trial_user_attr(frozen._trial_id, "values", failure.hyperparameters.values)
        self._finish(frozen, TrialState.FAIL, reason=explain_failure(failure.cause))
        self._add_finished(self.storage.get_trial(frozen._trial_id))
        self._failed.append(self.trials[str(frozen.number)])
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            if isinstance(failure.cause, BadInput):
                raise failure.cause
            raise BadInput(
                f"the space fails at {MOST_FAILURES} proposals in a row, at the last one as "
                f"{explain_failure(failure.cause)} (--space)"
            ) from failure.cause


def _is_finite(score: float | None) -> bool:
    return score is not None and math.isfinite(score)
