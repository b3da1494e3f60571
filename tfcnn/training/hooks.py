"""What the training of a task has besides the loop: its batches, what comes before the first step and after the last.

A task whose row in `tfcnn.tasks.TASKS` names another module has the `HOOKS` of that one; all others have those here,
which do nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn.tasks import TASKS

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Data
    from tfcnn.config import Config
    from tfcnn.run_directory import RunDirectory


class Hooks(NamedTuple):
    """One task's hooks.

    Attributes:
        batches: (data, config) -> the data with the batches that its networks train on. Raises BadInput.
        prepare: (data, directory): what must be there before the first step is computed, or read from the directory.
        complete: (model, data, config, directory): what is learned after the last epoch. It leaves model.keras whole.
        watch: (model, data, rows, shipped) -> callbacks that score whole examples after each epoch. `rows` are the
            history so far; within shipped() the model has the weights that the epoch leaves.
        scores: (model, data) -> scores of whole examples, for metrics.json: the headline as val_... and test_...
    """

    batches: Callable[[Data, Config], Data]
    prepare: Callable[[Data, RunDirectory], None]
    complete: Callable[[keras.Model, Data, Config, RunDirectory], None]
    watch: Callable[[keras.Model, Data, list[dict[str, float]], Callable], list[keras.callbacks.Callback]]
    scores: Callable[[keras.Model, Data], dict[str, float]]


def _same(data: Data, config: Config) -> Data:
    return data


def _nothing(*arguments: Any) -> None:
    pass


def _no_callbacks(*arguments: Any) -> list[keras.callbacks.Callback]:
    return []


def _no_scores(model: keras.Model, data: Data) -> dict[str, float]:
    return {}


HOOKS = Hooks(_same, _nothing, _nothing, _no_callbacks, _no_scores)


def hooks_of(task: str) -> Hooks:
    """The hooks of a task: `HOOKS` of its module."""
    return importlib.import_module(TASKS[task].hooks).HOOKS
