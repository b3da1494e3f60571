"""`python -m tuning.search --arch mobilenet --dataset digits --trials 20`: hyperparameters of any architecture.

keras-tuner's spaces, Optuna's samplers. This process proposes and remembers; its workers train, each trial a run of
`tfcnn.train` with its own run directory under the study's, so that the best of them is trained, evaluated and exported
already. A study that exists is continued.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfcnn import command, models, recipes, train
from tfcnn.config import BadInput, Config, TrainingFailed, add_flags, choose, flag_of
from tuning import budgets, spaces
from tuning.budgets import COSTS, Budgets
from tuning.study import HEARTBEAT, Found, Study, best_first, values_of, written
from tuning.worker import ending_of, work

SAMPLERS = ("random", "grid", "tpe", "gp", "nsga2", "cmaes")
PRUNERS = ("none", "median", "asha", "hyperband")
NOT_SHARED = ("out", "resume", "time", "tensorboard", "profile", "checkpoint_every")  # fields of Config
QUICK = {"epochs": 4, "warmup_epochs": 0.5}  # of a trial, unless flags say otherwise
RETRIES = 1  # of a trial whose process was killed
SECONDS_TO_STOP = 120.0  # for a worker to finish its step and write a checkpoint


def search(
    study: Study,
    config: Config,
    trials: int,
    *,
    space: str | None = None,
    sampler: str = "tpe",
    pruner: str = "none",
    objectives: list[str] | None = None,
    limits: dict[str, float] | None = None,
    workers: int = 1,
    given: frozenset[str] = frozenset(),
    trainer: str | None = None,
) -> list[Found]:
    """Train `trials` configurations drawn from a space, or what is left to do of a study that exists.

    Args:
        study: made if it does not exist.
        config: what the trials share; its seed is the study's.
        trials: how many in all.
        space: "path/to/file.py:function"; default: the space of the architecture's family.
        sampler, pruner: of SAMPLERS, PRUNERS.
        objectives: names of validation metrics and of COSTS; default: the metric of the task.
        limits: the most of each of COSTS.
        workers: processes that train at the same time.
        given: fields of Config that the space must leave alone.
        trainer: "path/to/file.py:function" in the place of tuning.worker.train, for tests.

    Returns:
        list: the completed trials, best first; of several objectives the Pareto front.

    Raises:
        BadInput: before anything is written.
        Interrupted: by Ctrl-C or SIGTERM; the study can be continued.
        TrainingFailed: no trial was completed.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # the first process would take all of a GPU's memory
    command.import_tensorflow()
    import keras_tuner

    from tuning.oracle import OptunaOracle, check_sampler

    data = train.load_data(config)
    named = named_objectives(objectives, data.task)
    check_sampler(sampler, pruner, len(named))
    priced = Budgets(limits or {}, data.image_shape, data.num_classes, any(name == "latency" for name, _ in named))
    ask = configured(config, space, data.image_shape, given)
    shared = {key: value for key, value in config.to_dict().items() if key not in NOT_SHARED}
    spec = {"config": shared, "space": spaces.fingerprint(space) if space else f"{config.arch}'s"}
    spec |= {"sampler": sampler, "pruner": pruner, "objectives": [name for name, _ in named], "budgets": limits or {}}
    spec = json.loads(json.dumps(spec))
    settings = {
        "objective": [keras_tuner.Objective(*each) for each in named]
        if len(named) > 1
        else keras_tuner.Objective(*named[0]),
        "sampler": sampler,
        "pruner": pruner,
        "max_trials": trials,
        "seed": config.seed,
        "space": ask,
        "accept": priced.accept,
        "name": study.name,
        "max_retries_per_trial": RETRIES,
    }
    if not study.exists() and OptunaOracle(**settings).create_trial("probe").status == "STOPPED":
        raise BadInput(priced.tightest())
    study.check_spec(spec)
    study.make()
    with study.locked():
        with study.readable():
            oracle = OptunaOracle(storage=study.storage(), mine=study.mine, labels={"owner": study.owner}, **settings)
            oracle.study.set_user_attr("spec", spec)
        crew = Crew(study, oracle, ask, priced, named, trials, workers, trainer)
        crew.run()
    best = best_first(study.trials(), named)
    if not best:
        raise TrainingFailed(
            f"no trial of '{study.path}' was completed; what each died of: python -m tuning.report {study.path}"
        )
    return best


