"""What becomes of a search to which something happens: `python -m benchmarks.faults.search > docs/search_faults.md`.

The search, its workers, its journal and the signals are real; the trials train nothing, and their scores are a function
of their values. Takes some minutes.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import tuning.search
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tuning.search import search
from tuning.study.folder import Study

ROOT = Path(__file__).resolve().parents[2]
TRIALS, KILLS = 16, 10
DATA = {"task": "classification", "image_shape": (32, 32, 1), "num_classes": 10}
# What goes wrong is in STUDY.plan: by trial, what each of its starts does. STUDY.starts has the number of each start.
STANDIN = """
import json, os, signal, time
from pathlib import Path
from tfcnn.errors import TrainingFailed

def space(hp):
    return {"lr": hp.Float("lr", 1e-4, 1.0, sampling="log"), "width": hp.Choice("width", [0.5, 1.0, 2.0])}

def trainer(config, go_on):
    study, number = Path(config.out).parent, Path(config.out).name.split("-")[1]
    starts = study.with_suffix(".starts")
    before = starts.read_text().split().count(number) if starts.exists() else 0
    with starts.open("a") as file:
        file.write(number + "\\n")
    with study.with_suffix(".pids").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    plan = json.loads(study.with_suffix(".plan").read_text()) if study.with_suffix(".plan").exists() else {}
    what = (plan.get(number, []) + ["train"] * 9)[before]
    if what == "raise":
        raise ZeroDivisionError("of a layer")
    if what == "memory":
        raise MemoryError("3 GiB")
    if what == "diverge":
        raise TrainingFailed("the loss in step 3 of epoch 1 is not finite")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "kill parent":
        os.kill(os.getppid(), signal.SIGKILL)
    if what == "exit":
        os._exit(3)
    if what == "die":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if what in ("wait", "kill parent", "die"):
        try:
            time.sleep(60)
        except BaseException:
            with study.with_suffix(".stops").open("a") as file:
                file.write(number + "\\n")
            raise
    score = 1 / (1 + abs(config.lr - 0.01)) / config.width
    for epoch in (1, 2, 3):
        go_on(epoch, {"val_accuracy": score * epoch / 3, "val_loss": 1 / score})
    time.sleep(plan.get("seconds", 0))
    return {"val_accuracy": float("nan") if what == "nan" else score, "macs": int(1000 * config.width), "epochs": 3}
"""
CODE = """
import sys, types
import tuning.search
from tfcnn.cli.parser import run_main
from tfcnn.config import Config
from tuning.search import search
from tuning.study.folder import Study

def main():
    tuning.search.load_data = lambda config: types.SimpleNamespace(**{data})
    places = {{"space": {file!r} + ":space", "trainer": {file!r} + ":trainer"}}
    search(Study({study!r}), Config(arch="lenet5", seed=3), {trials}, **places)

if __name__ == "__main__":
    sys.exit(run_main(main))
"""
# What it is called, what a start does, and of how many starts in a row of trials 3, 6, 9, ...
INJECTED = (
    ("the trial raises", "raise", 1),
    ("the trial finds no memory (MemoryError)", "memory", 1),
    ("the loss is not finite", "diverge", 1),
    ("the score is NaN", "nan", 1),
    ("the worker is killed (SIGKILL), once a trial", "kill", 1),
    ("the worker is killed at each start of the trial", "kill", 9),
    ("the process ends itself (exit code 3) at each start", "exit", 9),
)
HEAD = f"""# Faults of a search

Written by `python -m benchmarks.faults.search`. Each row is a search of {TRIALS} trials by TPE with one worker to which
something happens. The search, its worker processes, its journal and the signals are real; the trials train nothing.
"The same list" compares number, values and training seed of every trial with those of the search to which nothing
happens; where trials fail, TPE learns from it and proposes others, as it should.

