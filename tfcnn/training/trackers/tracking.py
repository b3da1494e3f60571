"""What a run sends to its trackers, and what comes of a tracker that fails.

One that does not start is an error before the training begins, as a wrong flag is. One that fails later, at the start
of a resumed run included, is said in one line and gets nothing more; the training goes on.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from tfcnn.errors import BadInput, first_line, shorten
from tfcnn.files import read_json, write_json
from tfcnn.run_directory import RunDirectory
from tfcnn.training.trackers.tracker import TrackedRun, Tracker

FILES = ("config", "history", "metrics", "curves", "sheet", "lr_finder", "log", "card", "model")  # of the run directory
OF_ONE_RUN = ("out", "resume")
LONGEST = 200  # characters of a library's message


def tracker_of(name: str) -> Tracker:
    """The tracker of a name in `tfcnn.config.TRACKERS`."""
    if name == "wandb":
        from tfcnn.training.trackers.wandb import WandbTracker

        return WandbTracker()
    if name == "mlflow":
        from tfcnn.training.trackers.mlflow import MlflowTracker

        return MlflowTracker()
    from tfcnn.training.trackers.tensorboard import TensorBoardTracker

    return TensorBoardTracker()


class Tracking(keras.callbacks.Callback):
    """Sends a run to its trackers.

    Args:
        directory: of the run; its trackers.json has the identifiers of the tracked runs.
    """

    def __init__(self, directory: RunDirectory):
        super().__init__()
        self.directory = directory
        self.trackers: dict[str, Tracker] = {}

    def start(self, names: Sequence[str], facts: dict[str, Any], resume: bool) -> None:
        """Begin the tracked runs, or continue them.

        Args:
            names: of the trackers.
            facts: of `tfcnn.training.fit.build_model`.
            resume: whether the run is resumed.

        Raises:
            BadInput: a tracker of a new run does not start.
        """
        path = self.directory.path.absolute()
        run = TrackedRun(path.name, path, parameters_of(facts))
        identifiers = read_json(self.directory.trackers) if self.directory.trackers.exists() else {}
        for name in names:
            try:
                tracker = tracker_of(name)
                identifiers[name], place = tracker.start(run, identifiers.get(name))
            except Exception as error:  # each library has its own
                if not resume:
                    raise BadInput(
                        f"--log {name} does not start: {_problem(error)}; mend that or leave it out"
                    ) from error
                self._warn(name, error)
                continue
            self.trackers[name] = tracker
            print(f"tracker    {name}: {place}", flush=True)
        if identifiers:
            write_json(self.directory.trackers, identifiers)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        numbers = {name: float(value) for name, value in logs.items()}
        row = {"epoch": epoch + 1} | numbers | {"learning_rate": float(self.model.optimizer.learning_rate)}
        self._send(lambda tracker: tracker.log_epoch(row))

    def finish(self) -> None:
        """Send the results of the run, which is finished."""
        numbers = (int, float)
        metrics = {name: value for name, value in self.directory.read_metrics().items() if isinstance(value, numbers)}
        paths = [getattr(self.directory, name) for name in FILES]
        files = [path for path in paths if path.exists()]
        self._send(lambda tracker: tracker.finish(metrics, files))

    def stop(self, status: str) -> None:
        """Tell that the run is "interrupted" or has "failed"."""
        self._send(lambda tracker: tracker.stop(status))

    def _send(self, send: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.trackers.items()):
            try:
                send(tracker)
            except Exception as error:  # as in `start`
                del self.trackers[name]
                self._warn(name, error)

    def _warn(self, name: str, error: Exception) -> None:
        print(f"warning: --log {name} fails: {_problem(error)}; the run continues without it", file=sys.stderr)


def _problem(error: Exception) -> str:
    return shorten(first_line(error).rstrip("."), LONGEST)


@contextlib.contextmanager
def tracked(
    names: Sequence[str], facts: dict[str, Any], directory: RunDirectory, resume: bool = False
) -> Iterator[Tracking]:
    """Within this context a run is tracked; one that an exception ends is marked as interrupted or failed.

    Raises:
        BadInput: a tracker of a new run does not start.
    """
    tracking = Tracking(directory)
    try:
        tracking.start(names, facts, resume)
        yield tracking
    except KeyboardInterrupt:
        tracking.stop("interrupted")
        raise
    except BaseException:
        tracking.stop("failed")
        raise


def parameters_of(facts: dict[str, Any]) -> dict[str, bool | int | float | str]:
    """The flags of a run by name, arch_args one by one, with the precision, the rate and the size that it has.

    >>> config = {"arch": "vgg11", "lr": None, "arch_args": {"dropout": 0.5}, "out": "runs/x", "log": "wandb"}
    >>> recipe = {"learning_rate": 0.001, "precision": "float32", "jit": False}
    >>> parameters_of({"config": config, "recipe": recipe, "cost": {"parameters": 9}, "data": {"name": "digits"}})
    {'arch': 'vgg11', 'lr': 0.001, 'arch_args.dropout': 0.5, 'precision': 'float32', 'parameters': 9}
    """
    config = {name: value for name, value in facts["config"].items() if name not in (*OF_ONE_RUN, "log")}
    arguments = config.pop("arch_args")
    config |= {f"arch_args.{name}": value for name, value in arguments.items()}
    config |= {"lr": facts["recipe"]["learning_rate"], "precision": facts["recipe"]["precision"]}
    config |= {"parameters": facts["cost"]["parameters"]}
    plain = (bool, int, float, str)
    return {
        name: value if isinstance(value, plain) else str(value) for name, value in config.items() if value is not None
    }