def named_objectives(names: list[str] | None, task: str) -> list[tuple[str, str]]:
    """(name, "max" or "min") of each objective; by default the metric of the task. Raises BadInput."""
    from tfcnn.metrics import HEADLINES

    allowed = (f"val_{HEADLINES[task].name}", "val_loss", *COSTS)
    names = names or list(allowed[:1])
    for name in names:
        choose("objective", name, allowed, flag="--objective")
    if len(set(names)) < len(names):
        raise BadInput(f"an objective is named twice: {','.join(names)} (--objective)")
    return [(name, "max" if name == allowed[0] else "min") for name in names]


def configured(config: Config, space: str | None, shape, given: frozenset[str]) -> Callable[[Any], Config]:
    """The function from HyperParameters to the configuration of a trial."""
    sizes = spaces.sizes_of(config.arch, shape[0]) if len(shape) == 3 and "image_size" not in given else ()
    asked = spaces.load(space) if space else spaces.of(config.arch, sizes)

    def ask(hp) -> Config:
        fields = spaces.fields_of(asked(hp))
        taken = sorted(given.intersection(fields) - {"arch_args"})
        taken += [f"arch_args {key}" for key in config.arch_args if key in fields["arch_args"]]
        if taken:
            flags = " and ".join(map(flag_of, taken)).replace("arch-args ", "arch-args ")
            raise BadInput(f"the space searches {flags}: leave it out, or give a space of your own (--space)")
        fields["arch_args"] = config.arch_args | fields["arch_args"]
        return dataclasses.replace(config, **fields)

    return ask


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
        self.started = time.monotonic()

    def run(self) -> None:
        """Until all trials are done. Raises Interrupted."""
        try:
            while True:
                for name in self.workers:
                    self._give(name)
                busy = [worker for worker in self.workers.values() if worker and worker.trial]
                if not busy:
                    break
                self._listen(busy)
        except KeyboardInterrupt as stop:
            self._stop()
            raise command.Interrupted(
                f"interrupted; continue with the same command and --study {self.study.path}", stop
            ) from stop
        finally:
            for worker in filter(None, self.workers.values()):
                worker.process.kill()
                worker.process.join()

    def _give(self, name: str) -> None:
        """A trial for a worker that has none, if there is one left."""
        worker = self.workers[name]
        if worker and worker.trial:
            return
        trial = self.oracle.create_trial(name)
        if trial.status == "STOPPED":
            return
        if worker is None:
            worker = self.workers[name] = self._hired()
        known = self.oracle.attributes(trial)
        number = int(trial.trial_id)
        if "config" not in known:
            from tuning.oracle import seed_of

            config = dataclasses.replace(
                self.ask(trial.hyperparameters), seed=seed_of(self.oracle.seed, known["origin"])
            )
            self.oracle.note(trial, config={k: v for k, v in config.to_dict().items() if k not in NOT_SHARED})
            known = self.oracle.attributes(trial)
        worker.trial, worker.began = trial, time.monotonic()
        worker.config = Config(**known["config"], out=str(self.study.run(number).path))
        try:
            worker.connection.send((worker.config.to_dict(), str(self.study.log(number))))
        except OSError:  # it died while it had nothing to do
            self._lost(name)

    def _hired(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.trainer), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def _listen(self, busy: list[Worker]) -> None:
        """Wait for something of a worker, or for the time of the next sign of life."""
        ready = multiprocessing.connection.wait([worker.connection for worker in busy], timeout=HEARTBEAT)
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
            from tuning.tensorboard import write_hparams

            folder, values = self.study.path / "tensorboard", trial.hyperparameters.values
            write_hparams(
                folder,
                trial.trial_id,
                values,
                {name: trial.metrics.get_best_value(name) for name, _ in self.objectives},
            )

    def _line(self, trial, status: str, reason: str | None) -> str:
        """trial 7 of 20  93.10 %  best 96.09 % (trial 4)  3:20 left  width 0.5, lr 0.01 ..."""
        from tfcnn.progress import duration

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


