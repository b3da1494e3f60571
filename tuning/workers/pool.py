"""The workers of a search: starts them, hands trials to them and their results to the oracle."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from tfcnn.cli.signals import DeferredSignals, Interrupted
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import DiskFull
from tfcnn.tables import printable
from tuning.budgets import Budgets
from tuning.study.folder import Study
from tuning.study.hparams import HParams
from tuning.study.patience import StorageFailed
from tuning.study.storage import HEARTBEAT
from tuning.study.trials import format_score, format_values
from tuning.workers.messages import Completed, EpochEnded, Failed, Job, Message, NoRoom, Pruned, Stopped, Verdict
from tuning.workers.worker import explain_exit, work

if TYPE_CHECKING:  # imports Keras
    from keras_tuner.engine.trial import Trial

    from tuning.oracle import OptunaOracle

# Fields of Config
NOT_SHARED = ("out", "resume", "time", "log", "tensorboard", "profile", "checkpoint_every", "distribution")
SECONDS_TO_LISTEN = 0.5  # the longest that a signal waits
SECONDS_TO_STOP = 120.0  # for a worker to finish its step and write a checkpoint


@dataclasses.dataclass
class Worker:
    """A process and the trial that it trains."""

    process: BaseProcess
    connection: Connection
    trial: Trial | None = None
    config: Config | None = None
    began: float = 0.0


def start_worker(trainer: str | None) -> Worker:
    """A new process without a trial; `trainer` is that of tuning.workers.worker.work."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, trainer), daemon=True)
    process.start()
    theirs.close()
    return Worker(process, ours)


