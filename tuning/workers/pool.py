"""The workers of a search: processes that train, what they are given, and what becomes of it."""

from __future__ import annotations

import dataclasses
import multiprocessing
import multiprocessing.connection
import time
from typing import Any

from tfcnn.cli.signals import DeferredSignals, Interrupted
from tfcnn.config import Config
from tuning.study.storage import HEARTBEAT
from tuning.study.trials import values_of, written
from tuning.workers.worker import ending_of, work

NOT_SHARED = ("out", "resume", "time", "tensorboard", "profile", "checkpoint_every", "distribution")  # fields of Config
SECONDS_TO_LISTEN = 0.5  # until a signal is seen
SECONDS_TO_STOP = 120.0  # for a worker to finish its step and write a checkpoint


@dataclasses.dataclass
class Worker:
    """A process and what it is doing."""

    process: Any
    connection: Any
    trial: Any = None
    config: Config | None = None
    began: float = 0.0


class Crew:
    """Hands trials to workers, and what comes back to the oracle."""

    def __init__(self, study, oracle, ask, priced, objectives, trials, workers, trainer):
        self.study, self.oracle, self.ask, self.priced, self.objectives = study, oracle, ask, priced, objectives
        self.trials, self.trainer = trials, trainer
        self.workers: dict[str, Worker | None] = {f"worker{n}": None for n in range(workers)}
        self.took: list[float] = []  # seconds of the trials of this call
        self.beat = time.monotonic()

    def run(self) -> None:
        """Until all trials are done. Raises Interrupted; a signal waits until what is being stored is stored."""
        try:
            with DeferredSignals() as signals:
                while True:
                    signals.deliver()
                    for name in self.workers:
                        self._give(name)
                    busy = [worker for worker in self.workers.values() if worker and worker.trial]
                    if not busy:
                        break
                    self._listen(busy)
        except KeyboardInterrupt as stop:
            self._stop()
            raise Interrupted(
                f"interrupted; continue with the same command and --study {self.study.path}", stop
            ) from stop
        finally:
            for worker in filter(None, self.workers.values()):
                worker.process.kill()
                worker.process.join()

    def _give(self, name: str) -> None:
        """A trial for a worker that has none, if there is one left."""
        from tuning.sampling import seed_of

        worker = self.workers[name]
        if worker and worker.trial:
            return
        trial = self.oracle.create_trial(name)
        if trial.status == "STOPPED":
            return
        if worker is None:
            worker = self.workers[name] = self._hired()
        number, seed = int(trial.trial_id), seed_of(self.oracle.seed, self.oracle.attributes(trial)["origin"])
        config = dataclasses.replace(self.ask(trial.hyperparameters), seed=seed)
        self.oracle.note(trial, config={k: v for k, v in config.to_dict().items() if k not in NOT_SHARED})
        worker.trial, worker.began = trial, time.monotonic()
        worker.config = dataclasses.replace(config, out=str(self.study.run(number).path))
        try:
            worker.connection.send((worker.config.to_dict(), str(self.study.log(number))))
        except OSError:  # it died while it had nothing to do
            self._lost(name)
            self._give(name)

    def _hired(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.trainer), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def _listen(self, busy: list[Worker]) -> None:
        """Wait a moment for something of a worker; give a sign of life where it is time for one."""
        ready = multiprocessing.connection.wait([worker.connection for worker in busy], timeout=SECONDS_TO_LISTEN)
        if time.monotonic() >= self.beat:
            self.beat = time.monotonic() + HEARTBEAT
            self.oracle.beat()
        for name, worker in self.workers.items():
            if worker and worker.connection in ready:
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    self._lost(name)
                else:
                    self._heard(name, *message)

    def _heard(self, name: str, what: str, *content) -> None:
        worker = self.workers[name]
        if what == "epoch":
            epoch, metrics = content
            go_on = True
            if len(self.objectives) == 1 and self.objectives[0][0] in metrics:
                trial = self.oracle.update_trial(worker.trial.trial_id, self._scores(worker, metrics), epoch)
                go_on = trial.status != "STOPPED"
            try:
                worker.connection.send(go_on)
            except OSError:
                self._lost(name)
            return
        if what == "stopped":
            self.oracle.release(worker.trial)
            worker.trial = None
        elif what == "done":
            (metrics,) = content
            scores, last = self._scores(worker, metrics), metrics.get("epochs", 0)
            kept = {key: value for key, value in metrics.items() if isinstance(value, int | float)} | scores
            self.oracle.note(worker.trial, metrics=kept)
            self.oracle.update_trial(worker.trial.trial_id, scores, step=last)
            self._ended(worker, "COMPLETED")
        elif what == "pruned":
            self._ended(worker, "STOPPED")
        else:
            self._ended(worker, "FAILED", content[0])
        if what in ("failed", "stopped"):
            worker.process.join()
            self.workers[name] = None

    def _lost(self, name: str) -> None:
        """A worker that is dead: its trial is given out again once, and another takes its place."""
        worker = self.workers[name]
        worker.process.join()
        self.workers[name] = None
        self._ended(worker, "INVALID", ending_of(worker.process.exitcode))

    def _scores(self, worker: Worker, metrics: dict[str, Any]) -> dict[str, float]:
        """The objectives' values: of the run, and what it costs where the run does not say so."""
        costs = {}
        if any(name not in metrics for name, _ in self.objectives):
            costs = self.priced.price(worker.config)._asdict()
        return {name: metrics.get(name, costs.get(name)) for name, _ in self.objectives}

    def _ended(self, worker: Worker, status: str, reason: str | None = None) -> None:
        trial, worker.trial = worker.trial, None
        trial.status, trial.message = status, reason
        seconds = time.monotonic() - worker.began
        self.oracle.note(trial, seconds=seconds)
        self.oracle.end_trial(trial)
        ended = self.oracle.trials[trial.trial_id]
        self.took.append(seconds)
        print(self._line(ended, status, reason), flush=True)
        if ended.status == "COMPLETED":
            from tuning.study.hparams import write_hparams

            scores = ended.score if isinstance(ended.score, list) else [ended.score]
            scores = {name: score for (name, _), score in zip(self.objectives, scores, strict=True)}
            write_hparams(self.study.path / "tensorboard", trial.trial_id, trial.hyperparameters.values, scores)

    def _line(self, trial, status: str, reason: str | None) -> str:
        """trial 7 of 20  93.10 %  best 96.09 % (trial 4)  3:20 left  width 0.5, lr 0.01 ..."""
        from tfcnn.training.progress import duration

        word = {"STOPPED": "pruned", "INVALID": f"{reason}; once more"}.get(status)
        if trial.status == "FAILED":
            word = f"failed, {trial.message}"
        shown = [f"trial {trial.trial_id} of {self.trials}", word or self._shown(trial.score)]
        best = self.oracle.get_best_trials()
        if best and len(self.objectives) == 1:
            shown.append(f"best {self._shown(best[0].score)} (trial {best[0].trial_id})")
        elif best:
            shown.append(f"{len(best)} on the front")
        over = sum(trial.status in ("COMPLETED", "STOPPED", "FAILED") for trial in self.oracle.trials.values())
        left = max(self.trials - over, 0) * sum(self.took) / len(self.took) / len(self.workers)
        shown.append(f"{duration(left)} left" if over < self.trials else "done")
        return "  ".join(shown) + "  " + values_of(trial.hyperparameters.values)

    def _shown(self, score) -> str:
        scores = score if isinstance(score, list) else [score]
        return ", ".join(map(written, [name for name, _ in self.objectives], scores))

    def _stop(self) -> None:
        """Let the workers write a checkpoint and end; give their trials back."""
        busy = {name: worker for name, worker in self.workers.items() if worker and worker.trial}
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
                    self._heard(name, *message)