def main() -> None:
    parser = command.Parser(prog="python -m tuning.search", description=__doc__.split("\n\n")[0])
    parser.add_argument("--trials", metavar="N", default="20", help="configurations to try in all [20]")
    parser.add_argument(
        "--study", metavar="DIR", help="folder of the study, continued if it exists [runs/search-ARCH-DATASET]"
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="database of trials that several machines share, as in sqlite:///study.db [a journal in the study]",
    )
    parser.add_argument("--workers", metavar="N", default="1", help="processes that train at the same time [1]")
    parser.add_argument(
        "--space", metavar="FILE:FUNCTION", help="a space of your own, path/to/file.py:function [that of the family]"
    )
    parser.add_argument(
        "--sampler", metavar="{" + ",".join(SAMPLERS) + "}", help="what proposes [tpe; nsga2 for several objectives]"
    )
    parser.add_argument(
        "--pruner", metavar="{" + ",".join(PRUNERS) + "}", default="none", help="what ends hopeless trials [none]"
    )
    parser.add_argument(
        "--objective",
        metavar="NAME[,NAME...]",
        help="what is sought: the metric of the task, val_loss, "
        + ", ".join(COSTS)
        + "; of several the Pareto front [the metric of the task]",
    )
    for cost in COSTS:
        shown = "5ms" if cost == "latency" else {"parameters": "1M", "macs": "30M", "memory": "200M"}[cost]
        what = {"memory": "bytes of activations held at one time", "latency": "time of one image on this device"}.get(
            cost, cost
        )
        names = [f"--budget-{cost}", *(["--budget-params"] if cost == "parameters" else [])]
        parser.add_argument(*names, dest=f"budget_{cost}", metavar=shown, help=f"the most {what} of a trial")
    add_flags(parser, [field.name for field in dataclasses.fields(Config) if field.name not in NOT_SHARED])
    given = vars(parser.parse_args())
    own = {
        name: given.pop(name)
        for name in ("trials", "study", "storage", "workers", "space", "sampler", "pruner", "objective")
    }
    asked = {cost: given.pop(f"budget_{cost}") for cost in COSTS}
    limits = {cost: budgets.amount(f"--budget-{cost}", text) for cost, text in asked.items() if text is not None}
    trials, workers = command.count("--trials", own["trials"]), command.count("--workers", own["workers"])
    objectives = [name.strip() for name in own["objective"].split(",")] if own["objective"] else None
    sampler = choose(
        "sampler", own["sampler"] or ("nsga2" if objectives and len(objectives) > 1 else "tpe"), SAMPLERS, "--sampler"
    )
    choose("pruner", own["pruner"], PRUNERS, flag="--pruner")
    if own["space"]:
        spaces.load(own["space"])
    config = recipes.resolve(given if "recipe" in given else quick(given))
    models.family_of(config.arch)
    study = Study(
        own["study"] or f"runs/search-{config.arch}-{Path(config.dataset).stem or config.dataset}", own["storage"]
    )
    if not study.exists():
        train.check(dataclasses.replace(config, out=str(study.path)))
    best = search(
        study,
        config,
        trials,
        space=own["space"],
        sampler=sampler,
        pruner=own["pruner"],
        objectives=objectives,
        limits=limits,
        workers=workers,
        given=frozenset(given),
    )
    print(f"\n{'the Pareto front' if objectives and len(objectives) > 1 else 'the best'}:")
    names = study.spec()["objectives"]
    for trial in best[:5] if len(names) == 1 else best:
        scores = ", ".join(written(name, score) for name, score in zip(names, trial.scores, strict=True))
        print(f"{scores}  {values_of(trial.values)}  {study.run(trial.number).path}")
    print(f"\npython -m tuning.report {study.path}\npython -m tuning.best {study.path}")


def quick(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, with the epochs of a trial where it says nothing."""
    return given if "epochs" in given or "warmup_epochs" in given else QUICK | given


if __name__ == "__main__":
    sys.exit(command.run(main))