class WorkerPool:
    """Processes that train the trials of a study.

    Args:
        study: its folder takes the runs and logs.
        oracle: proposes trials and takes their scores.
        configure: from the HyperParameters of a trial to its configuration.
        budgets: measures the costs among the objectives that a run does not report.
        trials: how many the study has in all.
        workers: processes that train at the same time.
        trainer: "path/to/file.py:function"; default: tuning.workers.worker.train.
    """

    def __init__(
        self,
        study: Study,
        oracle: OptunaOracle,
        configure: Callable[[Any], Config],
        budgets: Budgets,
        *,
        trials: int,
        workers: int = 1,
        trainer: str | None = None,
    ) -> None:
        self.study = study
        self.oracle = oracle
        self.configure = configure
        self.budgets = budgets
        self.trials = trials
        self.trainer = trainer
        self.workers: dict[str, Worker | None] = {f"worker{number}": None for number in range(workers)}
        self.seconds: list[float] = []  # of each start of a trial in this call
        self.next_heartbeat = time.monotonic()
        self.hparams = HParams(study.path / "tensorboard")

    def run(self) -> None:
        """Train until all trials are done. A signal waits until what is being stored is stored.

        Raises:
            BadInput: the space fails again and again.
            Interrupted: by a signal.
            TrainingFailed: nothing can be stored, or the disk is full.
        """
        try:
            with DeferredSignals() as signals:
                while True:
                    signals.deliver()
                    for name in self.workers:
                        self._hand_out(name)
                    busy = self._busy()
                    if not busy:
                        break
                    self._listen(busy)
        except KeyboardInterrupt as stop:
            self._stop()
            message = f"interrupted; continue with the same command and --study {self.study.path}"
            raise Interrupted(message, stop) from stop
        except DiskFull as error:
            self._stop()
            raise DiskFull(error.what, f"continue with the same command and --study {self.study.path}") from error
        except StorageFailed as error:
            self._abandon()
            message = f"{error}; when it can be, continue with the same command and --study {self.study.path}"
            raise TrainingFailed(message) from error
        except BadInput:  # of the space
            self._stop()
            raise
        finally:
            for worker in filter(None, self.workers.values()):
                worker.process.kill()
                worker.process.join()

    def _busy(self) -> dict[str, Worker]:
        return {name: worker for name, worker in self.workers.items() if worker and worker.trial}

    def _hand_out(self, name: str) -> None:
        """Hand the next trial, if there is one, to a worker without one."""
        from tuning.sampling import seed_of

        worker = self.workers[name]
        if worker and worker.trial:
            return
        try:
            trial = self.oracle.create_trial(name)
        finally:
            for failed in self.oracle.take_failed():
                self._print(failed)
        if trial.status == "STOPPED":
            return
        try:
            trained = self.configure(trial.hyperparameters)
        except (Exception, SystemExit) as error:
            self.oracle.fail(trial, error)
            self._print(trial)
            self._hand_out(name)
            return
        if worker is None:
            worker = start_worker(self.trainer)
            self.workers[name] = worker
        number = int(trial.trial_id)
        seed = seed_of(self.oracle.seed, self.oracle.attributes(trial)["origin"])
        config = dataclasses.replace(trained, seed=seed)
        fields = {key: value for key, value in config.to_dict().items() if key not in NOT_SHARED}
        self.oracle.note(trial, config=fields)
        worker.trial = trial
        worker.config = dataclasses.replace(config, out=str(self.study.run(number).path))
        worker.began = time.monotonic()
        try:
            worker.connection.send(Job(worker.config.to_dict(), str(self.study.log(number))))
        except OSError:  # the process died while it was idle
            self._bury(name, worker)
            self._hand_out(name)

    def _listen(self, busy: dict[str, Worker]) -> None:
        """Wait a moment for messages; record a heartbeat when one is due."""
        connections = [worker.connection for worker in busy.values()]
        ready = multiprocessing.connection.wait(connections, timeout=SECONDS_TO_LISTEN)
        if time.monotonic() >= self.next_heartbeat:
            self.next_heartbeat = time.monotonic() + HEARTBEAT
            self.oracle.beat()
        for name, worker in busy.items():
            if worker.connection in ready:
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    self._bury(name, worker)
                else:
                    self._handle(name, worker, message)

    def _handle(self, name: str, worker: Worker, message: Message) -> None:
        """Act on a message of a worker."""
        assert worker.trial is not None
        match message:
            case EpochEnded():
                try:
                    worker.connection.send(self._judge(worker.trial, message))
                except OSError:
                    self._bury(name, worker)
            case Completed(metrics):
                scores = self._scores(worker, metrics)
                numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
                self.oracle.note(worker.trial, metrics=numbers | scores)
                self.oracle.update_trial(worker.trial.trial_id, scores, step=metrics.get("epochs", 0))
                self._end_trial(worker, "COMPLETED")
            case Pruned():
                self._end_trial(worker, "STOPPED")
            case Stopped():
                self.oracle.release(worker.trial)
                worker.trial = None
                self._dismiss(name, worker)
            case Failed(reason):
                self._end_trial(worker, "FAILED", reason)
                self._dismiss(name, worker)
            case NoRoom(problem):
                self.oracle.release(worker.trial)
                worker.trial = None
                self._dismiss(name, worker)
                raise DiskFull(problem)

    def _judge(self, trial: Trial, epoch: EpochEnded) -> Verdict:
        """Report the score of an epoch to the pruner, which compares one objective."""
        objective = self.oracle.objectives[0].name
        if len(self.oracle.objectives) > 1 or objective not in epoch.metrics:
            return Verdict(proceed=True)
        updated = self.oracle.update_trial(trial.trial_id, {objective: epoch.metrics[objective]}, epoch.number)
        return Verdict(proceed=updated.status != "STOPPED")

    def _dismiss(self, name: str, worker: Worker) -> None:
        """Wait for the end of a process, so that another takes its place."""
        worker.process.join()
        self.workers[name] = None

    def _bury(self, name: str, worker: Worker) -> None:
        """Dismiss a process that has died; the oracle hands its trial out once more."""
        self._dismiss(name, worker)
        code = worker.process.exitcode
        assert code is not None
        self._end_trial(worker, "INVALID", explain_exit(code))

    def _scores(self, worker: Worker, metrics: dict[str, Any]) -> dict[str, Any]:
        """The value of each objective, from the metrics of the run or, if they lack it, from the costs."""
        names = [objective.name for objective in self.oracle.objectives]
        costs: dict[str, Any] = {}
        if any(name not in metrics for name in names):
            assert worker.config is not None
            costs = self.budgets.cost_of(worker.config)._asdict()
        return {name: metrics.get(name, costs.get(name)) for name in names}

    def _end_trial(self, worker: Worker, status: str, reason: str | None = None) -> None:
        """End the trial of a worker in the oracle, and print its line."""
        trial = worker.trial
        assert trial is not None
        worker.trial = None
        trial.status = status
        trial.message = reason
        seconds = time.monotonic() - worker.began
        self.seconds.append(seconds)
        self.oracle.note(trial, seconds=seconds)
        self.oracle.end_trial(trial)
        ended = self.oracle.trials[trial.trial_id]
        self._print(ended)
        if ended.status == "COMPLETED":
            names = [objective.name for objective in self.oracle.objectives]
            scores = dict(zip(names, _as_list(ended.score), strict=True))
            self.hparams.write(trial.trial_id, trial.hyperparameters.values, scores)

    def _print(self, trial: Trial) -> None:
        """Print the line of a trial that has ended."""
        line = describe_trial(trial, self.oracle, self.trials, self._seconds_a_trial())
        print(printable(line), flush=True)

    def _seconds_a_trial(self) -> float:
        return sum(self.seconds) / max(len(self.seconds), 1) / len(self.workers)

    def _abandon(self) -> None:
        """Let the workers write a checkpoint and end. Their trials are running in the storage, and begin again."""
        busy = self._busy()
        for worker in busy.values():
            worker.process.terminate()
        deadline = time.monotonic() + SECONDS_TO_STOP
        for worker in busy.values():
            worker.process.join(max(deadline - time.monotonic(), 0))

    def _stop(self) -> None:
        """Let the workers write a checkpoint and end; release their trials."""
        busy = self._busy()
        for worker in busy.values():
            worker.process.terminate()
        deadline = time.monotonic() + SECONDS_TO_STOP
        for name, worker in busy.items():
            while worker.trial:
                try:
                    if not worker.connection.poll(max(deadline - time.monotonic(), 0)):
                        raise EOFError
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    self.oracle.release(worker.trial)
                    worker.trial = None
                else:
                    with contextlib.suppress(DiskFull):  # its trial is released
                        self._handle(name, worker, message)


