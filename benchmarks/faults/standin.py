"""Spaces and a trainer that trains nothing, as the text of a file, and data that nothing reads."""

from __future__ import annotations

from tfcnn.config import Config

# STUDY.plan says what goes wrong: by trial, what each of its starts does. STUDY.starts has the trial of each start.
STANDIN = """
import json, os, signal, sys, time
from pathlib import Path
from tfcnn.errors import TrainingFailed
from tfcnn.files import DiskFull

def space(hp):
    return {"lr": hp.Float("lr", 1e-4, 1.0, sampling="log"), "width": hp.Choice("width", [0.5, 1.0, 2.0])}

def raising(hp):
    fields = space(hp)
    return fields if fields["width"] < 2 else fields["units"]

def exiting(hp):
    return space(hp) if space(hp)["width"] < 2 else sys.exit(3)

def hopeless(hp):
    return space(hp)["units"]

def trainer(config, report):
    study, number = Path(config.out).parent, Path(config.out).name.split("-")[1]
    starts = study.with_suffix(".starts")
    before = starts.read_text().split().count(number) if starts.exists() else 0
    with starts.open("a") as file:
        file.write(number + "\\n")
    with study.with_suffix(".pids").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    plan = json.loads(study.with_suffix(".plan").read_text()) if study.with_suffix(".plan").exists() else {}
    action = (plan.get(number, []) + ["train"] * 9)[before]
    if action == "raise":
        raise ZeroDivisionError("of a layer")
    if action == "memory":
        raise MemoryError("3 GiB")
    if action == "diverge":
        raise TrainingFailed("the loss in step 3 of epoch 1 is not finite")
    if action == "full":
        raise DiskFull("'model.keras' cannot be written: No space left on device")
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "kill parent":
        os.kill(os.getppid(), signal.SIGKILL)
    if action == "exit":
        os._exit(3)
    if action == "die":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if action in ("wait", "kill parent", "die"):
        try:
            time.sleep(60)
        except BaseException:
            with study.with_suffix(".stops").open("a") as file:
                file.write(number + "\\n")
            raise
    score = 1 / (1 + abs(config.lr - 0.01)) / config.width
    for epoch in (1, 2, 3):
        report(epoch, {"val_accuracy": score * epoch / 3, "val_loss": 1 / score})
    time.sleep(plan.get("seconds", 0))
    return {"val_accuracy": float("nan") if action == "nan" else score, "macs": int(1000 * config.width), "epochs": 3}
"""


class StandinData:
    """Takes the place of tfcnn.training.data.load_data: the facts of a data set that nothing reads."""

    task = "classification"
    image_shape = (32, 32, 1)
    num_classes = 10

    def __init__(self, config: Config) -> None:
        pass
