"""What the training of a task has besides the loop."""

import pytest

from tfcnn.tasks import TASKS
from tfcnn.training.hooks import Hooks, hooks_of


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_hooks(task):
    assert isinstance(hooks_of(task), Hooks)


def test_a_task_without_hooks_trains_on_its_data_as_they_are():
    data = object()
    hooks = hooks_of("classification")
    assert hooks.batches(data, None) is data
    assert hooks.scores(None, data) == {}