def describe_trial(trial: Trial, oracle: OptunaOracle, trials: int, seconds: float) -> str:
    """The line of a trial that has ended.

        trial 7 of 20  93.10 %  best 96.09 % (trial 4)  3:20 left  width 0.5, lr 0.01

    Args:
        trial: as the oracle has it.
        oracle: knows the best and how many have ended.
        trials: how many there are in all.
        seconds: that each remaining trial is expected to take.
    """
    from tfcnn.training.progress import duration

    match trial.status:
        case "STOPPED":
            result = "pruned"
        case "INVALID":
            result = f"{trial.message}; once more"
        case "FAILED":
            result = f"failed, {trial.message}"
        case _:
            result = _format_scores(oracle, trial.score)
    parts = [f"trial {trial.trial_id} of {trials}", result]
    best = oracle.get_best_trials()
    if best and len(oracle.objectives) == 1:
        parts.append(f"best {_format_scores(oracle, best[0].score)} (trial {best[0].trial_id})")
    elif best:
        parts.append(f"{len(best)} on the front")
    ended = sum(other.status in ("COMPLETED", "STOPPED", "FAILED") for other in oracle.trials.values())
    parts.append(f"{duration((trials - ended) * seconds)} left" if ended < trials else "done")
    parts.append(format_values(trial.hyperparameters.values))
    return "  ".join(parts)


def _format_scores(oracle: OptunaOracle, score: float | list[float]) -> str:
    names = [objective.name for objective in oracle.objectives]
    return ", ".join(map(format_score, names, _as_list(score)))


def _as_list(score: float | list[float]) -> list[float]:
    return score if isinstance(score, list) else [score]