| what happens | times | recorded | completed | started | the same list |
|---|---|---|---|---|---|"""


def searched(folder: Path, name: str, trials: int = TRIALS, plan: dict[str, Any] | None = None, **more):
    """A search with the stand-in, in this process; workers are processes of their own."""
    if plan is not None:
        (folder / f"{name}.plan").write_text(json.dumps(plan))
    file = folder / "standin.py"
    file.exists() or file.write_text(STANDIN)
    settings = {"space": f"{file}:space", "trainer": f"{file}:trainer"}
    return search(Study(folder / name), Config(arch="lenet5", seed=3), trials, **settings | more)


def in_process(folder: Path, name: str, trials: int = TRIALS) -> subprocess.Popen:
    """The same search in a process of its own, as the command has it."""
    (folder / "standin.py").write_text(STANDIN)
    code = CODE.format(data=DATA, study=str(folder / name), trials=trials, file=str(folder / "standin.py"))
    (folder / "run.py").write_text(code)
    return subprocess.Popen(
        [sys.executable, folder / "run.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def starts(folder: Path, name: str) -> list[int]:
    """The number of the trial of each start of one."""
    file = folder / f"{name}.starts"
    return [int(number) for number in file.read_text().split()] if file.exists() else []


def values(study: Study) -> list[tuple]:
    """What makes a trial: its number, values and seed."""
    return [(trial.number, trial.values, trial.config["seed"]) for trial in study.trials()]


def row(folder: Path, name: str, what: str, times: int, whole: list[tuple] | None) -> str:
    """A row of the table, from the study that is left."""
    trials, begun = Study(folder / name).trials(), starts(folder, name)
    failed = collections.Counter(trial.reason for trial in trials if trial.state == "FAILED")
    recorded = "; ".join(f"{count} x {reason}" for reason, count in failed.items()) or "-"
    done = sum(trial.state == "COMPLETED" for trial in trials)
    most = max(collections.Counter(begun).values())
    same = "-" if failed or whole is None else ("yes" if values(Study(folder / name)) == whole else "NO")
    return f"| {what} | {times} | {recorded} | {done} of {len(trials)} | {len(begun)}, {most} at most each | {same} |"


def killed_at_random(folder: Path, name: str, number: int, seed: int = 0) -> int:
    """Kill the search `number` times at random moments after its first trial has begun, then let it end."""
    moments, kills = random.Random(seed), 0
    (folder / f"{name}.plan").write_text(json.dumps({"seconds": 0.2}))
    while kills < number:
        begun = len(starts(folder, name))
        process = in_process(folder, name, TRIALS)
        while process.poll() is None and len(starts(folder, name)) == begun:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:  # there was nothing left to kill
            break
        kills += 1
    searched(folder, name)
    return kills


def main() -> None:
    tuning.search.load_data = lambda config: types.SimpleNamespace(**DATA)
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)

        def tell(name, what, times, whole, action):
            with contextlib.redirect_stdout(io.StringIO()):
                times = action() or times
            print(row(folder, name, what, times, whole), flush=True)

        tell("whole", "nothing", 1, None, lambda: searched(folder, "whole") and 0)
        whole = values(Study(folder / "whole"))
        for index, (what, action, often) in enumerate(INJECTED):
            plan = {str(number): [action] * often for number in range(3, TRIALS, 3)}
            name = f"fault{index}"
            tell(name, what, len(plan), whole, lambda name=name, plan=plan: searched(folder, name, plan=plan) and 0)
        what = "the search is killed (SIGKILL) up to 0.4 s after it began a trial; two kills can meet the same one"
        tell("killed", what, KILLS, whole, lambda: killed_at_random(folder, "killed", KILLS))
        tell("four", "four workers", 1, None, lambda: searched(folder, "four", plan={"seconds": 0.2}, workers=4) and 0)
        for name, wreck in (
            ("half a line at the end of the journal, and its lock", b'{"op_code":4,"wor'),
            ("a line in the journal that is no JSON", b"#\n{}\n"),
        ):
            file = Study(folder / "whole").journal
            before = file.read_bytes()
            file.write_bytes(before + wreck)
            file.with_name(file.name + ".lock").symlink_to(file)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    searched(folder, "whole")
                print(row(folder, "whole", name, 1, whole))
            except BadInput as error:
                print(f"| {name} | 1 | exit 2: {str(error).replace(temporary, '...')} | | | |")
            file.write_bytes(before)


if __name__ == "__main__":
    main()
